// The pair operation of the attention denoiser, backward. Everything but the softmax's row maxima and
// sums and the vectors is computed again.
#pragma once
#include "attention_problem.h"
#include "pair_molecule.h"

namespace ead {

// What the backward pass of one molecule reads and writes; rows of its first atom.
template <class P>
struct PairBackwardArrays {
  using Scalar = typename P::Scalar;
  const Scalar* projected;
  const float *x, *x0, *told, *vectors, *softmax;  // as the forward pass received and left them
  const Scalar* dreceived;                   // (n, received())
  const float *move_weights, *dmove;         // (n, MOVE), (n, 3): the move is their V's weighted sum
  Scalar* dprojected;                        // (n, projected())
  float *dx, *dx0;                           // (n, 3); either may be null; dx0 is added to
  float* dtold;                              // (n (n - 1), W), added to; null if not wanted
};

template <class P, int NH>
class PairBackward : PairMolecule<P, NH> {
  using Base = PairMolecule<P, NH>;
  using Base::n_, Base::shape_, Base::row_, Base::rows_, Base::unit_, Base::now_, Base::input_,
      Base::cells_, Base::pair_, Base::mixed_;

 public:
  using typename Base::Scalar;
  using Base::HEADS, Base::STRIDE;

  PairBackward(const PairShape& shape, int n, Workspace& memory)
      : Base(shape, n, true, memory) {
    reads_ = memory.template take<float>(size_t(n) * rows_ * STRIDE);
    dvalues_ = memory.template take<float>(n * cells_);
    dpairs_ = memory.template take<float>(MAX_HEADS * PAIR);
    slope_ = memory.template take<float>(size_t(rows_) * PAIR);
    dpair_ = memory.template take<float>(size_t(rows_) * PAIR);
    dother_ = memory.template take<float>(size_t(n) * PAIR);
    for (float*& u : dunit_) u = memory.template take<float>(row_);
    for (float*& u : dposition_) u = memory.template take<float>(row_);
    for (float*& d : ddistance_) d = memory.template take<float>(size_t(n) * row_);
    ordered_ = memory.template take<Pair>(size_t(n) * (n - 1) / 2);
  }

  // weights: its free part is overwritten. sums: gradients of the weights are added; may be null.
  void run(const PairBackwardArrays<P>& a, PairParameters<NH>& weights, PairGradients<NH>* sums) {
    Base::load(a.projected, a.x, a.x0, a.told, weights);
    const int f = shape_.features;
    std::fill(dother_, dother_ + size_t(n_) * PAIR, 0.0f);
    for (float* d : dposition_) std::fill(d, d + row_, 0.0f);
    std::fill(dmean_, dmean_ + 3, 0.0f);
    for (int i = 0; i < n_; i++) {
      const Scalar* grad = a.dreceived + size_t(i) * shape_.received();
      Scalar* dprojected = a.dprojected + size_t(i) * shape_.projected();
      float* reads = reads_ + size_t(i) * rows_ * STRIDE;
      alignas(64) float dvectors[3 * HEADS];
      vector_gradients(i, a, weights, sums, dvectors);
      Base::load_heads(grad, 1.0f, dvalues_ + i * cells_);
      to_floats<P>(grad + f, shape_.heads * PAIR, dpairs_);
      for (int h = 0; h < shape_.heads; h++)
        for (int k = 0; k < PAIR; k++) weights.reads[(k * 3 + 2) * HEADS + h] = dpairs_[h * PAIR + k];
      Base::template pair_features<true>(i, weights, slope_);
      Base::template read_pairs<3>(weights.reads, reads);
      Base::add_products(Base::q_ + i * cells_, Base::k_, reads);
      Base::add_products(dvalues_ + i * cells_, Base::v_, reads + 2 * HEADS);
      Base::unit_vectors(i);
      softmax_gradients(i, a.softmax + size_t(i) * 2 * HEADS, dvectors, reads);
      const float scale = 1.0f / std::sqrt(float(Base::width_));
      Base::weighted_sum(reads, STRIDE, Base::k_, scale, dprojected);
      if (sums)
        for (int part = 0; part < 2; part++) {
          float* to = sums->rows[part];
          Base::outer_products(reads + part * HEADS, to, [&](int h, int f, Vec a, Vec b) {
            vstore(to + h * PAIR + f, a);
            vstore(to + h * PAIR + f + LANES, b);
          });
        }
      pair_gradients(weights, reads);
      hidden_gradients(i, dprojected + 3 * f);
      unit_vector_gradients(i);
    }
    for (int j = 0; j < n_; j++) {  // q holds the scale already
      const float* column = reads_ + j * STRIDE;
      const size_t stride = size_t(rows_) * STRIDE;
      Scalar* dprojected = a.dprojected + size_t(j) * shape_.projected();
      Base::weighted_sum(column, stride, Base::q_, 1.0f, dprojected + f);
      Base::weighted_sum(column + 2 * HEADS, stride, dvalues_, 1.0f, dprojected + 2 * f);
      to_scalars<P>(dother_ + size_t(j) * PAIR, PAIR, dprojected + 3 * f + PAIR);
    }
    if (a.told && sums) told_weight_gradients(sums->told);
    if (a.dtold) told_gradients(weights, a.dtold);
    if (a.dx) radial_gradients<true>(0, weights, sums);
    else radial_gradients<false>(0, weights, sums);
    if (a.dx0) radial_gradients<true>(1, weights, sums);
    else radial_gradients<false>(1, weights, sums);
    if (a.dx)
      position_gradients(now_, ddistance_[0], [&](int i, int k, float d) {
        a.dx[3 * i + k] = d + dposition_[k][i] - dmean_[k] / float(n_);
      });
    if (a.dx0)
      position_gradients(input_, ddistance_[1], [&](int i, int k, float d) {
        a.dx0[3 * i + k] += d;
      });
  }

 private:
  struct Pair {
    int i, j;
  };
  float* reads_;         // (n, rows, STRIDE)
  float* dvalues_;       // (n, width, HEADS)
  float* dpairs_;        // (heads, PAIR) of one centre
  float* slope_;         // (rows, PAIR) of one centre
  float* dpair_;         // (rows, PAIR) of one centre
  float* dother_;        // (n, PAIR)
  float* dunit_[3];      // (row,) of one centre
  float* dposition_[3];  // (row,)
  float dmean_[3];       // of own positions, which are relative to the mean
  float* ddistance_[2];  // (n, row): now, input
  Pair* ordered_;        // (n (n - 1) / 2,) by their windows

  // Gradients (3, HEADS) of the vectors of atom i from its move, their norms and their products.
  void vector_gradients(int i, const PairBackwardArrays<P>& a, const PairParameters<NH>& weights,
                        PairGradients<NH>* sums, float* to) {
    const int n_vectors = shape_.vectors();
    const float* v = a.vectors + size_t(i) * 3 * HEADS;
    const Scalar* grad = a.dreceived + size_t(i) * shape_.received() + shape_.norms();
    alignas(64) float dside[2][3][PRODUCTS];
    for (int c = 0; c < PRODUCTS; c += LANES) {
      Vec side[2][3];
      for (int k = 0; k < 3; k++) side[0][k] = side[1][k] = vset(0.0f);
      for (int m = 0; m < n_vectors; m++)
        for (int s = 0; s < 2; s++) {
          const Vec w = vload(weights.columns[s] + m * PRODUCTS + c);
          for (int k = 0; k < 3; k++) side[s][k] = vfma(vset(v[k * HEADS + m]), w, side[s][k]);
        }
      Vec product = side[0][0] * side[1][0];
      for (int k = 1; k < 3; k++) product = vfma(side[0][k], side[1][k], product);
      // d/du u / sqrt(1 + |u|) = (1 + |u| / 2) / (1 + |u|)^(3/2)
      const Vec size = vabs(product), one = vset(1.0f);
      const Vec slope = vfma(size, vset(0.5f), one) / ((one + size) * vsqrt(one + size));
      const Vec d = P::load(grad + n_vectors + c) * slope;
      for (int s = 0; s < 2; s++)
        for (int k = 0; k < 3; k++) vstore(dside[s][k] + c, d * side[1 - s][k]);
    }
    for (int c = 0; c < HEADS; c += LANES) {
      Vec dv[3], square = vset(1e-8f);
      const Vec weight = vload(a.move_weights + size_t(i) * MOVE + c);
      for (int k = 0; k < 3; k++)
        square = vfma(vload(v + k * HEADS + c), vload(v + k * HEADS + c), square);
      const Vec dnorm = first_lanes(P::load(grad + c), n_vectors - c) / vsqrt(square);
      for (int k = 0; k < 3; k++)
        dv[k] = vfma(dnorm, vload(v + k * HEADS + c), weight * vset(a.dmove[3 * i + k]));
      for (int s = 0; s < 2; s++)
        for (int m = 0; m < PRODUCTS; m++) {
          const Vec w = vload(weights.products[s] + m * HEADS + c);
          for (int k = 0; k < 3; k++) dv[k] = vfma(vset(dside[s][k][m]), w, dv[k]);
          if (!sums) continue;
          float* dw = sums->products[s] + m * HEADS + c;
          Vec sum = vload(dw);
          for (int k = 0; k < 3; k++)
            sum = vfma(vset(dside[s][k][m]), vload(v + k * HEADS + c), sum);
          vstore(dw, sum);
        }
      for (int k = 0; k < 3; k++) vstore(to + k * HEADS + c, dv[k]);
    }
    for (int k = 0; k < 3; k++) {
      float& own = to[k * HEADS + shape_.heads];
      dposition_[k][i] += own;
      dmean_[k] += own;
      own = 0.0f;
    }
  }

  // reads holds [logits | gates | gradients of attention by values and pairs] of centre i and becomes
  // [gradients of logits | gradients of gates | attention].
  void softmax_gradients(int i, const float* softmax, const float* dvectors, float* reads) {
    for (float* d : dunit_) std::fill(d, d + row_, 0.0f);
    for (int c = 0; c < HEADS; c += LANES) {
      Vec dvector[3];
      for (int k = 0; k < 3; k++) dvector[k] = vload(dvectors + k * HEADS + c);
      const Vec largest = vload(softmax + c), inverse = vload(softmax + HEADS + c);
      Vec sum = vset(0.0f);
      for (int j = 0; j < n_; j++) {
        float* row = reads + j * STRIDE + c;
        const Vec gate = vload(row + HEADS);
        const Vec a = j == i ? vset(0.0f)
                             : exp2_fast<true>((vload(row) - largest) * vset(LOG2E)) * inverse;
        Vec along = dvector[0] * vset(unit_[0][j]);
        for (int k = 1; k < 3; k++) along = vfma(dvector[k], vset(unit_[k][j]), along);
        const Vec da = vfma(gate, along, vload(row + 2 * HEADS)), weight = a * gate;
        for (int k = 0; k < 3; k++) dunit_[k][j] += vsum(weight * dvector[k]);
        sum = vfma(a, da, sum);
        vstore(row, da);
        vstore(row + HEADS, a * along);
        vstore(row + 2 * HEADS, a);
      }
      for (int j = 0; j < n_; j++) {
        float* row = reads + j * STRIDE + c;
        vstore(row, vload(row + 2 * HEADS) * (vload(row) - sum));
      }
    }
  }

  // dpair = dlogit L + dgate G + attention dpairs, over heads
  void pair_gradients(const PairParameters<NH>& weights, const float* reads) const {
    for (int f = 0; f < PAIR; f += PAIR_BLOCK)
      for (int r0 = 0; r0 < rows_; r0 += ROWS) {
        Vec acc[ROWS][2];
        for (int r = 0; r < ROWS; r++) acc[r][0] = acc[r][1] = vset(0.0f);
        const uint32_t* a = as_words(reads + r0 * STRIDE);
        const int heads = shape_.heads;
        multiply_block<Fp32>(acc, a, STRIDE, 1, as_words(weights.rows[0] + f), PAIR, heads);
        multiply_block<Fp32>(acc, a + HEADS, STRIDE, 1, as_words(weights.rows[1] + f), PAIR, heads);
        multiply_block<Fp32>(acc, a + 2 * HEADS, STRIDE, 1, as_words(dpairs_ + f), PAIR, heads);
        for (int r = 0; r < ROWS; r++)
          for (int c = 0; c < 2; c++) vstore(dpair_ + (r0 + r) * PAIR + f + c * LANES, acc[r][c]);
      }
  }

  // Through silu: gradients of own_i, other_j and of the radial part, which replace the latter.
  void hidden_gradients(int i, Scalar* down) {
    for (int f = 0; f < PAIR; f += PAIR_BLOCK) {
      Vec sum[2] = {vset(0.0f), vset(0.0f)};
      for (int j = 0; j < n_; j++)
        for (int c = 0; c < 2; c++) {
          const size_t at = size_t(j) * PAIR + f + c * LANES;
          const Vec dz = vload(dpair_ + at) * vload(slope_ + at);
          vstore(dother_ + at, vload(dother_ + at) + dz);
          vstore(mixed_ + size_t(i) * n_ * PAIR + at, dz);
          sum[c] = sum[c] + dz;
        }
      P::store2(down + f, sum[0], sum[1]);
    }
  }

  // E, from the gradients of what it adds to: sums over all pairs of the molecule, some columns at a
  // time. What is told of a centre's pairs goes round, the gradients begin with atom 0: two runs.
  __attribute__((noinline)) void told_weight_gradients(float* to) const {
    const int columns = shape_.told;
    const auto add = [&](auto rows, int w) {
      constexpr int R = decltype(rows)::value;
      for (int f = 0; f < PAIR; f += PAIR_BLOCK) {
        Vec acc[R][2];
        for (int r = 0; r < R; r++)
          for (int c = 0; c < 2; c++) acc[r][c] = vload(to + (w + r) * PAIR + f + c * LANES);
        for (int i = 0; i < n_; i++) {
          const float* dz = mixed_ + size_t(i) * n_ * PAIR + f;
          const uint32_t* told = as_words(Base::told_ + Base::told_row(i, 0) * columns + w);
          const int behind = n_ - 1 - i;
          multiply_block<Fp32>(acc, told, 1, columns, as_words(dz + (i + 1) * PAIR), PAIR, behind);
          multiply_block<Fp32>(acc, told + size_t(behind) * columns, 1, columns, as_words(dz), PAIR, i);
        }
        for (int r = 0; r < R; r++)
          for (int c = 0; c < 2; c++) vstore(to + (w + r) * PAIR + f + c * LANES, acc[r][c]);
      }
    };
    int w = 0;
    for (; w + ROWS <= columns; w += ROWS) add(std::integral_constant<int, ROWS>(), w);
    for (; w < columns; w++) add(std::integral_constant<int, 1>(), w);
  }

  // What is told itself.
  __attribute__((noinline)) void told_gradients(const PairParameters<NH>& weights,
                                                float* to) const {
    for (int i = 0; i < n_; i++)
      for (int k = 0; k < n_ - 1; k++) {
        const uint32_t* dz = as_words(mixed_ + (size_t(i) * n_ + Base::other_of(i, k)) * PAIR);
        float* row = to + Base::told_row(i, k) * shape_.told;
        for (int w = 0; w < shape_.told; w += PAIR_BLOCK) {
          Vec acc[1][2] = {{vset(0.0f), vset(0.0f)}};
          multiply_block<Fp32>(acc, dz, PAIR, 1, as_words(weights.told_rows + w), MAX_TOLD, PAIR);
          for (int c = 0; c < 2; c++) {
            const int left = shape_.told - w - c * LANES;
            alignas(64) float found[LANES];
            vstore(found, acc[0][c]);
            for (int l = 0; l < std::min(LANES, left); l++) row[w + c * LANES + l] += found[l];
          }
        }
      }
  }

  // From the unit vectors (x_i - x_j) / (d_ij + 1) to positions and distances.
  void unit_vector_gradients(int i) {
    Vec sums[3] = {vset(0.0f), vset(0.0f), vset(0.0f)};
    for (int j = 0; j < row_; j += LANES) {
      const size_t at = size_t(i) * row_ + j;
      const Vec inverse = vset(1.0f) / (vload(now_.distance + at) + vset(1.0f));
      Vec along = vset(0.0f);
      for (int k = 0; k < 3; k++) {
        const Vec du = vload(dunit_[k] + j), dx = du * inverse;
        along = vfma(du, vload(unit_[k] + j), along);
        sums[k] = sums[k] + dx;
        vstore(dposition_[k] + j, vload(dposition_[k] + j) - dx);
      }
      vstore(ddistance_[0] + at, vset(0.0f) - along * inverse);
    }
    for (int k = 0; k < 3; k++) dposition_[k][i] += vsum(sums[k]);
  }

  // From the radial parts of pairs (i, j) and (j, i) to the current (0) or input (1) distances, if
  // wanted, and to C or D. Pairs with the same window of Gaussians are worked off together: what they
  // add to its weights stays in registers.
  template <bool DISTANCES>
  void radial_gradients(int which, const PairParameters<NH>& weights, PairGradients<NH>* sums) {
    const Distances& d = which ? input_ : now_;
    int end[RADIAL - WINDOW + 1] = {};
    for (int i = 0; i < n_; i++)
      for (int j = i + 1; j < n_; j++) end[window_start(d.t[size_t(i) * row_ + j])]++;
    for (int w = 1; w <= RADIAL - WINDOW; w++) end[w] += end[w - 1];
    for (int i = n_; i-- > 0;)
      for (int j = n_; j-- > i + 1;)
        ordered_[--end[window_start(d.t[size_t(i) * row_ + j])]] = {i, j};
    const int n_pairs = n_ * (n_ - 1) / 2;
    for (int w = 0; w <= RADIAL - WINDOW; w++) {  // now the window's first pair
      const int first = end[w], last = w < RADIAL - WINDOW ? end[w + 1] : n_pairs;
      if (first == last) continue;
      const float* weight = weights.radial[which] + w * PAIR;
      float* dweight = sums ? sums->radial[which] + w * PAIR : nullptr;
      for (int f = 0; f < PAIR; f += PAIR_BLOCK)
        window_gradients<DISTANCES>(which, f, ordered_ + first, ordered_ + last, weight + f,
                                    dweight ? dweight + f : nullptr);
    }
  }

  // The same for the pairs of one window and PAIR_BLOCK pair features, from f on.
  template <bool DISTANCES>
  void window_gradients(int which, int f, const Pair* pair, const Pair* last, const float* weight,
                        float* dweight) {
    alignas(64) float g[WINDOW_MEMORY], slope[WINDOW_MEMORY];
    const Distances& d = which ? input_ : now_;
    float* ddistance = ddistance_[which];
    Vec sum[WINDOW][2];
    for (int s = 0; s < WINDOW; s++)
      for (int c = 0; c < 2; c++)
        sum[s][c] = dweight ? vload(dweight + s * PAIR + c * LANES) : vset(0.0f);
    for (; pair < last; pair++) {
      const auto [i, j] = *pair;
      const float* a = mixed_ + (size_t(i) * n_ + j) * PAIR + f;
      const float* b = mixed_ + (size_t(j) * n_ + i) * PAIR + f;
      const Vec dmixed[2] = {vload(a) + vload(b), vload(a + LANES) + vload(b + LANES)};
      const size_t at = size_t(i) * row_ + j, mirrored = size_t(j) * row_ + i;
      window<DISTANCES>(d.t[at], g, slope);
      if constexpr (DISTANCES) {
        Vec along[2] = {vset(0.0f), vset(0.0f)};
#pragma GCC unroll 12
        for (int s = 0; s < WINDOW; s++)
#pragma GCC unroll 2
          for (int c = 0; c < 2; c++)
            along[c] = vfma(vset(slope[s]), vload(weight + s * PAIR + c * LANES), along[c]);
        const float dt = vsum(vfma(along[0], dmixed[0], along[1] * dmixed[1]));
        const float by_t = dt * (1.0f / RADIAL_SPACING) / (1.0f + d.distance[at]);
        if (f == 0) {
          const float by_unit = which ? 0.0f : ddistance[at] + ddistance[mirrored];
          ddistance[at] = ddistance[mirrored] = by_t + by_unit;
        } else {
          ddistance[at] = ddistance[mirrored] += by_t;
        }
      }
#pragma GCC unroll 12
      for (int s = 0; s < WINDOW; s++)
#pragma GCC unroll 2
        for (int c = 0; c < 2; c++) sum[s][c] = vfma(vset(g[s]), dmixed[c], sum[s][c]);
    }
    if (!dweight) return;
    for (int s = 0; s < WINDOW; s++)
      for (int c = 0; c < 2; c++) vstore(dweight + s * PAIR + c * LANES, sum[s][c]);
  }

  // store(i, k, gradient of coordinate k of atom i) from the gradients of distances.
  template <class Store>
  void position_gradients(const Distances& d, float* ddistance, Store&& store) const {
    for (int i = 0; i < n_; i++) {
      Vec sums[3] = {vset(0.0f), vset(0.0f), vset(0.0f)};
      float* row = ddistance + size_t(i) * row_;
      row[i] = 0.0f;
      std::fill(row + n_, row + row_, 0.0f);
      for (int j = 0; j < row_; j += LANES) {
        const Vec scale = vload(row + j) / vload(d.distance + size_t(i) * row_ + j);
        for (int k = 0; k < 3; k++)
          sums[k] = vfma(scale, vset(d.x[k][i]) - vload(d.x[k] + j), sums[k]);
      }
      for (int k = 0; k < 3; k++) store(i, k, vsum(sums[k]));
    }
  }
};

}  // namespace ead
