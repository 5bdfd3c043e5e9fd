// One EGNN edge network, forward and backward, fused over tiles of edges.
//
//   a_ij = u_i + v_j + d2_ij c_d + d2_0,ij c_0       m_ij = silu(W2 silu(a_ij) + b2)
//   messages:            out_i = sum_j sigmoid(w_out.m_ij + b_out) m_ij
//   coordinate updates:  out_i = sum_j range tanh(w_out.m_ij) (x_i - x_j) / (sqrt(d2 + 1e-8) + norm)
//
// A tile's activations never leave the cache. The forward pass can save z = W2 silu(a) + b2 and the
// read-outs for the backward pass, which otherwise computes them again; silu(a) is always computed
// again, because the backward pass needs its derivative anyway.
//
// Compiled once per instruction set; see build.py. The exported functions end in _fp32 and _bf16.
#include <cmath>

#include "edges.h"

namespace ead {
namespace {

// Rows [first, last) of matrix (rows x features) = 0.
template <class T>
void clear_rows(T* matrix, int features, int first, int last) {
  if (last > first)
    std::memset(matrix + size_t(first) * features, 0, sizeof(T) * features * (last - first));
}

// hidden (rows x F) = silu(a_ij). Features outside, edges inside: what belongs to atom i and to the
// weights stays in registers.
template <class P>
void hidden_layer(const Problem& p, const Tile& tile, typename P::Scalar* hidden) {
  const int features = int(p.n_features);
  for (int f = 0; f < features; f += 2 * LANES) {
    const Vec c_d[2] = {vload(p.c_d + f), vload(p.c_d + f + LANES)};
    const Vec c_0[2] = {vload(p.c_0 + f), vload(p.c_0 + f + LANES)};
    for (int s = 0; s < tile.n_segments; s++) {
      const Segment seg = tile.segments[s];
      const float* u = p.u + int64_t(seg.atom) * features + f;
      const Vec u_i[2] = {vload(u), vload(u + LANES)};
      for (int r = seg.first; r < seg.last; r++) {
        const float* v = p.v + int64_t(tile.j[r]) * features + f;
        const Vec d2 = vset(tile.d2[r]), d2_0 = vset(tile.d2_0[r]);
        const Vec a = vfma(d2_0, c_0[0], vfma(d2, c_d[0], u_i[0] + vload(v)));
        const Vec b = vfma(d2_0, c_0[1], vfma(d2, c_d[1], u_i[1] + vload(v + LANES)));
        P::store2(hidden + size_t(r) * features + f, silu<P::EXACT>(a), silu<P::EXACT>(b));
      }
    }
  }
  clear_rows(hidden, features, tile.rows, tile.padded_rows());
}

// product (padded rows x F) = a B (+ bias), with B packed. Rows of a are in the kernel's format.
template <class P>
void multiply(int features, int rows, const typename P::Scalar* a, const uint32_t* b,
              const float* bias, float* product) {
  const int words = features / P::PER_WORD;
  const auto* a_words = reinterpret_cast<const uint32_t*>(a);
  for_column_blocks(features, [&](auto columns, int first) {
    constexpr int C = decltype(columns)::value;
    for (int r0 = 0; r0 < rows; r0 += ROWS) {
      Vec acc[ROWS][C];
      for (int c = 0; c < C; c++) {
        const Vec start = bias ? vload(bias + first + c * LANES) : vset(0.0f);
        for (int r = 0; r < ROWS; r++) acc[r][c] = start;
      }
      multiply_block<P>(acc, a_words + size_t(r0) * words, words, 1, b, C * LANES, words);
      for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < C; c++)
          vstore(product + size_t(r0 + r) * features + first + c * LANES, acc[r][c]);
    }
    b += size_t(words) * C * LANES;
  });
}

// z = W2 hidden + b2, m = silu(z), logits = w_out.m (+ b_out). m (padded rows x F) is work space for
// z first; z itself is stored only where the caller wants it.
template <class P, bool STORE_Z, bool STORE_M>
void output_layer(const Problem& p, int rows, const typename P::Scalar* hidden, const uint32_t* w2,
                  typename P::Scalar* z, float* m, float* logits) {
  const int features = int(p.n_features);
  multiply<P>(features, rows, hidden, w2, p.b2, m);
  const float bias = p.b_out ? *p.b_out : 0.0f;
  for (int r = 0; r < rows; r++) {
    const size_t row = size_t(r) * features;
    Vec dots[2] = {vset(0.0f), vset(0.0f)};
    for (int f = 0; f < features; f += 2 * LANES) {
      const Vec pair[2] = {vload(m + row + f), vload(m + row + f + LANES)};
      if (STORE_Z) P::store2(z + row + f, pair[0], pair[1]);
#pragma GCC unroll 2
      for (int c = 0; c < 2; c++) {
        const Vec y = silu<P::EXACT>(pair[c]);
        if (STORE_M) vstore(m + row + f + c * LANES, y);
        dots[c] = vfma(y, vload(p.w_out + f + c * LANES), dots[c]);
      }
    }
    logits[r] = vsum(dots[0] + dots[1]) + bias;
  }
}

// values[r] = function(values[r]) for a tile of scalars
template <class Function>
void map_tile(const float* values, float* results, Function function) {
  for (int r = 0; r < TILE; r += LANES) vstore(results + r, function(vload(values + r)));
}

void add_messages(const Problem& p, const Tile& tile, const float* m, const float* gate) {
  const int features = int(p.n_features);
  for (int s = 0; s < tile.n_segments; s++) {
    const Segment seg = tile.segments[s];
    float* out = p.out + int64_t(seg.atom) * features;
    for (int f = 0; f < features; f += 2 * LANES) {
      Vec a = vload(out + f), b = vload(out + f + LANES);
      for (int r = seg.first; r < seg.last; r++) {
        const float* row = m + size_t(r) * features + f;
        a = vfma(vset(gate[r]), vload(row), a);
        b = vfma(vset(gate[r]), vload(row + LANES), b);
      }
      vstore(out + f, a);
      vstore(out + f + LANES, b);
    }
  }
}

void add_updates(const Problem& p, const Tile& tile, const float* tanh_logits) {
  for (int s = 0; s < tile.n_segments; s++) {
    const Segment seg = tile.segments[s];
    float* out = p.out + 3 * int64_t(seg.atom);
    for (int r = seg.first; r < seg.last; r++) {
      const float norm = std::sqrt(tile.d2[r] + 1e-8f) + p.norm_constant;
      const float weight = p.coords_range * tanh_logits[r] / norm;
      for (int k = 0; k < 3; k++) out[k] += weight * tile.diff[r][k];
    }
  }
}

template <class P, bool SAVE>
void forward_range(const Problem& p, const Plan& plan, int32_t begin, int32_t end,
                   const uint32_t* w2) {
  using Scalar = typename P::Scalar;
  static thread_local Workspace memory;
  const int features = int(p.n_features);
  const size_t cells = size_t(TILE) * features;
  memory.reserve(cells * (sizeof(Scalar) + 4) + 4096);
  auto* hidden = memory.take<Scalar>(cells);
  auto* m = memory.take<float>(cells);
  alignas(64) float logits[TILE] = {}, weight[TILE];

  const int width = p.coordinates ? 3 : features;
  clear_rows(p.out, width, begin, end);
  Tile tile(plan, begin, end);
  while (tile.next(plan, p.x, p.x0)) {
    hidden_layer<P>(p, tile, hidden);
    Scalar* z = SAVE ? static_cast<Scalar*>(p.saved_z) + tile.first_edge * features : nullptr;
    if (p.coordinates) {
      output_layer<P, SAVE, false>(p, tile.rows, hidden, w2, z, m, logits);
      map_tile(logits, weight, tanh_exact);
      add_updates(p, tile, weight);
    } else {
      output_layer<P, SAVE, true>(p, tile.rows, hidden, w2, z, m, logits);
      map_tile(logits, weight, sigmoid<true>);
      add_messages(p, tile, m, weight);
    }
    if (SAVE) std::memcpy(p.saved_logits + tile.first_edge, logits, sizeof(float) * tile.rows);
  }
}

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
void updates_backward(const Problem& p, const Tile& tile, Readout& out) {
  for (int s = 0; s < tile.n_segments; s++) {
    const Segment seg = tile.segments[s];
    const float* g = p.grad_out + 3 * int64_t(seg.atom);
    for (int r = seg.first; r < seg.last; r++) {
      const float distance = std::sqrt(tile.d2[r] + 1e-8f), norm = distance + p.norm_constant;
      const float scale = p.coords_range / norm, weight = scale * out.value[r];
      const float* d = tile.diff[r];
      const float along = g[0] * d[0] + g[1] * d[1] + g[2] * d[2];
      out.dlogit[r] = along * scale * (1.0f - out.value[r] * out.value[r]);
      out.d_d2[r] = -0.5f * along * weight / (norm * distance);
      for (int k = 0; k < 3; k++) out.ddiff[r][k] = weight * g[k];
    }
  }
}

// dz = dm * silu'(z) for R rows of one atom i, with the gradients of w_out and b2 on the way.
// Messages: dm = gate g_i + dlogit w_out with dlogit = gate (1 - gate) m.g_i; updates: dm = dlogit
// w_out. Several rows at once share the loads and stores of everything that is not theirs alone.
template <class P, bool COORDINATES, int R>
void output_rows_backward(const Problem& p, const float* g, const typename P::Scalar* z,
                          const float* gates, float* dlogits, float* work, typename P::Scalar* dz,
                          const WeightGradients& grads) {
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
    for (int r = 0; r < R; r++) P::store2(dz + size_t(r) * features + f, dzs[r][0], dzs[r][1]);
  }
}

constexpr int ROW_GROUP = 4;

template <class P, bool COORDINATES>
void output_layer_backward(const Problem& p, const Tile& tile, const typename P::Scalar* z,
                           Readout& readout, float* work, typename P::Scalar* dz,
                           const WeightGradients& grads) {
  const int features = int(p.n_features);
  for (int s = 0; s < tile.n_segments; s++) {
    const Segment seg = tile.segments[s];
    const float* g = COORDINATES ? nullptr : p.grad_out + int64_t(seg.atom) * features;
    const auto run = [&](auto rows, int r) {
      output_rows_backward<P, COORDINATES, decltype(rows)::value>(
          p, g, z + size_t(r) * features, readout.value + r, readout.dlogit + r, work,
          dz + size_t(r) * features, grads);
    };
    int r = seg.first;
    for (; r + ROW_GROUP <= seg.last; r += ROW_GROUP)
      run(std::integral_constant<int, ROW_GROUP>(), r);
    for (; r < seg.last; r++) run(std::integral_constant<int, 1>(), r);
  }
  clear_rows(dz, features, tile.rows, tile.padded_rows());
}

// da = dhidden * silu'(a), summed into du_i, dv_j, dc_d, dc_0 and (over features) d d2, d d2_0.
// Computes a again, and leaves hidden = silu(a) for the gradient of W2.
template <class P>
void hidden_layer_backward(const Problem& p, const Tile& tile, const float* dhidden, const Bin& bin,
                           Readout& readout, typename P::Scalar* hidden,
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
        const Vec d2 = vset(tile.d2[r]), d2_0 = vset(tile.d2_0[r]);
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
        P::store2(hidden + size_t(r) * features + f, y[0], y[1]);
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
  clear_rows(hidden, features, tile.rows, tile.padded_rows());
}

void add_coordinate_gradients(const Problem& p, const Tile& tile, const Readout& readout,
                              const Bin& bin) {
  for (int s = 0; s < tile.n_segments; s++) {
    const Segment seg = tile.segments[s];
    const AtomGradients& to = seg.atom < bin.shared_end ? bin.shared : bin.own;
    const int64_t i = 3 * int64_t(seg.atom);
    for (int r = seg.first; r < seg.last; r++) {
      const int64_t j = 3 * int64_t(tile.j[r]);
      for (int k = 0; k < 3; k++) {
        float d = 2.0f * readout.d_d2[r] * tile.diff[r][k];
        if (p.coordinates) d += readout.ddiff[r][k];
        to.dx[i + k] += d;
        to.dx[j + k] -= d;
        if (p.dx0) {
          const float d0 = 2.0f * readout.d_d2_0[r] * tile.diff0[r][k];
          to.dx0[i + k] += d0;
          to.dx0[j + k] -= d0;
        }
      }
    }
  }
}

// Matrix (rows x F) as words along its rows: [row / PER_WORD][F].
inline const uint32_t* words_along_rows(const float* matrix, int, int, uint32_t*) {
  return reinterpret_cast<const uint32_t*>(matrix);
}

#if defined(__AVX512BF16__)
inline const uint32_t* words_along_rows(const uint16_t* matrix, int rows, int features,
                                        uint32_t* words) {
  const __m512i low = _mm512_set_epi16(
      47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35,
      3, 34, 2, 33, 1, 32, 0);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  for (int r = 0; r < rows; r += 2)
    for (int f = 0; f < features; f += 32) {
      const uint16_t* at = matrix + size_t(r) * features + f;
      const __m512i even = _mm512_loadu_si512(at), odd = _mm512_loadu_si512(at + features);
      uint32_t* to = words + size_t(r / 2) * features + f;
      _mm512_storeu_si512(to, _mm512_permutex2var_epi16(even, low, odd));
      _mm512_storeu_si512(to + 16, _mm512_permutex2var_epi16(even, high, odd));
    }
  return words;
}
#endif

// dW2 += dz^T hidden over the rows of a tile.
template <class P>
void add_outer_products(int features, int rows, const uint32_t* dz, const uint32_t* hidden,
                        float* dw2) {
  constexpr int R = 4;
  const int steps = (rows + P::PER_WORD - 1) / P::PER_WORD;
  for_column_blocks(features, [&](auto columns, int first) {
    constexpr int C = decltype(columns)::value;
    for (int o = 0; o < features; o += R) {
      float* to = dw2 + size_t(o) * features + first;
      Vec acc[R][C];
      for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) acc[r][c] = vload(to + size_t(r) * features + c * LANES);
      multiply_block<P>(acc, dz + o, 1, features, hidden + first, features, steps);
      for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) vstore(to + size_t(r) * features + c * LANES, acc[r][c]);
    }
  });
}

// Set to zero what the bin alone writes: its atoms i, and all atoms of molecules that begin in it.
void clear_gradients(const Problem& p, const Plan& plan, const Bin& bin) {
  const int features = int(p.n_features);
  clear_rows(p.du, features, bin.begin, bin.end);
  for (int32_t i = bin.begin; i < bin.end; i++) {
    if (plan.start[i] != i) continue;
    clear_rows(p.dv, features, i, plan.end[i]);
    clear_rows(p.dx, 3, i, plan.end[i]);
    if (p.dx0) clear_rows(p.dx0, 3, i, plan.end[i]);
  }
}

template <class P>
void backward_range(const Problem& p, const Plan& plan, const Bin& bin, const uint32_t* w2,
                    const uint32_t* w2_transposed, const WeightGradients& grads) {
  using Scalar = typename P::Scalar;
  static thread_local Workspace memory;
  const int features = int(p.n_features);
  const size_t cells = size_t(TILE) * features;
  memory.reserve(cells * (3 * sizeof(Scalar) + 12) + 8 * ROW_GROUP * features + 4096);
  auto* hidden = memory.take<Scalar>(cells);
  auto* dz = memory.take<Scalar>(cells);
  auto* z_again = memory.take<Scalar>(cells);
  auto* dhidden = memory.take<float>(cells);
  auto* work = memory.take<float>(2 * ROW_GROUP * features);
  auto* hidden_words = memory.take<uint32_t>(cells / P::PER_WORD);
  auto* dz_words = memory.take<uint32_t>(cells / P::PER_WORD);
  Readout readout = {};

  clear_gradients(p, plan, bin);
  Tile tile(plan, bin.begin, bin.end);
  while (tile.next(plan, p.x, p.x0)) {
    const Scalar* z = z_again;
    if (p.saved_z) {
      z = static_cast<const Scalar*>(p.saved_z) + tile.first_edge * features;
      std::memcpy(readout.logits, p.saved_logits + tile.first_edge, sizeof(float) * tile.rows);
    } else {
      hidden_layer<P>(p, tile, hidden);
      output_layer<P, true, false>(p, tile.rows, hidden, w2, z_again, dhidden, readout.logits);
    }
    if (p.coordinates) {
      map_tile(readout.logits, readout.value, tanh_exact);
      updates_backward(p, tile, readout);
    } else {
      map_tile(readout.logits, readout.value, sigmoid<true>);
      std::memset(readout.d_d2, 0, sizeof(readout.d_d2));
    }
    if (p.coordinates) output_layer_backward<P, true>(p, tile, z, readout, work, dz, grads);
    else output_layer_backward<P, false>(p, tile, z, readout, work, dz, grads);
    multiply<P>(features, tile.rows, dz, w2_transposed, nullptr, dhidden);  // dz W2
    hidden_layer_backward<P>(p, tile, dhidden, bin, readout, hidden, grads);
    add_coordinate_gradients(p, tile, readout, bin);
    if (p.dw2)
      add_outer_products<P>(features, tile.rows,
                            words_along_rows(dz, tile.rows, features, dz_words),
                            words_along_rows(hidden, tile.rows, features, hidden_words), grads.w2);
  }
}

template <class P>
void forward(const Problem& p) {
  static thread_local std::vector<uint32_t> w2;
  const Plan plan(p);
  const int features = int(p.n_features);
  w2.resize(size_t(features) * features / P::PER_WORD);
  pack<P>(p.w2, 1, features, features, features, w2.data());
  // Small enough to share out evenly, large enough to fill tiles. No result depends on it.
  const int64_t wanted = std::max<int64_t>(plan.n_edges() / 512, p.n_threads);
  const int parts = int(std::max<int64_t>(1, std::min<int64_t>(wanted, plan.n_atoms())));
  const std::vector<int32_t> bounds = plan.split(parts);
  const uint32_t* packed = w2.data();
#pragma omp parallel for schedule(dynamic, 1) num_threads(int(p.n_threads))
  for (int part = 0; part < parts; part++) {
    if (p.saved_z) forward_range<P, true>(p, plan, bounds[part], bounds[part + 1], packed);
    else forward_range<P, false>(p, plan, bounds[part], bounds[part + 1], packed);
  }
}

// Edges are cut into a number of bins that does not depend on the number of threads (up to that
// many threads), each with its own sums, added in order: gradients are reproducible.
constexpr int BINS = 8;

template <class P>
void backward(const Problem& p) {
  static thread_local std::vector<uint32_t> w2, w2_transposed;
  static thread_local Workspace memory;
  const Plan plan(p);
  const size_t features = p.n_features, square = features * features;
  w2.resize(square / P::PER_WORD);
  w2_transposed.resize(square / P::PER_WORD);
  pack<P>(p.w2, 1, features, features, features, w2.data());
  pack<P>(p.w2, features, 1, features, features, w2_transposed.data());

  const int n_bins = std::max(BINS, int(p.n_threads));
  const std::vector<int32_t> bounds = plan.split(n_bins);
  const size_t stride = WeightGradients::size(features), per_atom = features + 6;
  size_t shared_atoms = 0;
  std::vector<Bin> bins;
  for (int b = 0; b < n_bins; b++) {
    const int32_t begin = bounds[b], end = bounds[b + 1];
    const bool cut = begin < end && plan.start[begin] < begin;
    Bin bin = {begin, end, 0, 0, {p.dv, p.dx, p.dx0}, {}};
    if (cut) bin.shared_begin = plan.start[begin], bin.shared_end = plan.end[begin];
    shared_atoms += bin.shared_end - bin.shared_begin;
    bins.push_back(bin);
  }
  memory.reserve(sizeof(float) * (n_bins * stride + shared_atoms * per_atom) + 4096);
  float* sums = memory.take<float>(n_bins * stride);
  float* copies = memory.take<float>(shared_atoms * per_atom);
  for (Bin& bin : bins) {
    const int64_t first = bin.shared_begin, n = bin.shared_end - first;
    bin.shared = {copies - first * int64_t(features), copies + n * features - 3 * first,
                  copies + n * (features + 3) - 3 * first};
    copies += n * per_atom;
  }

  const uint32_t *packed = w2.data(), *transposed = w2_transposed.data();
#pragma omp parallel for schedule(dynamic, 1) num_threads(int(p.n_threads))
  for (int b = 0; b < n_bins; b++) {
    const Bin& bin = bins[b];
    float* own = sums + b * stride;
    std::memset(own, 0, sizeof(float) * stride);
    if (bin.shared_end > bin.shared_begin)
      std::memset(bin.shared.dv + bin.shared_begin * int64_t(features), 0,
                  sizeof(float) * (bin.shared_end - bin.shared_begin) * per_atom);
    backward_range<P>(p, plan, bin, packed, transposed, WeightGradients(own, features));
  }

  for (const Bin& bin : bins) {
    for (int64_t i = bin.shared_begin; i < bin.shared_end; i++) {
      for (size_t f = 0; f < features; f++)
        p.dv[i * features + f] += bin.shared.dv[i * int64_t(features) + f];
      for (int k = 0; k < 3; k++) {
        p.dx[3 * i + k] += bin.shared.dx[3 * i + k];
        if (p.dx0) p.dx0[3 * i + k] += bin.shared.dx0[3 * i + k];
      }
    }
  }
  if (!p.dw2) return;
  const auto add_up = [&](float* to, size_t offset, size_t n) {
    for (size_t k = 0; k < n; k++) to[k] = sums[offset + k];
    for (int b = 1; b < n_bins; b++)
      for (size_t k = 0; k < n; k++) to[k] += sums[b * stride + offset + k];
  };
#pragma omp parallel for schedule(static) num_threads(int(p.n_threads))
  for (size_t o = 0; o < features; o++) add_up(p.dw2 + o * features, o * features, features);
  add_up(p.db2, square, features);
  add_up(p.dw_out, square + features, features);
  add_up(p.dc_d, square + 2 * features, features);
  add_up(p.dc_0, square + 3 * features, features);
  if (p.db_out) add_up(p.db_out, square + 4 * features, 1);
}

}  // namespace
}  // namespace ead

extern "C" {
void forward_fp32(const ead::Problem* p) { ead::forward<ead::Fp32>(*p); }
void backward_fp32(const ead::Problem* p) { ead::backward<ead::Fp32>(*p); }
#if defined(__AVX512BF16__)
void forward_bf16(const ead::Problem* p) { ead::forward<ead::Bf16>(*p); }
void backward_bf16(const ead::Problem* p) { ead::backward<ead::Bf16>(*p); }
#endif
}
