// Matrix products: by a register-blocked loop, or in bf16 by AMX where the processor has it.
//
// Accumulation is always in fp32, one accumulator per output element running through the summed index
// in order: a row's result does not depend on its block.
#pragma once
#include "formats.h"
#include "tile_products.h"

namespace ead {

// What a thread holds while it multiplies in a format. Scopes must not be nested.
struct Nothing {
  Nothing() {}
};
#if defined(__AMX_BF16__)
template <class P>
using ProductRegisters = std::conditional_t<P::TILES, TileRegisters, Nothing>;
#else
template <class P>
using ProductRegisters = Nothing;
#endif

// acc[r][c] += sum over steps of a(r, step) * b(step, c).
// Word a(r, step) lies at a[r * row_stride + step * step_stride], vector b(step, c) at
// b[step * b_stride + c * LANES].
template <class P, int R, int C>
inline __attribute__((always_inline)) void multiply_block(
    Vec (&acc)[R][C], const uint32_t* a, long row_stride, long step_stride, const uint32_t* b,
    long b_stride, int steps) {
  // Two pointers, each with up to two strides added, leave a register for everything in the loop. Of
  // five multiples of the stride, compilers keep some in memory, at a third of the speed; hence the
  // empty asm, after which they do not know how the pointers are related.
  constexpr int HALF = (R + 1) / 2;
  const uint32_t* lower = a + HALF * row_stride;
  asm("" : "+r"(lower));
#pragma GCC unroll 2
  for (int s = 0; s < steps; s++, a += step_stride, lower += step_stride, b += b_stride) {
    Vec w[C];
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) w[c] = vload(reinterpret_cast<const float*>(b) + c * LANES);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      const uint32_t* word = r < HALF ? a + r * row_stride : lower + (r - HALF) * row_stride;
#pragma GCC unroll 8
      for (int c = 0; c < C; c++) acc[r][c] = P::multiply_add(acc[r][c], word, w[c]);
    }
  }
}

// Words in one row of an operand, or in one column of a packed matrix, with `inner` terms to sum.
template <class P>
inline int words_of(int inner) { return (inner + P::PER_WORD - 1) / P::PER_WORD; }

// Lay out B = W^T for multiply_block: column block after column block, in each the words of all steps
// one after the other. W is (columns x inner), its rows `stride` apart; B has `features` columns, those
// beyond W's are zero, and a last word is filled up with zeros.
template <class P>
void pack(const float* w, long stride, int inner, int columns, int features, uint32_t* out) {
  constexpr int TERMS = LANES * P::PER_WORD;
  const int words = words_of<P>(inner);
  for (int first = 0, n; first < features; first += n) {
    n = block_columns(first, features) * LANES;
    for (int f = first; f < first + n; f += LANES)
      for (int k = 0; k < inner; k += TERMS) {
        Vec block[LANES];
        for (int r = 0; r < LANES; r++) {
          alignas(64) float terms[TERMS] = {};
          const float* row = w + (f + r) * stride + k;
          const int n_terms = f + r < columns ? std::min(TERMS, inner - k) : 0;
          if (n_terms < TERMS) std::copy(row, row + n_terms, terms);
          block[r] = P::words(n_terms < TERMS ? terms : row);
        }
        transpose(block);
        uint32_t* to = out + size_t(k / P::PER_WORD) * n + f - first;
        for (int s = 0; s < std::min(LANES, words - k / P::PER_WORD); s++)
          vstore(reinterpret_cast<float*>(to + s * n), block[s]);
      }
    out += size_t(words) * n;
  }
}

// The same for B = W, (inner x features), both multiples of 2 LANES.
template <class P>
void pack_transposed(const float* w, long stride, int inner, int features, uint32_t* out) {
  for (int first = 0, n; first < features; first += n) {
    n = block_columns(first, features) * LANES;
    for (int k = 0; k < inner; k += P::PER_WORD)
      for (int f = first; f < first + n; f += LANES, out += LANES)
        vstore(reinterpret_cast<float*>(out), P::words(w + k * stride + f, w + (k + 1) * stride + f));
  }
}

// A B (+ bias) block by block: finish(acc, first row, first column) receives each block of vectors,
// some of whose rows may lie beyond the last one. Row r of A lies at a + r * stride, in the format's
// scalars and zero beyond `inner` in its last word; rows are read up to a multiple of ROWS. B is
// packed. For tiles, inner is a multiple of 32.
template <class P, class Finish>
inline void multiply(int rows, int inner, int features, const typename P::Scalar* a, long stride,
                     const uint32_t* b, const float* bias, Finish&& finish) {
  const int words = words_of<P>(inner);
  const auto* a_words = reinterpret_cast<const uint32_t*>(a);
  const long row_words = stride / P::PER_WORD;
#if defined(__AMX_BF16__)
  if constexpr (P::TILES)
    return multiply_tiles(rows, words, features, a_words, row_words, b, bias, finish);
#endif
  for_column_blocks(features, [&](auto columns, int first) {
    constexpr int C = decltype(columns)::value;
    for (int r0 = 0; r0 < rows; r0 += ROWS) {
      Vec acc[ROWS][C];
#pragma GCC unroll 8
      for (int c = 0; c < C; c++) {
        const Vec start = bias ? vload(bias + first + c * LANES) : vset(0.0f);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++) acc[r][c] = start;
      }
      multiply_block<P>(acc, a_words + r0 * row_words, row_words, 1, b, C * LANES, words);
      finish(acc, r0, first);
    }
    b += size_t(words) * C * LANES;
  });
}

// The usual end of `multiply`: store a block into a matrix of floats.
template <int R, int C>
inline void store_block(const Vec (&acc)[R][C], float* matrix, long stride, int r0, int first) {
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) vstore(matrix + (r0 + r) * stride + first + c * LANES, acc[r][c]);
}

// An operand of add_outer_products: (steps, columns), words along the rows of a matrix. Tiles take it row
// by row. Otherwise panels of COLUMNS vectors follow each other, in each the words of all steps: words
// a whole row apart would share few places in the first level cache and drive each other out.
template <class P>
struct Operand {
  uint32_t* words;
  long steps;
  int columns;  // a multiple of 2 LANES

  // From a word to that of the next step.
  int stride(int column) const {
    return P::TILES ? columns : std::min(PANEL, columns - column / PANEL * PANEL);
  }
  uint32_t* at(long step, int column) const {
    const int within = P::TILES ? column : column % PANEL;
    return words + (column - within) * steps + step * stride(column) + within;
  }

 private:
  static constexpr int PANEL = COLUMNS * LANES;
};

// sums (a.columns x b.columns) += a^T b over steps [first, last). For tiles, a.columns is a multiple
// of 32.
template <class P>
inline void add_outer_products(const Operand<P>& a, const Operand<P>& b, long first, long last,
                               float* sums) {
  const int outputs = a.columns, features = b.columns;
#if defined(__AMX_BF16__)
  if constexpr (P::TILES)
    return add_outer_products_tiles(outputs, features, int(last - first), a.at(first, 0),
                                    b.at(first, 0), sums);
#endif
  for_column_blocks(features, [&](auto columns, int f) {
    constexpr int C = decltype(columns)::value;
    const auto add = [&](auto rows, int o) {
      constexpr int R = decltype(rows)::value;
      float* to = sums + size_t(o) * features + f;
      Vec acc[R][C];
      for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) acc[r][c] = vload(to + size_t(r) * features + c * LANES);
      multiply_block<P>(acc, a.at(first, o), 1, a.stride(o), b.at(first, f), C * LANES,
                        int(last - first));
      for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) vstore(to + size_t(r) * features + c * LANES, acc[r][c]);
    };
    for (int o = 0; o < outputs; o += 16) {
      if constexpr (COLUMNS == 2) {  // at least ten sums, which two units of latency 5 work on
        add(std::integral_constant<int, 6>(), o);
        add(std::integral_constant<int, 5>(), o + 6);
        add(std::integral_constant<int, 5>(), o + 11);
      } else {
        for (int r = 0; r < 16; r += 4) add(std::integral_constant<int, 4>(), o + r);
      }
    }
  });
}

}  // namespace ead
