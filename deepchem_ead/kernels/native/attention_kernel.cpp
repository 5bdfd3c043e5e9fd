// The attention denoiser: forward pass of the whole network, and the parts of its backward pass that
// are not matrix products of all atoms.
//
// Forward, molecules travel through all layers in chunks of a few dozen atoms, one thread a chunk:
// what passes between the layers stays in that thread's cache, and threads meet only at the end.
//
// Compiled once per instruction set; see build.py. The exported functions end in _fp32 and _bf16.
#include <optional>

#include "attention_backward.h"
#include "attention_forward.h"
#include "pair_outputs.h"
#include "weight_gradients.h"

namespace ead {
namespace {

// Atoms times features of a chunk: its activations and one layer's weights share the second level
// cache, and what is read from a layer's weights is used often enough. No result depends on it.
constexpr int64_t CHUNK_VALUES = 64 * 256;
constexpr int64_t CHUNKS_PER_THREAD = 6;

// Work of a molecule, in arbitrary units: atoms pass maps, pairs the pair operation.
double cost(int64_t n_atoms) { return double(n_atoms) * double(n_atoms + 100); }

int64_t n_pairs(int64_t n_atoms) { return n_atoms * (n_atoms - 1); }

PairShape shape_of(const AttentionProblem& p) {
  return {int(p.n_features), int(p.n_heads), int(p.n_told)};
}

// Consecutive chunks of a range, each closed when it holds `values` or has cost `share`.
std::vector<MoleculeRange> divide(const AttentionProblem& p, const MoleculeRange& range,
                                  int64_t values, double share = INFINITY) {
  std::vector<MoleculeRange> chunks;
  double filled = 0.0;
  int64_t atoms = 0, atom = range.atom, pair = range.pair;
  for (int64_t m = range.first; m < range.last; m++) {
    if (chunks.empty() || atoms * p.n_features >= values || filled >= share) {
      chunks.push_back({m, m, atom, pair});
      filled = 0.0;
      atoms = 0;
    }
    chunks.back().last = m + 1;
    filled += cost(p.counts[m]);
    atoms += p.counts[m];
    atom += p.counts[m];
    pair += n_pairs(p.counts[m]);
  }
  return chunks;
}

template <class P, int NH>
void forward(const AttentionProblem& p) {
  static thread_local Workspace weights;
  const PairShape shape = shape_of(p);
  std::optional<PackedAttention<P, NH>> packed;
  if (!p.packed) packed.emplace(p, shape, weights);
  const auto* kept = static_cast<const KeptAttention<P, NH>*>(static_cast<const Kept*>(p.packed));
  const PackedAttention<P, NH>& net = kept ? kept->net : *packed;
  double total = 0.0;
  for (int64_t m = 0; m < p.n_molecules; m++) total += cost(p.counts[m]);
  const double share = total / double(p.n_threads * CHUNKS_PER_THREAD);
  const std::vector<MoleculeRange> chunks = divide(p, {0, p.n_molecules, 0, 0}, CHUNK_VALUES, share);
#pragma omp parallel num_threads(int(p.n_threads))
  {
#pragma omp for schedule(dynamic, 1)
    for (size_t task = 0; task < net.tasks.size(); task++) net.tasks[task]();
#pragma omp for schedule(dynamic, 1)
    for (size_t c = 0; c < chunks.size(); c++) {
      static thread_local Workspace memory;
      const ProductRegisters<P> registers;
      AttentionForward<P, NH>(p, net, shape, chunks[c], memory).evaluate();
    }
  }
}

// Molecules are shared out to a number of bins that does not depend on the number of threads, each
// with its own sums of weight gradients, added in order: gradients are reproducible.
constexpr int BINS = 16;

std::vector<MoleculeRange> bins(const AttentionProblem& p) {
  std::vector<MoleculeRange> found;
  double total = 0.0, done = 0.0;
  for (int64_t m = 0; m < p.n_molecules; m++) total += cost(p.counts[m]);
  int64_t m = 0, atom = 0, pair = 0;
  for (int bin = 0; bin < BINS; bin++) {
    MoleculeRange range = {m, m, atom, pair};
    for (; m < p.n_molecules && done * BINS < total * (bin + 1); m++) {
      done += cost(p.counts[m]);
      atom += p.counts[m];
      pair += n_pairs(p.counts[m]);
    }
    range.last = m;
    found.push_back(range);
  }
  return found;
}

template <int NH>
void store(const PairGradients<NH>& sums, const PairShape& shape, const PairPointers<float>& to) {
  for (int f = 0; f < PAIR; f++) {
    for (int k = 0; k < RADIAL; k++) {
      to.radial[f * RADIAL + k] = sums.radial[0][k * PAIR + f];
      to.radial_input[f * RADIAL + k] = sums.radial[1][k * PAIR + f];
    }
    for (int w = 0; w < shape.told; w++) to.told[f * shape.told + w] = sums.told[w * PAIR + f];
  }
  std::copy(sums.rows[0], sums.rows[0] + shape.heads * PAIR, to.logits);
  std::copy(sums.rows[1], sums.rows[1] + shape.heads * PAIR, to.gates);
  for (int c = 0; c < PRODUCTS; c++)
    for (int v = 0; v < shape.vectors(); v++) {
      to.left[c * shape.vectors() + v] = sums.products[0][c * NH * LANES + v];
      to.right[c * shape.vectors() + v] = sums.products[1][c * NH * LANES + v];
    }
}

// Gradients of a block's linear maps, in PyTorch's order, from what the bins have written down.
template <class P>
WeightGradients<P> map_gradients(const AttentionBackwardProblem& b, const PairShape& shape,
                                 Workspace& memory) {
  using Scalar = typename P::Scalar;
  const AttentionProblem& p = b.forward;
  const BlockPointers<float>& to = b.gradients;
  const int f = shape.features, projected = shape.projected(), received = shape.received();
  const size_t rows = p.n_atoms;
  const auto scalars = [](const void* array) { return static_cast<const Scalar*>(array); };
  const auto stored = [](float* dw, float* db, int inner) {
    return [=](int o, const float* row, float sum) {
      std::copy(row, row + inner, dw + size_t(o) * inner);
      db[o] = sum;
    };
  };
  WeightGradients<P> maps(rows, CONDITION + 6 * f + received, memory);
  const Scalar *normed = scalars(b.normed), *dmodulations = scalars(b.dmodulations);

  const Operand<P> condition = maps.operand(scalars(p.saved.condition), CONDITION);
  maps.add(dmodulations, 2 * f, condition, stored(to.norm_w, to.norm_b, CONDITION));
  maps.add(dmodulations + rows * 2 * f, 2 * f, condition,
           stored(to.norm_mlp_w, to.norm_mlp_b, CONDITION));
  maps.add(scalars(b.dprojected), projected, maps.operand(normed, f),
           [=, in_order = stored(to.project_w, to.project_b, f)](int o, const float* dw, float db) {
             in_order(shape.projection_of(o), dw, db);
           });
  maps.add(scalars(b.dout), f,
           maps.operand(scalars(p.saved.received) + b.layer * rows * received, received),
           [=](int o, const float* dw, float db) {
             float* row = to.out_w + size_t(o) * shape.received_used();
             for (int c = 0; c < shape.received_used(); c++) row[c] = dw[shape.received_at(c)];
             to.out_b[o] = db;
           });
  maps.add(scalars(b.dhidden), 3 * f, maps.operand(normed + rows * f, f),
           stored(to.mlp_w1, to.mlp_b1, f));
  maps.add(scalars(b.dmlp), f, maps.operand(scalars(b.activated), 3 * f),
           stored(to.mlp_w2, to.mlp_b2, 3 * f));
  maps.add(scalars(b.dmove), MOVE, maps.operand(p.saved.h + (b.layer + 1) * rows * f, f),
           [=, used = stored(to.move_w, to.move_b, f)](int o, const float* dw, float db) {
             if (o < shape.vectors()) used(o, dw, db);
           });
  return maps;
}

template <class P, int NH>
void backward(const AttentionBackwardProblem& b) {
  static thread_local Workspace weights, operands;
  const AttentionProblem& p = b.forward;
  const PairShape shape = shape_of(p);
  PackedAttentionBackward<P, NH> net(p, b.layer, shape, weights);
  const std::vector<MoleculeRange> ranges = bins(p);
  const bool trains = b.gradients.pair.radial;
  std::vector<PairGradients<NH>> sums(trains ? BINS : 0);
  WeightGradients<P> maps =
      trains ? map_gradients<P>(b, shape, operands) : WeightGradients<P>(0, 0, operands);
#pragma omp parallel num_threads(int(p.n_threads))
  {
#pragma omp for schedule(dynamic, 1)
    for (size_t task = 0; task < net.tasks.size(); task++) net.tasks[task]();
#pragma omp for schedule(dynamic, 1)
    for (int bin = 0; bin < BINS; bin++) {
      static thread_local Workspace memory;
      const ProductRegisters<P> registers;
      PairGradients<NH>* own = sums.empty() ? nullptr : &sums[bin];
      if (own) own->clear();
      for (const MoleculeRange& chunk : divide(p, ranges[bin], CHUNK_VALUES))
        AttentionBackward<P, NH>(b, net, shape, chunk, own, memory).run();
    }
#pragma omp for schedule(dynamic, 1)
    for (size_t task = 0; task < maps.packing.size(); task++) maps.packing[task]();
#pragma omp for schedule(dynamic, 1)
    for (size_t task = 0; task < maps.products.size(); task++) maps.products[task]();
  }
  if (sums.empty()) return;
  for (int bin = 1; bin < BINS; bin++) sums[0].add(sums[bin]);
  store(sums[0], shape, b.gradients.pair);
}

// Call body(std::integral_constant<int, NH>) with the number of registers that the heads need.
template <class Body>
void with_registers(int64_t heads, Body&& body) {
  const int registers = PairShape{0, int(heads), 0}.registers();
  if (registers == 1) body(std::integral_constant<int, 1>());
  else if (registers == 2) body(std::integral_constant<int, 2>());
  else if constexpr (MAX_REGISTERS > 2) body(std::integral_constant<int, 3>());
}

// to (features,) = sum over rows
template <class P>
void sum_rows(int64_t rows, int64_t features, int64_t n_threads, const void* matrix, float* to) {
  const auto* from = static_cast<const typename P::Scalar*>(matrix);
  constexpr int BLOCK = 8 * LANES;
#pragma omp parallel for schedule(static) num_threads(int(n_threads))
  for (int64_t first = 0; first < features; first += BLOCK) {
    const int n = int(std::min<int64_t>(BLOCK, features - first)) / LANES;
    Vec sum[8];
    for (Vec& s : sum) s = vset(0.0f);
    for (int64_t r = 0; r < rows; r++)
      for (int c = 0; c < n; c++)
        sum[c] = sum[c] + P::load(from + r * features + first + c * LANES);
    for (int c = 0; c < n; c++) vstore(to + first + c * LANES, sum[c]);
  }
}

}  // namespace
}  // namespace ead

#define EAD_EXPORT(SUFFIX, P)                                                                    \
  void* attention_keep_##SUFFIX(const ead::AttentionProblem* p) {                                \
    ead::Kept* kept = nullptr;                                                                   \
    ead::with_registers(p->n_heads, [&](auto n) {                                                \
      kept = new ead::KeptAttention<P, decltype(n)::value>(*p, ead::shape_of(*p));               \
    });                                                                                          \
    return kept;                                                                                 \
  }                                                                                              \
  void attention_forward_##SUFFIX(const ead::AttentionProblem* p) {                              \
    ead::with_registers(p->n_heads, [&](auto n) { ead::forward<P, decltype(n)::value>(*p); });   \
  }                                                                                              \
  void attention_backward_##SUFFIX(const ead::AttentionBackwardProblem* p) {                     \
    ead::with_registers(p->forward.n_heads,                                                      \
                        [&](auto n) { ead::backward<P, decltype(n)::value>(*p); });              \
  }                                                                                              \
  void sum_rows_##SUFFIX(int64_t rows, int64_t features, int64_t n_threads, const void* matrix,  \
                         float* to) {                                                            \
    ead::sum_rows<P>(rows, features, n_threads, matrix, to);                                     \
  }

extern "C" {
// Floats that the kernel keeps for each number of a vector of heads.
int attention_padded_heads(int heads) {
  return ead::PairShape{0, heads, 0}.registers() * ead::LANES;
}
// Free what attention_keep has returned.
void attention_release(void* kept) { delete static_cast<ead::Kept*>(kept); }
void attention_pair_outputs(const ead::PairOutputsProblem* p) { ead::pair_outputs::evaluate(*p); }
// For a check that Python declares the same structures.
void attention_structure_sizes(int64_t* sizes) {
  sizes[0] = sizeof(ead::AttentionProblem);
  sizes[1] = sizeof(ead::AttentionBlockPointers);
  sizes[2] = sizeof(ead::AttentionBackwardProblem);
  sizes[3] = sizeof(ead::PairOutputsProblem);
}
EAD_EXPORT(fp32, ead::Fp32)
#if defined(__AVX512BF16__)
EAD_EXPORT(bf16, ead::Bf16)
#endif
}
