// The edge network of the EGNN, forward, tile by tile.
//
//   a_ij = u_i + v_j + d2_ij c_d + d2_0,ij c_0       m_ij = silu(W2 silu(a_ij) + b2)
//   messages:            out_i = sum_j sigmoid(w_out.m_ij + b_out) m_ij
//   coordinate updates:  out_i = sum_j range tanh(w_out.m_ij) (x_i - x_j) / (sqrt(d2 + 1e-8) + norm)
//
// A tile's activations never leave the cache.
#pragma once
#include <cmath>

#include "edges.h"

namespace ead {

// Weights and node values of one edge network. Arrays of atoms are indexed by the plan's atoms.
struct EdgeNetwork {
  int features;
  const float *u, *v;                   // (A, F)
  const float *c_d, *c_0, *b2, *w_out;  // (F,)
  float b_out;
  const uint32_t* w2;  // packed

  template <bool EXACT>
  static Vec activation(Vec x) { return silu<EXACT>(x); }
  static Vec gate(Vec logit) { return sigmoid<true>(logit); }
};

// The same with u, v, c_d, c_0 and b2 multiplied by -log2(e) and w_out divided by it, so that
// activations, which are multiplied by it too, take one product less.
struct ScaledEdgeNetwork : EdgeNetwork {
  template <bool EXACT>
  static Vec activation(Vec t) { return scaled_silu<EXACT>(t); }
  static Vec gate(Vec logit) { return vset(-LN2) * sigmoid<true>(logit); }
};

// What the backward pass finds again, of the first edges.
template <class P>
struct Saved {
  int64_t edges = 0;
  typename P::Scalar* z = nullptr;  // (edges, F) W2 silu(a) + b2
  float* logits = nullptr;          // (edges,) w_out.m + b_out
};

// Rows [first, last) of matrix (rows x features) = 0.
template <class T>
void clear_rows(T* matrix, int features, int first, int last) {
  if (last > first)
    std::memset(matrix + size_t(first) * features, 0, sizeof(T) * features * (last - first));
}

// hidden (rows x F) = silu(a_ij). Edges outside, features inside: rows are read and written in one go.
template <class P, class Network>
void hidden_layer(const Network& net, const Tile& tile, typename P::Scalar* hidden) {
  const int features = net.features;
  for (int s = 0; s < tile.n_segments; s++) {
    const Segment seg = tile.segments[s];
    const float* u = net.u + int64_t(seg.atom) * features;
    for (int r = seg.first; r < seg.last; r++) {
      const float* v = net.v + int64_t(tile.j[r]) * features;
      const Vec d2 = vset(tile.now.d2[r]), d2_0 = vset(tile.input.d2[r]);
      typename P::Scalar* to = hidden + size_t(r) * features;
      for (int f = 0; f < features; f += 2 * LANES) {
        Vec y[2];
#pragma GCC unroll 2
        for (int c = 0; c < 2; c++) {
          const int at = f + c * LANES;
          const Vec a = vfma(d2_0, vload(net.c_0 + at),
                             vfma(d2, vload(net.c_d + at), vload(u + at) + vload(v + at)));
          y[c] = Network::template activation<P::EXACT>(a);
        }
        P::store2(to + f, y[0], y[1]);
      }
    }
  }
  clear_rows(hidden, features, tile.rows, pad_rows(tile.rows));
}

// z = W2 hidden + b2, m = silu(z), logits = w_out.m + b_out. The first z_rows of z are stored.
template <class P, bool STORE_Z, bool STORE_M, class Network>
void output_layer(const Network& net, int rows, const typename P::Scalar* hidden,
                  typename P::Scalar* z, int z_rows, float* m, float* logits) {
  const int features = net.features;
  alignas(64) float dots[TILE][LANES];
  multiply<P>(rows, features, features, hidden, features, net.w2, net.b2,
              [&](auto& acc, int r0, int first) {
    constexpr int R = block_rows<decltype(acc)>, C = block_vectors<decltype(acc)>;
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      const size_t at = size_t(r0 + r) * features + first;
      Vec dot = first ? vload(dots[r0 + r]) : vset(0.0f);
#pragma GCC unroll 8
      for (int c = 0; c < C; c++) {
        const Vec y = Network::template activation<P::EXACT>(acc[r][c]);
        if (STORE_M) vstore(m + at + c * LANES, y);
        dot = vfma(y, vload(net.w_out + first + c * LANES), dot);
      }
      if (STORE_Z && r0 + r < z_rows)
#pragma GCC unroll 4
        for (int c = 0; c < C; c += 2) P::store2(z + at + c * LANES, acc[r][c], acc[r][c + 1]);
      vstore(dots[r0 + r], dot);
    }
  });
  for (int r = 0; r < rows; r++) logits[r] = vsum(vload(dots[r])) + net.b_out;
}

// results[r] = function(values[r]) for a tile of scalars
template <class Function>
void map_tile(const float* values, float* results, Function function) {
  for (int r = 0; r < TILE; r += LANES) vstore(results + r, function(vload(values + r)));
}

inline void add_messages(int features, const Tile& tile, const float* m, const float* gate,
                         float* sums, long stride) {
  for (int s = 0; s < tile.n_segments; s++) {
    const Segment seg = tile.segments[s];
    float* out = sums + seg.atom * stride;
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

inline void add_updates(const Tile& tile, const float* tanh_logits, float coords_range,
                        float norm_constant, float* sums) {
  alignas(64) float weight[TILE];
  for (int r = 0; r < TILE; r += LANES) {
    const Vec norm = vsqrt(vload(tile.now.d2 + r) + vset(1e-8f)) + vset(norm_constant);
    vstore(weight + r, vset(coords_range) * vload(tanh_logits + r) / norm);
  }
  for (int s = 0; s < tile.n_segments; s++) {
    const Segment seg = tile.segments[s];
    float* out = sums + 3 * int64_t(seg.atom);
    for (int k = 0; k < 3; k++)
      for (int r = seg.first; r < seg.last; r++) out[k] += weight[r] * tile.now.diff[k][r];
  }
}

// Work space of one thread for one tile.
template <class P>
struct TileMemory {
  typename P::Scalar* hidden;
  float* m;

  static TileMemory of_thread(int features) {
    static thread_local Workspace memory;
    const size_t cells = size_t(TILE) * features;
    memory.reserve(cells * (sizeof(typename P::Scalar) + sizeof(float)) + 4096);
    return {memory.take<typename P::Scalar>(cells), memory.take<float>(cells)};
  }
};

// The second layer of a tile, keeping what `saved` wants to keep.
template <class P, bool STORE_M, class Network>
void output_layer(const Network& net, const Tile& tile, const TileMemory<P>& memory,
                  const Saved<P>& saved, float* logits) {
  const int kept = int(std::min<int64_t>(tile.rows, saved.edges - tile.first_edge));
  if (kept > 0) {
    output_layer<P, true, STORE_M>(net, tile.rows, memory.hidden,
                                   saved.z + tile.first_edge * net.features, kept, memory.m,
                                   logits);
    std::memcpy(saved.logits + tile.first_edge, logits, sizeof(float) * kept);
  } else {
    output_layer<P, false, STORE_M>(net, tile.rows, memory.hidden, nullptr, 0, memory.m, logits);
  }
}

// sums of atoms [begin, end) = their messages; rows (A, F) are `stride` apart. The caller holds the
// ProductRegisters.
template <class P, class Network>
void sum_messages(const Network& net, const Plan& plan, const Coordinates& x,
                  const Coordinates& x0, int32_t begin, int32_t end, float* sums, long stride,
                  const Saved<P>& saved = {}) {
  const auto memory = TileMemory<P>::of_thread(net.features);
  alignas(64) float logits[TILE] = {}, gate[TILE];
  for (int32_t i = begin; i < end; i++) clear_rows(sums + i * stride, net.features, 0, 1);
  Tile tile(plan, begin, end);
  while (tile.next(plan, x, x0)) {
    hidden_layer<P>(net, tile, memory.hidden);
    output_layer<P, true>(net, tile, memory, saved, logits);
    map_tile(logits, gate, Network::gate);
    add_messages(net.features, tile, memory.m, gate, sums, stride);
  }
}

// sums (A, 3) of atoms [begin, end) = their coordinate updates. The caller holds the
// ProductRegisters.
template <class P, class Network>
void sum_updates(const Network& net, const Plan& plan, const Coordinates& x,
                 const Coordinates& x0, float coords_range, float norm_constant, int32_t begin,
                 int32_t end, float* sums, const Saved<P>& saved = {}) {
  const auto memory = TileMemory<P>::of_thread(net.features);
  alignas(64) float logits[TILE] = {}, weight[TILE];
  clear_rows(sums, 3, begin, end);
  Tile tile(plan, begin, end);
  while (tile.next(plan, x, x0)) {
    hidden_layer<P>(net, tile, memory.hidden);
    output_layer<P, false>(net, tile, memory, saved, logits);
    map_tile(logits, weight, tanh_exact);
    add_updates(tile, weight, coords_range, norm_constant, sums);
  }
}

}  // namespace ead
