// What a network says about pairs of atoms (PairOutputs), without gradients, in single precision.
//
// Each two atoms are computed once, in blocks of twos of one molecule: no result depends on what else
// is in the batch.
#pragma once
#include <vector>

#include "radial.h"
#include "workspace.h"

namespace ead {

constexpr int HIDDEN = 64;  // N_HIDDEN

// What Python passes in; pair_outputs.py declares the same fields. Everything is C-contiguous.
struct PairOutputsProblem {
  int64_t n_molecules, n_told, n_outputs, n_threads;
  const int64_t* counts;                // (n_molecules,)
  const float *atoms, *x, *told;        // (A, 2 HIDDEN), (A, 3), (E, n_told) or null
  const float *radial_w, *told_w;       // (HIDDEN, RADIAL), (HIDDEN, n_told) or null
  const float *w1, *b1, *w2, *b2;       // (HIDDEN, HIDDEN), (HIDDEN,), (n_outputs, HIDDEN), (n_outputs,)
  float* out;                           // (E, n_outputs)
};

namespace pair_outputs {

constexpr int BLOCK = 96;  // twos of atoms, a multiple of ROWS

inline int rounded_up(int n, int to) { return (n + to - 1) / to * to; }

// The three linear maps as `multiply` reads them.
struct Maps {
  explicit Maps(const PairOutputsProblem& p)
      : inner(RADIAL + (p.told ? int(p.n_told) : 0)), outputs(rounded_up(int(p.n_outputs), 2 * LANES)) {
    std::vector<float> first(size_t(HIDDEN) * inner);
    for (int f = 0; f < HIDDEN; f++) {
      std::copy_n(p.radial_w + f * RADIAL, RADIAL, &first[size_t(f) * inner]);
      if (inner > RADIAL)
        std::copy_n(p.told_w + f * p.n_told, p.n_told, &first[size_t(f) * inner + RADIAL]);
    }
    words[0].resize(size_t(inner) * HIDDEN);
    words[1].resize(HIDDEN * HIDDEN);
    words[2].resize(size_t(HIDDEN) * outputs);
    pack<Fp32>(first.data(), inner, inner, HIDDEN, HIDDEN, words[0].data());
    pack<Fp32>(p.w1, HIDDEN, HIDDEN, HIDDEN, HIDDEN, words[1].data());
    pack<Fp32>(p.w2, HIDDEN, HIDDEN, int(p.n_outputs), outputs, words[2].data());
    bias.assign(outputs, 0.0f);
    std::copy_n(p.b2, p.n_outputs, bias.data());
  }

  const int inner, outputs;
  std::vector<uint32_t> words[3];
  std::vector<float> bias;  // of the last one
};

// The twos of one molecule, block by block.
class Molecule {
 public:
  Molecule(const PairOutputsProblem& p, const Maps& maps, int n, int64_t atom, int64_t pair,
           Workspace& memory)
      : p_(p), maps_(maps), n_(n), told_(maps.inner > RADIAL ? p.told + pair * p.n_told : nullptr),
        atoms_(p.atoms + atom * 2 * HIDDEN), out_(p.out + pair * p.n_outputs) {
    const int row = Distances::padded(n);
    memory.reserve(sizeof(float) * (3 * row + 2 * size_t(n) * row + size_t(BLOCK) *
                                    (rounded_up(maps.inner, 16) + 2 * HIDDEN + maps.outputs)) + 1024);
    distances_ = {n, row, {}, nullptr, nullptr};
    for (float*& x : distances_.x) x = memory.take<float>(row);
    distances_.distance = memory.take<float>(size_t(n) * row);
    distances_.t = memory.take<float>(size_t(n) * row);
    seen_ = memory.take<float>(size_t(BLOCK) * maps.inner);
    for (float*& h : hidden_) h = memory.take<float>(size_t(BLOCK) * HIDDEN);
    said_ = memory.take<float>(size_t(BLOCK) * maps.outputs);
    distances_.set(p.x + atom * 3);
  }

  void run() {
    for (int i = 0; i < n_; i++)
      for (int j = i + 1; j < n_; j++) {
        first_[filled_] = i;
        second_[filled_] = j;
        if (++filled_ == BLOCK) finish();
      }
    if (filled_) finish();
  }

 private:
  // Number of the pair (i, j) in the molecule.
  int64_t number(int i, int j) const { return int64_t(i) * (n_ - 1) + (j > i ? j - i - 1 : n_ + j - i - 1); }

  void finish() {
    const int rows = pad_rows(filled_);
    std::fill(seen_, seen_ + size_t(rows) * maps_.inner, 0.0f);
    std::fill(first_ + filled_, first_ + rows, 0);
    std::fill(second_ + filled_, second_ + rows, 0);
    for (int r = 0; r < filled_; r++) see(r);
    multiply<Fp32>(filled_, maps_.inner, HIDDEN, seen_, maps_.inner, maps_.words[0].data(), nullptr,
                   [this](auto& acc, int r0, int f) { add_atoms(acc, r0, f); });
    multiply<Fp32>(filled_, HIDDEN, HIDDEN, hidden_[0], HIDDEN, maps_.words[1].data(), p_.b1,
                   [this](auto& acc, int r0, int f) {
                     for (auto& row : acc)
                       for (Vec& v : row) v = silu<true>(v);
                     store_block(acc, hidden_[1], HIDDEN, r0, f);
                   });
    multiply<Fp32>(filled_, HIDDEN, maps_.outputs, hidden_[1], HIDDEN, maps_.words[2].data(),
                   maps_.bias.data(), [this](auto& acc, int r0, int f) {
                     store_block(acc, said_, maps_.outputs, r0, f);
                   });
    for (int r = 0; r < filled_; r++) {
      const float* said = said_ + size_t(r) * maps_.outputs;
      for (const int64_t pair : {number(first_[r], second_[r]), number(second_[r], first_[r])})
        std::copy_n(said, p_.n_outputs, out_ + pair * p_.n_outputs);
    }
    filled_ = 0;
  }

  // What the first map reads: radial features, and both directions' columns together.
  void see(int r) {
    alignas(64) float gaussians[WINDOW_MEMORY];
    float* to = seen_ + size_t(r) * maps_.inner;
    const int i = first_[r], j = second_[r];
    const int start = window<false>(distances_.t[size_t(i) * distances_.row + j], gaussians, nullptr);
    std::copy_n(gaussians, WINDOW, to + start);
    if (!told_) return;
    const float *one = told_ + number(i, j) * p_.n_told, *other = told_ + number(j, i) * p_.n_told;
    for (int w = 0; w < p_.n_told; w++) to[RADIAL + w] = one[w] + other[w];
  }

  template <int R, int C>
  void add_atoms(Vec (&acc)[R][C], int r0, int f) {
    for (int r = 0; r < R; r++) {
      const float* one = atoms_ + size_t(first_[r0 + r]) * 2 * HIDDEN + f;
      const float* other = atoms_ + size_t(second_[r0 + r]) * 2 * HIDDEN + f;
      for (int c = 0; c < C; c++) {
        const int k = c * LANES;
        const Vec sum = acc[r][c] + (vload(one + k) + vload(other + k));
        acc[r][c] = silu<true>(vfma(vload(one + HIDDEN + k), vload(other + HIDDEN + k), sum));
      }
    }
    store_block(acc, hidden_[0], HIDDEN, r0, f);
  }

  const PairOutputsProblem& p_;
  const Maps& maps_;
  const int n_;
  const float *told_, *atoms_;
  float* out_;
  Distances distances_;
  float *seen_, *hidden_[2], *said_;
  int first_[BLOCK], second_[BLOCK], filled_ = 0;
};

inline void evaluate(const PairOutputsProblem& p) {
  const Maps maps(p);
  std::vector<int64_t> atom(p.n_molecules + 1, 0), pair(p.n_molecules + 1, 0);
  for (int64_t m = 0; m < p.n_molecules; m++) {
    atom[m + 1] = atom[m] + p.counts[m];
    pair[m + 1] = pair[m] + p.counts[m] * (p.counts[m] - 1);
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(int(p.n_threads))
  for (int64_t m = 0; m < p.n_molecules; m++) {
    static thread_local Workspace memory;
    Molecule(p, maps, int(p.counts[m]), atom[m], pair[m], memory).run();
  }
}

}  // namespace pair_outputs
}  // namespace ead
