// The attention denoiser: forward pass of the whole network, and the parts of its backward pass that
// are not matrix products of all atoms.
//
// Forward, molecules travel through all layers in chunks of a few dozen atoms, one thread a chunk:
// what passes between the layers stays in that thread's cache, and threads meet only at the end.
//
// Compiled once per instruction set; see build.py. The exported functions end in _fp32 and _bf16.
#include "attention_forward.h"
#include "pair_backward.h"

namespace ead {
namespace {

// Atoms times features of a chunk: its activations and one layer's weights share the second level
// cache, and what is read from a layer's weights is used often enough. No result depends on it.
constexpr int64_t CHUNK_VALUES = 64 * 256;
constexpr int64_t CHUNKS_PER_THREAD = 6;

// Work of a molecule, in arbitrary units: atoms pass maps, pairs the pair operation.
double cost(int64_t n_atoms) { return double(n_atoms) * double(n_atoms + 100); }

std::vector<MoleculeRange> divide(const AttentionProblem& p) {
  double total = 0.0, filled = 0.0;
  for (int64_t m = 0; m < p.n_molecules; m++) total += cost(p.counts[m]);
  const double share = total / double(p.n_threads * CHUNKS_PER_THREAD);
  std::vector<MoleculeRange> chunks;
  int64_t atom = 0, atoms = 0;
  for (int64_t m = 0; m < p.n_molecules; m++) {
    if (chunks.empty() || atoms * p.n_features >= CHUNK_VALUES || filled >= share) {
      chunks.push_back({m, m, atom});
      filled = 0.0;
      atoms = 0;
    }
    chunks.back().last = m + 1;
    filled += cost(p.counts[m]);
    atoms += p.counts[m];
    atom += p.counts[m];
  }
  return chunks;
}

template <class P, int NH>
void forward(const AttentionProblem& p) {
  static thread_local Workspace weights;
  const PairShape shape = {int(p.n_features), int(p.n_heads)};
  PackedAttention<P, NH> net(p, shape, weights);
  const std::vector<MoleculeRange> chunks = divide(p);
#pragma omp parallel num_threads(int(p.n_threads))
  {
#pragma omp for schedule(dynamic, 1)
    for (size_t task = 0; task < net.tasks.size(); task++) net.tasks[task]();
#pragma omp for schedule(dynamic, 1)
    for (size_t c = 0; c < chunks.size(); c++) {
      static thread_local Workspace memory;
      AttentionForward<P, NH>(p, net, shape, chunks[c], memory).evaluate();
    }
  }
}

// Molecules are shared out to a number of bins that does not depend on the number of threads, each
// with its own sums of weight gradients, added in order: gradients are reproducible.
constexpr int BINS = 16;

template <class P, int NH>
void pairs_backward(const PairBackwardProblem& p) {
  using Scalar = typename P::Scalar;
  constexpr int HEADS = NH * LANES;
  const PairShape shape = {int(p.n_features), int(p.n_heads)};
  std::vector<int64_t> atom(1, 0), bounds;
  std::vector<double> work(1, 0.0);
  for (int64_t m = 0; m < p.n_molecules; m++) {
    atom.push_back(atom.back() + p.counts[m]);
    work.push_back(work.back() + double(p.counts[m]) * double(p.counts[m] + 4));
  }
  for (int bin = 0; bin <= BINS; bin++)
    bounds.push_back(std::lower_bound(work.begin(), work.end(), work.back() * bin / BINS) -
                     work.begin());
  const PairParameters<NH> packed(p.weights, shape.heads);
  std::vector<PairGradients<NH>> sums(p.dradial ? BINS : 0);
#pragma omp parallel for schedule(dynamic, 1) num_threads(int(p.n_threads))
  for (int bin = 0; bin < BINS; bin++) {
    static thread_local Workspace memory;
    PairParameters<NH> weights = packed;
    PairGradients<NH>* own = p.dradial ? &sums[bin] : nullptr;
    if (own) own->clear();
    for (int64_t m = bounds[bin]; m < bounds[bin + 1]; m++) {
      const int64_t i = atom[m];
      const PairBackwardArrays<P> arrays = {
          static_cast<const Scalar*>(p.projected) + i * shape.projected(), p.x + 3 * i,
          p.x0 + 3 * i, p.vectors + i * 3 * HEADS, p.softmax + i * 2 * HEADS,
          static_cast<const Scalar*>(p.dreceived) + i * shape.received(),
          p.move_weights + i * MOVE, p.dmove + 3 * i,
          static_cast<Scalar*>(p.dprojected) + i * shape.projected(),
          p.dx ? p.dx + 3 * i : nullptr, p.dx0 ? p.dx0 + 3 * i : nullptr};
      PairBackward<P, NH>(shape, int(p.counts[m]), memory).run(arrays, weights, own);
    }
  }
  if (!p.dradial) return;
  PairGradients<NH>& total = sums[0];
  for (int bin = 1; bin < BINS; bin++) total.add(sums[bin]);
  for (int f = 0; f < PAIR; f++)
    for (int k = 0; k < RADIAL; k++) {
      p.dradial[f * RADIAL + k] = total.radial[0][k * PAIR + f];
      p.dradial_input[f * RADIAL + k] = total.radial[1][k * PAIR + f];
    }
  std::copy(total.rows[0], total.rows[0] + shape.heads * PAIR, p.dlogits);
  std::copy(total.rows[1], total.rows[1] + shape.heads * PAIR, p.dgates);
  for (int c = 0; c < PRODUCTS; c++)
    for (int v = 0; v < shape.vectors(); v++) {
      p.dleft[c * shape.vectors() + v] = total.products[0][c * HEADS + v];
      p.dright[c * shape.vectors() + v] = total.products[1][c * HEADS + v];
    }
}

// Call body(std::integral_constant<int, NH>) with the number of registers that the heads need.
template <class Body>
void with_registers(int64_t heads, Body&& body) {
  const int registers = PairShape{0, int(heads)}.registers();
  if (registers == 1) body(std::integral_constant<int, 1>());
  else if (registers == 2) body(std::integral_constant<int, 2>());
  else if constexpr (MAX_REGISTERS > 2) body(std::integral_constant<int, 3>());
}

struct Rows {  // of a (n, features) step over rows
  int64_t n, features, n_threads;
};

template <class Body>
void for_rows(const Rows& rows, Body&& body) {
#pragma omp parallel for schedule(static) num_threads(int(rows.n_threads))
  for (int64_t r = 0; r < rows.n; r++) body(r);
}

template <class P>
void norm_backward(const Rows& rows, const float* h, const void* modulation, const void* dn,
                   int64_t modulation_stride, float* dh, void* dh_scalars, void* dmodulation,
                   void* n) {
  using Scalar = typename P::Scalar;
  const int64_t f = rows.features;
  for_rows(rows, [&](int64_t r) {
    adaptive_norm_backward<P>(h + r * f, static_cast<const Scalar*>(modulation) + r * modulation_stride,
                              static_cast<const Scalar*>(dn) + r * f, int(f), dh + r * f,
                              static_cast<Scalar*>(dh_scalars) + r * f,
                              static_cast<Scalar*>(dmodulation) + r * modulation_stride,
                              static_cast<Scalar*>(n) + r * f);
  });
}

// dz = dy silu'(z) in place of dy, y = silu(z)
template <class P>
void silu_backward(const Rows& rows, const void* z, void* dy, void* y) {
  using Scalar = typename P::Scalar;
  for_rows(rows, [&](int64_t r) {
    for (int64_t f = r * rows.features; f < (r + 1) * rows.features; f += 2 * LANES) {
      Vec value[2], d[2];
      for (int c = 0; c < 2; c++) {
        Vec slope;
        silu_and_slope<P::EXACT>(P::load(static_cast<const Scalar*>(z) + f + c * LANES), value[c],
                                 slope);
        d[c] = P::load(static_cast<Scalar*>(dy) + f + c * LANES) * slope;
      }
      P::store2(static_cast<Scalar*>(y) + f, value[0], value[1]);
      P::store2(static_cast<Scalar*>(dy) + f, d[0], d[1]);
    }
  });
}

// to += from, also rounded to scalars; from may be null
template <class P>
void add_rows(const Rows& rows, float* to, const void* from, void* scalars) {
  using Scalar = typename P::Scalar;
  for_rows(rows, [&](int64_t r) {
    for (int64_t f = r * rows.features; f < (r + 1) * rows.features; f += 2 * LANES) {
      Vec v[2];
      for (int c = 0; c < 2; c++) {
        v[c] = vload(to + f + c * LANES);
        if (from) v[c] = v[c] + P::load(static_cast<const Scalar*>(from) + f + c * LANES);
        vstore(to + f + c * LANES, v[c]);
      }
      P::store2(static_cast<Scalar*>(scalars) + f, v[0], v[1]);
    }
  });
}

// to (features,) = sum over rows
template <class P>
void sum_rows(const Rows& rows, const void* matrix, float* to) {
  const auto* from = static_cast<const typename P::Scalar*>(matrix);
  constexpr int BLOCK = 8 * LANES;
#pragma omp parallel for schedule(static) num_threads(int(rows.n_threads))
  for (int64_t first = 0; first < rows.features; first += BLOCK) {
    const int n = int(std::min<int64_t>(BLOCK, rows.features - first)) / LANES;
    Vec sum[8];
    for (Vec& s : sum) s = vset(0.0f);
    for (int64_t r = 0; r < rows.n; r++)
      for (int c = 0; c < n; c++)
        sum[c] = sum[c] + P::load(from + r * rows.features + first + c * LANES);
    for (int c = 0; c < n; c++) vstore(to + first + c * LANES, sum[c]);
  }
}

// dweights (n, MOVE) = vectors . dmove
template <class P>
void move_backward(const Rows& rows, int64_t heads, const float* vectors, const float* dmove,
                   void* dweights) {
  const int padded = PairShape{0, int(heads)}.registers() * LANES;
  for_rows(rows, [&](int64_t r) {
    alignas(64) float d[MOVE] = {};
    for (int c = 0; c < padded; c += LANES) {
      Vec sum = vset(0.0f);
      for (int k = 0; k < 3; k++)
        sum = vfma(vload(vectors + (3 * r + k) * padded + c), vset(dmove[3 * r + k]), sum);
      vstore(d + c, sum);
    }
    to_scalars<P>(d, MOVE, static_cast<typename P::Scalar*>(dweights) + r * MOVE);
  });
}

}  // namespace
}  // namespace ead

#define EAD_EXPORT(SUFFIX, P)                                                                      \
  void attention_forward_##SUFFIX(const ead::AttentionProblem* p) {                                \
    ead::with_registers(p->n_heads, [&](auto n) { ead::forward<P, decltype(n)::value>(*p); });     \
  }                                                                                                \
  void pairs_backward_##SUFFIX(const ead::PairBackwardProblem* p) {                                \
    ead::with_registers(p->n_heads,                                                                \
                        [&](auto n) { ead::pairs_backward<P, decltype(n)::value>(*p); });          \
  }                                                                                                \
  void norm_backward_##SUFFIX(int64_t n, int64_t f, int64_t threads, const float* h,               \
                              const void* modulation, const void* dn, int64_t stride, float* dh,   \
                              void* dh_scalars, void* dmodulation, void* norm) {                   \
    ead::norm_backward<P>({n, f, threads}, h, modulation, dn, stride, dh, dh_scalars, dmodulation, \
                          norm);                                                                   \
  }                                                                                                \
  void silu_backward_##SUFFIX(int64_t n, int64_t f, int64_t threads, const void* z, void* dy,      \
                              void* y) {                                                           \
    ead::silu_backward<P>({n, f, threads}, z, dy, y);                                              \
  }                                                                                                \
  void add_rows_##SUFFIX(int64_t n, int64_t f, int64_t threads, float* to, const void* from,       \
                         void* scalars) {                                                          \
    ead::add_rows<P>({n, f, threads}, to, from, scalars);                                          \
  }                                                                                                \
  void sum_rows_##SUFFIX(int64_t n, int64_t f, int64_t threads, const void* matrix, float* to) {   \
    ead::sum_rows<P>({n, f, threads}, matrix, to);                                                 \
  }                                                                                                \
  void move_backward_##SUFFIX(int64_t n, int64_t heads, int64_t threads, const float* vectors,     \
                              const float* dmove, void* dweights) {                                \
    ead::move_backward<P>({n, 0, threads}, heads, vectors, dmove, dweights);                       \
  }

extern "C" {
// Floats that the kernel keeps for each number of a vector of heads.
int attention_padded_heads(int heads) {
  return ead::PairShape{0, heads}.registers() * ead::LANES;
}
// For a check that Python declares the same structures.
void attention_structure_sizes(int64_t* sizes) {
  sizes[0] = sizeof(ead::AttentionProblem);
  sizes[1] = sizeof(ead::AttentionBlockPointers);
  sizes[2] = sizeof(ead::PairBackwardProblem);
}
EAD_EXPORT(fp32, ead::Fp32)
#if defined(__AVX512BF16__)
EAD_EXPORT(bf16, ead::Bf16)
#endif
}
