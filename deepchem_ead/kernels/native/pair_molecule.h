// The pairs of one molecule in the attention denoiser: work space and what both passes compute.
//
//   p_ij = silu(own_i + other_j + C r(d_ij) + D r(d0_ij) + E told_ij)        PAIR features
//   a_ij^h = softmax_j(q_i^h . k_j^h / sqrt(width) + L^h p_ij)               over j != i
//   values_i = sum_j a_ij^h v_j^h,  pairs_i = sum_j a_ij^h p_ij
//   vectors_i = sum_j a_ij^h (G^h p_ij) (x_i - x_j) / (d_ij + 1),  and x_i - mean x
//
// One thread works off a molecule, one centre atom i at a time, so that nothing per pair leaves the
// cache and no result depends on other molecules or on the number of threads. What belongs to a pair
// and a head lies as [pair][head], padded to whole registers, and q, k, v as [atom][component][head]:
// no arithmetic ever crosses lanes. The pair of an atom with itself takes part with attention zero.
#pragma once
#include "pair_parameters.h"
#include "workspace.h"

namespace ead {

constexpr int PAIR_BLOCK = 2 * LANES;
constexpr int COMPONENTS = 8;  // of q, k, v worked on at once; divides a head's width
constexpr int HEADS_AT_ONCE = 4;

template <class P, int NH>
class PairMolecule {
 public:
  using Scalar = typename P::Scalar;
  static constexpr int HEADS = NH * LANES, STRIDE = 3 * HEADS;

 protected:
  // backward: room for what the backward pass keeps about all pairs.
  PairMolecule(const PairShape& shape, int n, bool backward, Workspace& memory)
      : shape_(shape), n_(n), rows_(pad_rows(n)), row_(round_up(n, LANES)), width_(shape.width()),
        cells_(size_t(width_) * HEADS), memory_(memory) {
    const size_t row = row_, per_pair = size_t(n) * row;
    size_t floats = 12 * row + 4 * per_pair + 3 * n * cells_ + size_t(n) * PAIR +
                    size_t(rows_) * PAIR + size_t(n) * n * PAIR + size_t(rows_) * STRIDE + cells_;
    if (backward)
      floats += size_t(n) * rows_ * STRIDE + n * cells_ + 2 * size_t(rows_) * PAIR + 6 * row +
                2 * per_pair + size_t(n) * PAIR + MAX_HEADS * PAIR + size_t(n) * n;
    memory.reserve(sizeof(float) * floats + 64 * 64);
    for (Distances* d : {&now_, &input_}) {
      d->n = n;
      d->row = row_;
      for (float*& x : d->x) x = memory.take<float>(row);
      d->distance = memory.take<float>(per_pair);
      d->t = memory.take<float>(per_pair);
    }
    q_ = memory.take<float>(n * cells_);
    k_ = memory.take<float>(n * cells_);
    v_ = memory.take<float>(n * cells_);
    other_ = memory.take<float>(size_t(n) * PAIR);
    pair_ = memory.take<float>(size_t(rows_) * PAIR);
    mixed_ = memory.take<float>(size_t(n) * n * PAIR);
    sum_ = memory.take<float>(cells_);
    for (float*& u : unit_) u = memory.take<float>(row);
    std::fill(pair_ + size_t(n) * PAIR, pair_ + size_t(rows_) * PAIR, 0.0f);
  }

  // projected: (n, shape.projected()); x, x0: (n, 3); told: (n (n - 1), W) or null
  void load(const Scalar* projected, const float* x, const float* x0, const float* told,
            const PairParameters<NH>& weights) {
    projected_ = projected;
    told_ = told;
    now_.set(x);
    input_.set(x0);
    const int f = shape_.features;
    const float scale = 1.0f / std::sqrt(float(width_));
    for (int i = 0; i < n_; i++) {
      const Scalar* from = projected + size_t(i) * shape_.projected();
      load_heads(from, scale, q_ + i * cells_);
      load_heads(from + f, 1.0f, k_ + i * cells_);
      load_heads(from + 2 * f, 1.0f, v_ + i * cells_);
      to_floats<P>(from + 3 * f + PAIR, PAIR, other_ + size_t(i) * PAIR);
    }
    mix_radial(weights);
  }

  // (width, heads) to (width, HEADS) and back. Rows are followed by at least HEADS more scalars.
  void load_heads(const Scalar* from, float scale, float* to) const {
    for (int d = 0; d < width_; d++)
      for (int c = 0; c < HEADS; c += LANES)
        vstore(to + d * HEADS + c, first_lanes(P::load(from + d * shape_.heads + c) * vset(scale),
                                               shape_.heads - c));
  }
  void store_heads(const float* from, float scale, Scalar* to) const {
    for (int d = 0; d < width_; d++)
      for (int c = 0; c < HEADS; c += LANES)
        store_lanes(to + d * shape_.heads + c, vload(from + d * HEADS + c) * vset(scale),
                    shape_.heads - c);
  }

  // Pair features of centre i, and their derivatives if asked for.
  template <bool SLOPE>
  void pair_features(int i, const PairParameters<NH>& weights, float* slope) {
    alignas(64) float own[PAIR];
    to_floats<P>(projected_ + size_t(i) * shape_.projected() + 3 * shape_.features, PAIR, own);
    if (told_) return told_pair_features<SLOPE>(i, own, weights, slope);
    for (int f = 0; f < PAIR; f += PAIR_BLOCK) {
      const Vec own_i[2] = {vload(own + f), vload(own + f + LANES)};
      for (int j = 0; j < n_; j++) {
        Vec z[2];
        add_up(i, j, f, own_i, z);
        activate<SLOPE>(j, f, z, slope);
      }
    }
  }

  // The pairs (i, j) of a centre are told one after the other: number k is j = i + 1 + k (mod n).
  int other_of(int i, int k) const { return i + 1 + k < n_ ? i + 1 + k : i + 1 + k - n_; }
  size_t told_row(int i, int k) const { return size_t(i) * (n_ - 1) + k; }

  // body(std::integral_constant<int, R>, first) for blocks of R <= ROWS of the n - 1 pairs of a centre.
  template <class Body>
  void for_told_blocks(Body&& body) const {
    int k = 0;
    for (; k + ROWS <= n_ - 1; k += ROWS) body(std::integral_constant<int, ROWS>(), k);
    switch (n_ - 1 - k) {
      case 5: return body(std::integral_constant<int, 5>(), k);
      case 4: return body(std::integral_constant<int, 4>(), k);
      case 3: return body(std::integral_constant<int, 3>(), k);
      case 2: return body(std::integral_constant<int, 2>(), k);
      case 1: return body(std::integral_constant<int, 1>(), k);
    }
  }

  // unit = (x_i - x_j) / (d_ij + 1)
  void unit_vectors(int i) {
    for (int j = 0; j < row_; j += LANES) {
      const Vec inverse =
          vset(1.0f) / (vload(now_.distance + size_t(i) * row_ + j) + vset(1.0f));
      for (int k = 0; k < 3; k++)
        vstore(unit_[k] + j, (vset(now_.x[k][i]) - vload(now_.x[k] + j)) * inverse);
    }
  }

  // reads (rows, STRIDE): the first KINDS parts of what each head reads from the pair features.
  template <int KINDS>
  void read_pairs(const float* weights, float* reads) const {
    constexpr int all = KINDS * NH, C = all <= COLUMNS ? all : NH;
    for (int first = 0; first < all; first += C)
      for (int r0 = 0; r0 < rows_; r0 += ROWS) {
        Vec acc[ROWS][C];
        for (int r = 0; r < ROWS; r++)
          for (int c = 0; c < C; c++) acc[r][c] = vset(0.0f);
        multiply_block<Fp32>(acc, as_words(pair_ + r0 * PAIR), PAIR, 1,
                             as_words(weights + first * LANES), STRIDE, PAIR);
        for (int r = 0; r < ROWS; r++)
          for (int c = 0; c < C; c++)
            vstore(reads + size_t(r0 + r) * STRIDE + (first + c) * LANES, acc[r][c]);
      }
  }

  // to[j][head] += left . right_j over components; left (width, HEADS), right (n, width, HEADS)
  void add_products(const float* left, const float* right, float* to) const {
    for (int c = 0; c < HEADS; c += LANES)
      for (int d = 0; d < width_; d += COMPONENTS) {
        Vec l[COMPONENTS];
        for (int e = 0; e < COMPONENTS; e++) l[e] = vload(left + (d + e) * HEADS + c);
        for (int j = 0; j < n_; j++) {
          const float* r = right + j * cells_ + d * HEADS + c;
          float* at = to + size_t(j) * STRIDE + c;
          Vec even = vload(at), odd = vset(0.0f);
#pragma GCC unroll 8
          for (int e = 0; e < COMPONENTS; e += 2) {
            even = vfma(l[e], vload(r + e * HEADS), even);
            odd = vfma(l[e + 1], vload(r + (e + 1) * HEADS), odd);
          }
          vstore(at, even + odd);
        }
      }
  }

  // to (width, heads) = scale times the sum over j of weight_j[head] right_j[component][head]
  void weighted_sum(const float* weight, size_t weight_stride, const float* right, float scale,
                    Scalar* to) {
    for (int c = 0; c < HEADS; c += LANES)
      for (int d = 0; d < width_; d += COMPONENTS) {
        Vec acc[COMPONENTS];
        for (int e = 0; e < COMPONENTS; e++) acc[e] = vset(0.0f);
        for (int j = 0; j < n_; j++) {
          const Vec w = vload(weight + j * weight_stride + c);
          const float* r = right + j * cells_ + d * HEADS + c;
#pragma GCC unroll 8
          for (int e = 0; e < COMPONENTS; e++) acc[e] = vfma(w, vload(r + e * HEADS), acc[e]);
        }
        for (int e = 0; e < COMPONENTS; e++) vstore(sum_ + (d + e) * HEADS + c, acc[e]);
      }
    store_heads(sum_, scale, to);
  }

  // Sums over j of weight_j[head] pair_j: store(head, pair feature, two vectors), starting from
  // start (heads, PAIR) if there is one.
  template <class Store>
  void outer_products(const float* weight, const float* start, Store&& store) const {
    for (int f = 0; f < PAIR; f += PAIR_BLOCK)
      for (int h = 0; h < shape_.heads; h += HEADS_AT_ONCE) {
        Vec acc[HEADS_AT_ONCE][2];
        for (int r = 0; r < HEADS_AT_ONCE; r++)
          for (int c = 0; c < 2; c++)
            acc[r][c] = start ? vload(start + (h + r) * PAIR + f + c * LANES) : vset(0.0f);
        multiply_block<Fp32>(acc, as_words(weight + h), 1, STRIDE, as_words(pair_ + f), PAIR, n_);
        for (int r = 0; r < HEADS_AT_ONCE && h + r < shape_.heads; r++)
          store(h + r, f, acc[r][0], acc[r][1]);
      }
  }

 private:
  // What all pair features begin with, from f on: two vectors.
  void add_up(int i, int j, int f, const Vec* own, Vec* z) const {
    const float* other = other_ + size_t(j) * PAIR + f;
    const float* mixed = mixed_ + (size_t(i) * n_ + j) * PAIR + f;
#pragma GCC unroll 2
    for (int c = 0; c < 2; c++)
      z[c] = vload(mixed + c * LANES) + (own[c] + vload(other + c * LANES));
  }
  template <bool SLOPE>
  void activate(int j, int f, const Vec* z, float* slope) {
#pragma GCC unroll 2
    for (int c = 0; c < 2; c++) {
      const size_t at = size_t(j) * PAIR + f + c * LANES;
      if constexpr (SLOPE) {
        Vec y, dy;
        silu_and_slope<true>(z[c], y, dy);
        vstore(pair_ + at, y);
        vstore(slope + at, dy);
      } else {
        vstore(pair_ + at, silu<true>(z[c]));
      }
    }
  }

  // As `pair_features`, with what is told. Apart, so that the plain loop stays as small as it is.
  template <bool SLOPE>
  __attribute__((noinline)) void told_pair_features(int i, const float* own,
                                                    const PairParameters<NH>& weights,
                                                    float* slope) {
    for (int f = 0; f < PAIR; f += PAIR_BLOCK) {
      const Vec own_i[2] = {vload(own + f), vload(own + f + LANES)};
      Vec self[2];
      add_up(i, i, f, own_i, self);  // nothing is told of an atom and itself
      activate<SLOPE>(i, f, self, slope);
      for_told_blocks([&](auto rows, int first) {
        constexpr int R = decltype(rows)::value;
        Vec z[R][2];
        for (int r = 0; r < R; r++) add_up(i, other_of(i, first + r), f, own_i, z[r]);
        multiply_block<Fp32>(z, as_words(told_ + told_row(i, first) * shape_.told), shape_.told, 1,
                             as_words(weights.told + f), PAIR, shape_.told);
        for (int r = 0; r < R; r++) activate<SLOPE>(other_of(i, first + r), f, z[r], slope);
      });
    }
  }

  // mixed = C r(d_ij) + D r(d0_ij), the same for (i, j) and (j, i).
  void mix_radial(const PairParameters<NH>& weights) {
    alignas(64) float g[2][WINDOW_MEMORY];
    for (int i = 0; i < n_; i++) {
      float* diagonal = mixed_ + (size_t(i) * n_ + i) * PAIR;
      std::fill(diagonal, diagonal + PAIR, 0.0f);
      for (int j = i + 1; j < n_; j++) {
        const float* from[2];
        for (int which = 0; which < 2; which++) {
          const float t = (which ? input_ : now_).t[size_t(i) * row_ + j];
          from[which] = weights.radial[which] + PAIR * window<false>(t, g[which], nullptr);
        }
        float* to[2] = {mixed_ + (size_t(i) * n_ + j) * PAIR, mixed_ + (size_t(j) * n_ + i) * PAIR};
        for (int f = 0; f < PAIR; f += PAIR_BLOCK) {
          Vec acc[2][2] = {{vset(0.0f), vset(0.0f)}, {vset(0.0f), vset(0.0f)}};
#pragma GCC unroll 12
          for (int s = 0; s < WINDOW; s++)
#pragma GCC unroll 2
            for (int which = 0; which < 2; which++)
#pragma GCC unroll 2
              for (int c = 0; c < 2; c++)
                acc[which][c] = vfma(vset(g[which][s]),
                                     vload(from[which] + s * PAIR + f + c * LANES), acc[which][c]);
          for (int c = 0; c < 2; c++) {
            const Vec sum = acc[0][c] + acc[1][c];
            vstore(to[0] + f + c * LANES, sum);
            vstore(to[1] + f + c * LANES, sum);
          }
        }
      }
    }
  }

 protected:
  const PairShape shape_;
  const int n_, rows_, row_, width_;  // atoms; rounded up to blocks of rows, to whole registers
  const size_t cells_;                // width HEADS
  Workspace& memory_;
  const Scalar* projected_ = nullptr;
  const float* told_ = nullptr;
  Distances now_, input_;
  float *q_, *k_, *v_;  // (n, width, HEADS); q times 1 / sqrt(width)
  float* other_;        // (n, PAIR)
  float* pair_;         // (rows, PAIR) of one centre
  float* mixed_;        // (n, n, PAIR)
  float* sum_;          // (width, HEADS)
  float* unit_[3];      // (row,) of one centre
};

}  // namespace ead
