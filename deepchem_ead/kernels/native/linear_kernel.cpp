// A linear map of many rows, y = x W^T + b, forward and backward, by all threads.
//
// Every sum runs in order, whichever thread computes it: results and gradients are reproducible.
// Compiled once per instruction set; see build.py. The exported functions end in _fp32 and _bf16.
#include "gemm.h"
#include "workspace.h"

namespace ead {

// What Python passes in; linear.py declares the same fields. inner and outputs are multiples of 32.
struct LinearProblem {
  int64_t rows, inner, outputs, n_threads;
  int64_t w_stride;             // from row to row of w; everything else is C-contiguous
  const float *x, *w, *b, *dy;  // (rows, inner), (outputs, inner), (outputs,) or null, (rows, outputs)
  float *y, *dx, *dw, *db;      // like dy, x, w and b; those that are null are not computed
};

namespace {

constexpr int BLOCK = 96;          // rows, a multiple of ROWS and of the two bf16 in a word
constexpr int OUTPUTS = 2 * LANES;  // a thread's share of a weight gradient

// to(row, column) = rows of a (columns `inner`) times the packed matrix (+ bias), block by block.
template <class P>
void map_rows(const LinearProblem& p, const float* a, int inner, int features, const uint32_t* b,
              const float* bias, float* to) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(int(p.n_threads))
  for (int64_t begin = 0; begin < p.rows; begin += BLOCK) {
    static thread_local Workspace memory;
    const ProductRegisters<P> registers;
    const int n = int(std::min<int64_t>(BLOCK, p.rows - begin));
    memory.reserve(size_t(BLOCK) * inner * sizeof(typename P::Scalar));
    auto* operand = memory.take<typename P::Scalar>(size_t(BLOCK) * inner);
    const float* from = a + begin * inner;
    for (int64_t k = 0; k < int64_t(n) * inner; k += 2 * LANES)
      P::store2(operand + k, vload(from + k), vload(from + k + LANES));
    std::fill(operand + int64_t(n) * inner, operand + int64_t(pad_rows(n)) * inner,
              typename P::Scalar(0));
    multiply<P>(n, inner, features, operand, inner, b, bias, [&](auto& acc, int r0, int first) {
      constexpr int R = block_rows<decltype(acc)>, C = block_vectors<decltype(acc)>;
      for (int r = 0; r < std::min(R, n - r0); r++)
        for (int c = 0; c < C; c++)
          vstore(to + (begin + r0 + r) * features + first + c * LANES, acc[r][c]);
    });
  }
}

template <class P>
uint32_t* weight_memory(const LinearProblem& p) {
  static thread_local Workspace memory;
  memory.reserve(sizeof(uint32_t) * p.inner * p.outputs / P::PER_WORD);
  return memory.take<uint32_t>(p.inner * p.outputs / P::PER_WORD);
}

template <class P>
void forward(const LinearProblem& p) {
  uint32_t* w = weight_memory<P>(p);
  pack<P>(p.w, p.w_stride, int(p.inner), int(p.outputs), int(p.outputs), w);
  map_rows<P>(p, p.x, int(p.inner), int(p.outputs), w, p.b, p.y);
}

// Rows [begin, end) of the first columns of a matrix (rows x stride) as words along its rows.
template <class P>
void take_words(const float* matrix, int64_t rows, int64_t stride, int64_t begin, int64_t end,
                const Operand<P>& to) {
  alignas(64) const float zeros[LANES] = {};
  for (int64_t r = begin; r < end; r += P::PER_WORD)
    for (int f = 0; f < to.columns; f += LANES) {
      const float* row = matrix + r * stride + f;
      vstore(reinterpret_cast<float*>(to.at(r / P::PER_WORD, f)),
             P::words(row, r + 1 < rows ? row + stride : zeros));
    }
}

// dw = dy^T x, db = sums of dy. A thread takes some outputs through all rows.
template <class P>
void weight_gradients(const LinearProblem& p) {
  static thread_local Workspace memory;
  const int64_t steps = (p.rows + P::PER_WORD - 1) / P::PER_WORD;
  memory.reserve(sizeof(uint32_t) * steps * p.inner);
  const Operand<P> x = {memory.take<uint32_t>(steps * p.inner), steps, int(p.inner)};
  constexpr int BLOCK_STEPS = BLOCK / P::PER_WORD;
  const int inner = int(p.inner);
#pragma omp parallel num_threads(int(p.n_threads))
  {
#pragma omp for schedule(static)
    for (int64_t begin = 0; begin < p.rows; begin += BLOCK)
      take_words<P>(p.x, p.rows, inner, begin, std::min<int64_t>(begin + BLOCK, p.rows), x);
#pragma omp for schedule(static)
    for (int64_t o = 0; o < p.outputs; o += OUTPUTS) {
      static thread_local Workspace own;
      const ProductRegisters<P> registers;
      own.reserve(sizeof(uint32_t) * steps * OUTPUTS);
      const Operand<P> dy = {own.take<uint32_t>(steps * OUTPUTS), steps, OUTPUTS};
      take_words<P>(p.dy + o, p.rows, p.outputs, 0, p.rows, dy);
      std::fill(p.dw + o * inner, p.dw + (o + OUTPUTS) * inner, 0.0f);
      for (int64_t s = 0; s < steps; s += BLOCK_STEPS)
        add_outer_products<P>(dy, x, s, std::min<int64_t>(s + BLOCK_STEPS, steps),
                              p.dw + o * inner);
      if (!p.db) continue;
      Vec sums[OUTPUTS / LANES] = {};
      for (int64_t r = 0; r < p.rows; r++)
        for (int c = 0; c < OUTPUTS / LANES; c++)
          sums[c] = sums[c] + vload(p.dy + r * p.outputs + o + c * LANES);
      for (int c = 0; c < OUTPUTS / LANES; c++) vstore(p.db + o + c * LANES, sums[c]);
    }
  }
}

template <class P>
void backward(const LinearProblem& p) {
  if (p.dx) {
    uint32_t* w = weight_memory<P>(p);
    pack_transposed<P>(p.w, p.w_stride, int(p.outputs), int(p.inner), w);
    map_rows<P>(p, p.dy, int(p.outputs), int(p.inner), w, nullptr, p.dx);
  }
  if (p.dw) weight_gradients<P>(p);
}

}  // namespace
}  // namespace ead

extern "C" {
void linear_forward_fp32(const ead::LinearProblem* p) { ead::forward<ead::Fp32>(*p); }
void linear_backward_fp32(const ead::LinearProblem* p) { ead::backward<ead::Fp32>(*p); }
#if defined(__AVX512BF16__)
void linear_forward_bf16(const ead::LinearProblem* p) { ead::forward<ead::Bf16>(*p); }
void linear_backward_bf16(const ead::LinearProblem* p) { ead::backward<ead::Bf16>(*p); }
#endif
}
