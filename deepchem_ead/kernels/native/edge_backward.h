// Gradients of the edge network, tile by tile.
//
// silu(a) is always computed again, because the backward pass needs its derivative anyway; z and the
// read-outs are taken from the forward pass where it saved them.
#pragma once
#include "edge_forward.h"
#include "edge_problem.h"

namespace ead {

// Gradients of the weights that one bin of edges contributes: dW2 (F x F), then five vectors.
struct WeightGradients {
  float *w2, *b2, *w_out, *c_d, *c_0, *b_out;
  static size_t size(size_t features) { return features * features + 4 * features + 16; }
  WeightGradients(float* memory, size_t features)
      : w2(memory), b2(w2 + features * features), w_out(b2 + features), c_d(w_out + features),
        c_0(c_d + features), b_out(c_0 + features) {}
};

// Where a bin writes what its edges give to atoms j and to coordinates. A bin that begins inside a
// molecule has no right to that molecule's rows and uses a private copy, added up afterwards.
struct AtomGradients {
  float *dv, *dx, *dx0;  // indexed by the flat atom
};

struct Bin {
  int32_t begin, end, shared_begin, shared_end;  // atoms; molecule shared with an earlier bin
  AtomGradients own, shared;
};

struct Readout {  // derivatives of a tile's read-out, one per edge
  alignas(64) float logits[TILE], value[TILE], slope[TILE], dlogit[TILE], d_d2[TILE], d_d2_0[TILE];
  float ddiff[TILE][3];
};

// Coordinate updates: gradients of the logits and of x_i - x_j, from those of the outputs.
inline void updates_backward(const Problem& p, const Tile& tile, Readout& out) {
  for (int s = 0; s < tile.n_segments; s++) {
    const Segment seg = tile.segments[s];
    const float* g = p.grad_out + 3 * int64_t(seg.atom);
    for (int r = seg.first; r < seg.last; r++) {
      const float distance = std::sqrt(tile.now.d2[r] + 1e-8f), norm = distance + p.norm_constant;
      const float scale = p.coords_range / norm, weight = scale * out.value[r];
      const float d[3] = {tile.now.diff[0][r], tile.now.diff[1][r], tile.now.diff[2][r]};
      const float along = g[0] * d[0] + g[1] * d[1] + g[2] * d[2];
      out.dlogit[r] = along * scale * (1.0f - out.value[r] * out.value[r]);
      out.d_d2[r] = -0.5f * along * weight / (norm * distance);
      for (int k = 0; k < 3; k++) out.ddiff[r][k] = weight * g[k];
    }
  }
}

// A tile's matrix (rows x F) row by row, and as operand of add_outer_products. Where words are single
// scalars, they are stored at once; others are made of the rows later.
template <class P>
struct RowsAndWords {
  static constexpr bool AT_ONCE = P::PER_WORD == 1;
  typename P::Scalar* rows;
  Operand<P> words;

  void store_row(int r, int f, Vec a, Vec b) const {
    P::store2(rows + size_t(r) * words.columns + f, a, b);
  }
  void store_words(int r, int f, Vec a, Vec b) const {
    if constexpr (AT_ONCE) P::store2(reinterpret_cast<float*>(words.at(r, f)), a, b);
  }
  // n: rows of the tile
  Operand<P> operand(int n) const;
};

// dz = dm * silu'(z) for R rows of one atom i, with the gradients of w_out and b2 on the way.
// Messages: dm = gate g_i + dlogit w_out with dlogit = gate (1 - gate) m.g_i; updates: dm = dlogit
// w_out. dz begins at `row`. Several rows at once share the loads and stores of everything that is not theirs alone.
template <class P, bool COORDINATES, int R>
void output_rows_backward(const Problem& p, const float* g, const typename P::Scalar* z,
                          const float* gates, float* dlogits, float* work,
                          const RowsAndWords<P>& dz, int row, const WeightGradients& grads) {
  const int features = int(p.n_features);
  float *y = work, *slope = work + R * features;
  for (int r = 0; r < R; r++) {
    Vec dots[2] = {vset(0.0f), vset(0.0f)};
    for (int f = r * features; f < (r + 1) * features; f += 2 * LANES) {
#pragma GCC unroll 2
      for (int c = 0; c < 2; c++) {
        const int at = f + c * LANES;
        Vec value, derivative;
        silu_and_slope<P::EXACT>(P::load(z + at), value, derivative);
        if (!COORDINATES) dots[c] = vfma(value, vload(g + at - r * features), dots[c]);
        vstore(y + at, value);
        vstore(slope + at, derivative);
      }
    }
    if (!COORDINATES) dlogits[r] = gates[r] * (1.0f - gates[r]) * vsum(dots[0] + dots[1]);
    *grads.b_out += dlogits[r];
  }
  Vec gate[R], dlogit[R];
  for (int r = 0; r < R; r++) {
    gate[r] = vset(gates[r]);
    dlogit[r] = vset(dlogits[r]);
  }
  for (int f = 0; f < features; f += 2 * LANES) {
    Vec dzs[R][2];
#pragma GCC unroll 2
    for (int c = 0; c < 2; c++) {
      const int at = f + c * LANES;
      const Vec w_out = vload(p.w_out + at), g_i = COORDINATES ? vset(0.0f) : vload(g + at);
      Vec db2 = vload(grads.b2 + at), dw_out = vload(grads.w_out + at);
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
        Vec dm = dlogit[r] * w_out;
        if (!COORDINATES) dm = vfma(gate[r], g_i, dm);
        dzs[r][c] = dm * vload(slope + r * features + at);
        db2 = db2 + dzs[r][c];
        dw_out = vfma(dlogit[r], vload(y + r * features + at), dw_out);
      }
      vstore(grads.b2 + at, db2);
      vstore(grads.w_out + at, dw_out);
    }
    for (int r = 0; r < R; r++) {
      dz.store_row(row + r, f, dzs[r][0], dzs[r][1]);
      dz.store_words(row + r, f, dzs[r][0], dzs[r][1]);
    }
  }
}

constexpr int ROW_GROUP = 4;

template <class P, bool COORDINATES>
void output_layer_backward(const Problem& p, const Tile& tile, const typename P::Scalar* z,
                           Readout& readout, float* work, const RowsAndWords<P>& dz,
                           const WeightGradients& grads) {
  const int features = int(p.n_features);
  for (int s = 0; s < tile.n_segments; s++) {
    const Segment seg = tile.segments[s];
    const float* g = COORDINATES ? nullptr : p.grad_out + int64_t(seg.atom) * features;
    const auto run = [&](auto rows, int r) {
      output_rows_backward<P, COORDINATES, decltype(rows)::value>(
          p, g, z + size_t(r) * features, readout.value + r, readout.dlogit + r, work, dz, r, grads);
    };
    int r = seg.first;
    for (; r + ROW_GROUP <= seg.last; r += ROW_GROUP)
      run(std::integral_constant<int, ROW_GROUP>(), r);
    for (; r < seg.last; r++) run(std::integral_constant<int, 1>(), r);
  }
  clear_rows(dz.rows, features, tile.rows, pad_rows(tile.rows));
}

// da = dhidden * silu'(a), summed into du_i, dv_j, dc_d, dc_0 and (over features) d d2, d d2_0.
// Computes a again, and leaves hidden = silu(a) for the gradient of W2.
template <class P>
void hidden_layer_backward(const Problem& p, const Tile& tile, const float* dhidden, const Bin& bin,
                           Readout& readout, const RowsAndWords<P>& hidden,
                           const WeightGradients& grads) {
  const int features = int(p.n_features);
  Vec d_d2[TILE], d_d2_0[TILE];
  for (int r = 0; r < tile.rows; r++) d_d2[r] = d_d2_0[r] = vset(0.0f);
  for (int f = 0; f < features; f += 2 * LANES) {
    const Vec c_d[2] = {vload(p.c_d + f), vload(p.c_d + f + LANES)};
    const Vec c_0[2] = {vload(p.c_0 + f), vload(p.c_0 + f + LANES)};
    Vec dc_d[2] = {vload(grads.c_d + f), vload(grads.c_d + f + LANES)};
    Vec dc_0[2] = {vload(grads.c_0 + f), vload(grads.c_0 + f + LANES)};
    for (int s = 0; s < tile.n_segments; s++) {
      const Segment seg = tile.segments[s];
      const int64_t at = int64_t(seg.atom) * features + f;
      float* dv_rows = (seg.atom < bin.shared_end ? bin.shared : bin.own).dv;
      const Vec u_i[2] = {vload(p.u + at), vload(p.u + at + LANES)};
      Vec du_i[2] = {vload(p.du + at), vload(p.du + at + LANES)};
      for (int r = seg.first; r < seg.last; r++) {
        const int64_t j = int64_t(tile.j[r]) * features + f;
        const Vec d2 = vset(tile.now.d2[r]), d2_0 = vset(tile.input.d2[r]);
        Vec y[2], along = d_d2[r], along_0 = d_d2_0[r];
#pragma GCC unroll 2
        for (int c = 0; c < 2; c++) {
          const Vec a = vfma(d2_0, c_0[c], vfma(d2, c_d[c], u_i[c] + vload(p.v + j + c * LANES)));
          Vec slope;
          silu_and_slope<P::EXACT>(a, y[c], slope);
          const Vec da = slope * vload(dhidden + size_t(r) * features + f + c * LANES);
          du_i[c] = du_i[c] + da;
          dc_d[c] = vfma(d2, da, dc_d[c]);
          dc_0[c] = vfma(d2_0, da, dc_0[c]);
          along = vfma(da, c_d[c], along);
          along_0 = vfma(da, c_0[c], along_0);
          float* dv = dv_rows + j + c * LANES;
          vstore(dv, vload(dv) + da);
        }
        d_d2[r] = along;
        d_d2_0[r] = along_0;
        if constexpr (hidden.AT_ONCE) hidden.store_words(r, f, y[0], y[1]);
        else hidden.store_row(r, f, y[0], y[1]);
      }
      vstore(p.du + at, du_i[0]);
      vstore(p.du + at + LANES, du_i[1]);
    }
    for (int c = 0; c < 2; c++) {
      vstore(grads.c_d + f + c * LANES, dc_d[c]);
      vstore(grads.c_0 + f + c * LANES, dc_0[c]);
    }
  }
  for (int r = 0; r < tile.rows; r++) {
    readout.d_d2[r] += vsum(d_d2[r]);
    readout.d_d2_0[r] = vsum(d_d2_0[r]);
  }
  if (!hidden.AT_ONCE) clear_rows(hidden.rows, features, tile.rows, pad_rows(tile.rows));
}

inline void add_coordinate_gradients(const Problem& p, const Tile& tile,
                                     const Readout& readout, const Bin& bin) {
  for (int s = 0; s < tile.n_segments; s++) {
    const Segment seg = tile.segments[s];
    const AtomGradients& to = seg.atom < bin.shared_end ? bin.shared : bin.own;
    const int64_t i = 3 * int64_t(seg.atom);
    for (int r = seg.first; r < seg.last; r++) {
      const int64_t j = 3 * int64_t(tile.j[r]);
      for (int k = 0; k < 3; k++) {
        float d = 2.0f * readout.d_d2[r] * tile.now.diff[k][r];
        if (p.coordinates) d += readout.ddiff[r][k];
        to.dx[i + k] += d;
        to.dx[j + k] -= d;
        if (p.dx0) {
          const float d0 = 2.0f * readout.d_d2_0[r] * tile.input.diff[k][r];
          to.dx0[i + k] += d0;
          to.dx0[j + k] -= d0;
        }
      }
    }
  }
}

template <>
inline Operand<Fp32> RowsAndWords<Fp32>::operand(int) const { return words; }

#if defined(__AVX512BF16__)
template <>
inline Operand<Bf16> RowsAndWords<Bf16>::operand(int n) const {
  const __m512i low = _mm512_set_epi16(
      47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35,
      3, 34, 2, 33, 1, 32, 0);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  for (int r = 0; r < n; r += 2)
    for (int f = 0; f < words.columns; f += 32) {
      const uint16_t* at = rows + size_t(r) * words.columns + f;
      const __m512i even = _mm512_loadu_si512(at), odd = _mm512_loadu_si512(at + words.columns);
      uint32_t* to = words.at(r / 2, f);
      _mm512_storeu_si512(to, _mm512_permutex2var_epi16(even, low, odd));
      _mm512_storeu_si512(to + 16, _mm512_permutex2var_epi16(even, high, odd));
    }
  return words;
}
#endif

// Set to zero what the bin alone writes: its atoms i, and all atoms of molecules that begin in it.
inline void clear_gradients(const Problem& p, const Plan& plan, const Bin& bin) {
  const int features = int(p.n_features);
  clear_rows(p.du, features, bin.begin, bin.end);
  for (int32_t i = bin.begin; i < bin.end; i++) {
    if (plan.start[i] != i) continue;
    clear_rows(p.dv, features, i, plan.end[i]);
    clear_rows(p.dx, 3, i, plan.end[i]);
    if (p.dx0) clear_rows(p.dx0, 3, i, plan.end[i]);
  }
}

// The gradients of the edges of one bin. `net` is the problem's edge network.
template <class P>
void backward_range(const Problem& p, const EdgeNetwork& net, const Plan& plan,
                    const Coordinates& x, const Coordinates& x0, const Bin& bin,
                    const uint32_t* w2_transposed, const WeightGradients& grads) {
  using Scalar = typename P::Scalar;
  static thread_local Workspace memory;
  const int features = net.features;
  const size_t cells = size_t(TILE) * features;
  memory.reserve(cells * (3 * sizeof(Scalar) + 12) + 8 * ROW_GROUP * features + 4096);
  auto* hidden_rows = memory.take<Scalar>(cells);
  auto* dz_rows = memory.take<Scalar>(cells);
  auto* z_again = memory.take<Scalar>(cells);
  auto* dhidden = memory.take<float>(cells);
  auto* work = memory.take<float>(2 * ROW_GROUP * features);
  auto* hidden_words = memory.take<uint32_t>(cells / P::PER_WORD);
  auto* dz_words = memory.take<uint32_t>(cells / P::PER_WORD);
  Readout readout = {};
  const ProductRegisters<P> registers;

  clear_gradients(p, plan, bin);
  Tile tile(plan, bin.begin, bin.end);
  while (tile.next(plan, x, x0)) {
    const int words = words_of<P>(tile.rows);
    const RowsAndWords<P> hidden = {hidden_rows, {hidden_words, words, features}};
    const RowsAndWords<P> dz = {dz_rows, {dz_words, words, features}};
    const Scalar* z = z_again;
    if (tile.first_edge + tile.rows <= p.saved_edges) {
      z = static_cast<const Scalar*>(p.saved_z) + tile.first_edge * features;
      std::memcpy(readout.logits, p.saved_logits + tile.first_edge, sizeof(float) * tile.rows);
    } else {
      hidden_layer<P>(net, tile, hidden_rows);
      output_layer<P, true, false>(net, tile.rows, hidden_rows, z_again, tile.rows, nullptr,
                                   readout.logits);
    }
    if (p.coordinates) {
      map_tile(readout.logits, readout.value, tanh_exact);
      updates_backward(p, tile, readout);
      output_layer_backward<P, true>(p, tile, z, readout, work, dz, grads);
    } else {
      map_tile(readout.logits, readout.value, sigmoid<true>);
      std::memset(readout.d_d2, 0, sizeof(readout.d_d2));
      output_layer_backward<P, false>(p, tile, z, readout, work, dz, grads);
    }
    // dhidden = dz W2
    multiply<P>(tile.rows, features, features, dz_rows, features, w2_transposed, nullptr,
                [&](auto& acc, int r0, int first) { store_block(acc, dhidden, features, r0, first); });
    hidden_layer_backward<P>(p, tile, dhidden, bin, readout, hidden, grads);
    add_coordinate_gradients(p, tile, readout, bin);
    if (p.dw2)
      add_outer_products<P>(dz.operand(tile.rows), hidden.operand(tile.rows), 0, words, grads.w2);
  }
}

}  // namespace ead
