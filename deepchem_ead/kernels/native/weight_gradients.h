// Gradients of linear maps from what went in and the gradient of what came out, over many rows.
//
// Every sum runs through the rows in order, whichever thread computes it.
#pragma once
#include <functional>
#include <vector>

#include "lanes.h"
#include "workspace.h"

namespace ead {

template <class P>
class WeightGradients {
  using Scalar = typename P::Scalar;

 public:
  std::vector<std::function<void()>> packing;   // do all of these, in any order,
  std::vector<std::function<void()>> products;  // then all of these

  // width: columns of all operands together
  WeightGradients(int64_t rows, int64_t width, Workspace& memory) : rows_(rows), memory_(memory) {
    memory.reserve(sizeof(uint32_t) * steps() * width + 64 * 16);
  }

  // What went into a map, (rows, width), as words along the rows. T: Scalar, or float, which is rounded.
  template <class T>
  Operand<P> operand(const T* x, int width) {
    const Operand<P> words = {memory_.template take<uint32_t>(steps() * width), steps(), width};
    for (int64_t r = 0; r < rows_; r += ROWS_AT_ONCE)
      packing.push_back([=, rows = rows_] {
        take_words(x, rows, width, r, std::min<int64_t>(r + ROWS_AT_ONCE, rows), words);
      });
    return words;
  }

  // store(output, dw, db), with dw (inner,), for each output of a map; dy: (rows, outputs).
  template <class Store>
  void add(const Scalar* dy, int outputs, const Operand<P>& x, Store store) {
    for (int first = 0; first < outputs; first += OUTPUTS)
      products.push_back([=, rows = rows_, steps = steps(), inner = x.columns] {
        static thread_local Workspace memory;
        const ProductRegisters<P> registers;
        memory.reserve(sizeof(uint32_t) * (steps + inner) * OUTPUTS + 64 * 2);
        const Operand<P> words = {memory.take<uint32_t>(steps * OUTPUTS), steps, OUTPUTS};
        float* dw = memory.take<float>(size_t(OUTPUTS) * inner);
        take_words(dy + first, rows, outputs, 0, rows, words);
        std::fill(dw, dw + size_t(OUTPUTS) * inner, 0.0f);
        for (int64_t s = 0; s < steps; s += STEPS_AT_ONCE)
          add_outer_products<P>(words, x, s, std::min<int64_t>(s + STEPS_AT_ONCE, steps), dw);
        Vec sums[2] = {vset(0.0f), vset(0.0f)};
        for (int64_t r = 0; r < rows; r++)
          for (int c = 0; c < 2; c++)
            sums[c] = sums[c] + P::load(dy + r * outputs + first + c * LANES);
        alignas(64) float db[OUTPUTS];
        for (int c = 0; c < 2; c++) vstore(db + c * LANES, sums[c]);
        for (int o = 0; o < OUTPUTS; o++) store(first + o, dw + size_t(o) * inner, db[o]);
      });
  }

 private:
  static constexpr int OUTPUTS = 2 * LANES;
  static constexpr int STEPS_AT_ONCE = 96;  // of OUTPUTS words each, which stay in the first level cache
  static constexpr int ROWS_AT_ONCE = 256;

  int64_t steps() const { return (rows_ + P::PER_WORD - 1) / P::PER_WORD; }

  // The first columns of rows [begin, end) as words; an odd last row of all is followed by zeros.
  template <class T>
  static void take_words(const T* matrix, int64_t rows, int64_t stride, int64_t begin, int64_t end,
                         const Operand<P>& to) {
    alignas(64) static constexpr T zeros[LANES] = {};
    for (int64_t r = begin; r < end; r += P::PER_WORD)
      for (int f = 0; f < to.columns; f += LANES) {
        const T* row = matrix + r * stride + f;
        vstore(reinterpret_cast<float*>(to.at(r / P::PER_WORD, f)),
               P::words(row, r + 1 < rows ? row + stride : zeros));
      }
  }

  const int64_t rows_;
  Workspace& memory_;
};

}  // namespace ead
