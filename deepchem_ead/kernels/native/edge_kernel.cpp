// One EGNN edge network over all edges of a batch, forward and backward, by all threads.
//
// Compiled once per instruction set; see build.py. The exported functions end in _fp32 and _bf16.
#include "edge_backward.h"

namespace ead {
namespace {

EdgeNetwork network_of(const Problem& p, const uint32_t* packed_w2) {
  return {int(p.n_features), p.u, p.v, p.c_d, p.c_0, p.b2, p.w_out, p.b_out ? *p.b_out : 0.0f,
          packed_w2};
}

template <class P>
void forward(const Problem& p) {
  static thread_local Workspace weights;  // aligned: vectors across cache lines load at half speed
  const Plan plan(p.counts, p.n_molecules);
  const Coordinates x(p.x, plan.n_atoms()), x0(p.x0, plan.n_atoms());
  const int features = int(p.n_features);
  const size_t words = size_t(features) * features / P::PER_WORD;
  weights.reserve(sizeof(uint32_t) * words);
  uint32_t* w2 = weights.take<uint32_t>(words);
  pack<P>(p.w2, features, features, features, features, w2);
  // Small enough to share out evenly, large enough to fill tiles. No result depends on it.
  const int64_t wanted = std::max<int64_t>(plan.n_edges() / 512, p.n_threads);
  const int parts = int(std::max<int64_t>(1, std::min<int64_t>(wanted, plan.n_atoms())));
  const std::vector<int32_t> bounds = plan.split(parts);
  const EdgeNetwork net = network_of(p, w2);
  const Saved<P> saved = {p.saved_edges, static_cast<typename P::Scalar*>(p.saved_z),
                          p.saved_logits};
#pragma omp parallel for schedule(dynamic, 1) num_threads(int(p.n_threads))
  for (int part = 0; part < parts; part++) {
    const ProductRegisters<P> registers;
    const int32_t begin = bounds[part], end = bounds[part + 1];
    if (p.coordinates)
      sum_updates<P>(net, plan, x, x0, p.coords_range, p.norm_constant, begin, end, p.out, saved);
    else
      sum_messages<P>(net, plan, x, x0, begin, end, p.out, p.n_features, saved);
  }
}

// Edges are cut into a number of bins that does not depend on the number of threads (up to that
// many threads), each with its own sums, added in order: gradients are reproducible.
constexpr int BINS = 8;

template <class P>
void backward(const Problem& p) {
  static thread_local Workspace weights, memory;
  const Plan plan(p.counts, p.n_molecules);
  const Coordinates x(p.x, plan.n_atoms()), x0(p.x0, plan.n_atoms());
  const size_t features = p.n_features, square = features * features;
  weights.reserve(2 * (sizeof(uint32_t) * square / P::PER_WORD + 64));
  uint32_t* w2 = weights.take<uint32_t>(square / P::PER_WORD);
  uint32_t* transposed = weights.take<uint32_t>(square / P::PER_WORD);
  pack<P>(p.w2, features, features, features, features, w2);
  pack_transposed<P>(p.w2, features, features, features, transposed);

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

  const EdgeNetwork net = network_of(p, w2);
#pragma omp parallel for schedule(dynamic, 1) num_threads(int(p.n_threads))
  for (int b = 0; b < n_bins; b++) {
    const Bin& bin = bins[b];
    float* own = sums + b * stride;
    std::memset(own, 0, sizeof(float) * stride);
    if (bin.shared_end > bin.shared_begin)
      std::memset(bin.shared.dv + bin.shared_begin * int64_t(features), 0,
                  sizeof(float) * (bin.shared_end - bin.shared_begin) * per_atom);
    backward_range<P>(p, net, plan, x, x0, bin, transposed, WeightGradients(own, features));
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
