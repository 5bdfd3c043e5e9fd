// The whole EGNN without gradients, for a batch of molecules, by all threads.
//
// Molecules travel through all layers in chunks of a few dozen atoms, one thread a chunk: what passes
// between the layers stays in that thread's cache, and threads meet only at the end. A molecule that
// would keep one thread busy for too long is shared by all of them, who then meet after every step.
//
// Compiled once per instruction set; see build.py. The exported functions end in _fp32 and _bf16.
#include "network.h"

namespace ead {
namespace {

// Atoms times features of a chunk: its activations and one layer's weights share the second level
// cache, and what is read from a layer's weights is used often enough. No result depends on it.
constexpr int64_t CHUNK_VALUES = 64 * 256;
constexpr int64_t CHUNKS_PER_THREAD = 6;

struct Range {
  int64_t first, last, atom;  // molecules, and the first one's first atom
};

// Products of F x F with one column that a molecule needs in each layer.
double cost(int64_t n_atoms) { return double(2 * n_atoms * (n_atoms - 1) + 7 * n_atoms); }

// Which molecules pass through the network together: by one thread each, and by all threads.
void divide(const NetworkProblem& p, std::vector<Range>& chunks, std::vector<Range>& shared) {
  double total = 0.0;
  for (int64_t m = 0; m < p.n_molecules; m++) total += cost(p.counts[m]);
  const double share = total / double(p.n_threads);
  double filled = 0.0;
  int64_t atom = 0, atoms = 0;  // in the open chunk
  bool open = false;
  for (int64_t m = 0; m < p.n_molecules; atom += p.counts[m++]) {
    const int64_t n = p.counts[m];
    if (p.n_threads > 1 && cost(n) > share / 2) {
      shared.push_back({m, m + 1, atom});
      open = false;
      continue;
    }
    if (!open || atoms * p.n_features >= CHUNK_VALUES || filled >= share / CHUNKS_PER_THREAD) {
      chunks.push_back({m, m, atom});
      filled = 0.0;
      atoms = 0;
      open = true;
    }
    chunks.back().last = m + 1;
    filled += cost(n);
    atoms += n;
  }
}

template <class P>
void evaluate(const NetworkProblem& p) {
  static thread_local Workspace weights, shared_activations;
  PackedNetwork<P> net(p, weights);
  std::vector<Range> chunks, shared;
  divide(p, chunks, shared);
  Workspace& shared_memory = shared_activations;
#pragma omp parallel for schedule(dynamic, 1) num_threads(int(p.n_threads))
  for (size_t task = 0; task < net.tasks.size(); task++) net.tasks[task]();
  for (const Range& range : shared) {
    Chunk<P> chunk(p, net, range.first, range.last, range.atom, shared_memory);
    const int part = pad_rows(std::max<int>(1, int(chunk.rows() / (4 * p.n_threads))));
#pragma omp parallel num_threads(int(p.n_threads))
    {
      const ProductRegisters<P> registers;
      chunk.evaluate([&](auto&& work) {
#pragma omp for schedule(dynamic, 1)
        for (int begin = 0; begin < chunk.rows(); begin += part)
          work(begin, std::min(begin + part, chunk.rows()));
      });
    }
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(int(p.n_threads))
  for (size_t c = 0; c < chunks.size(); c++) {
    static thread_local Workspace memory;
    const ProductRegisters<P> registers;
    Chunk<P> chunk(p, net, chunks[c].first, chunks[c].last, chunks[c].atom, memory);
    chunk.evaluate([&](auto&& work) { work(0, chunk.rows()); });
  }
}

}  // namespace
}  // namespace ead

extern "C" {
void evaluate_fp32(const ead::NetworkProblem* p) { ead::evaluate<ead::Fp32>(*p); }
#if defined(__AVX512BF16__)
void evaluate_bf16(const ead::NetworkProblem* p) { ead::evaluate<ead::Bf16>(*p); }
#endif
}
