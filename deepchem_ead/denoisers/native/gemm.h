// Number formats of the matrix products, and their register-blocked inner loop.
//
// Operands are arrays of 32-bit words: one float, or two neighbouring bf16 along the summed index,
// which is what vdpbf16ps multiplies. Accumulation is always in fp32, one accumulator per output
// element running through the summed index in order: a row's result does not depend on its tile.
#pragma once
#include <algorithm>
#include <cstring>

#include "vec.h"

namespace ead {

// words(terms): LANES words along a row. words(row, next): one of each of LANES columns, down the rows.
struct Fp32 {
  using Scalar = float;
  static constexpr int PER_WORD = 1;
  static constexpr bool EXACT = true;
  static Vec multiply_add(Vec acc, const void* word, Vec b) {
    float a;
    std::memcpy(&a, word, 4);
    return vfma(vset(a), b, acc);
  }
  static Vec load(const float* p) { return vload(p); }
  static void store2(float* p, Vec a, Vec b) {
    vstore(p, a);
    vstore(p + LANES, b);
  }
  static Vec words(const float* terms) { return vload(terms); }
  static Vec words(const float* row, const float*) { return vload(row); }
};

#if defined(__AVX512BF16__)
struct Bf16 {
  using Scalar = uint16_t;
  static constexpr int PER_WORD = 2;
  static constexpr bool EXACT = false;
  static Vec multiply_add(Vec acc, const void* word, Vec b) {
    int32_t a;
    std::memcpy(&a, word, 4);
    return _mm512_dpbf16_ps(acc, (__m512bh)_mm512_set1_epi32(a), (__m512bh)b);
  }
  static Vec load(const uint16_t* p) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
  }
  static void store2(uint16_t* p, Vec a, Vec b) {
    _mm512_storeu_si512(p, (__m512i)_mm512_cvtne2ps_pbh(b, a));
  }
  static Vec words(const float* terms) {
    return (Vec)_mm512_cvtne2ps_pbh(vload(terms + LANES), vload(terms));
  }
  static Vec words(const float* row, const float* next) {
    const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(vload(row)));
    const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(vload(next)));
    return (Vec)_mm512_or_si512(low, _mm512_slli_epi32(high, 16));
  }
  static Vec words(const uint16_t* row, const uint16_t* next) {
    const auto load = [](const uint16_t* p) {
      return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    };
    return (Vec)_mm512_or_si512(load(row), _mm512_slli_epi32(load(next), 16));
  }
};
#endif

#if defined(__AVX512F__)  // 32 registers: 24 accumulators, the rest for operands
constexpr int ROWS = 6, COLUMNS = 4;
#else  // 16 registers: 12 accumulators
constexpr int ROWS = 6, COLUMNS = 2;
#endif

// acc[r][c] += sum over steps of a(r, step) * b(step, c).
// Word a(r, step) lies at a[r * row_stride + step * step_stride], vector b(step, c) at
// b[step * b_stride + c * LANES].
template <class P, int R, int C>
inline __attribute__((always_inline)) void multiply_block(
    Vec (&acc)[R][C], const uint32_t* a, long row_stride, long step_stride, const uint32_t* b,
    long b_stride, int steps) {
  for (int s = 0; s < steps; s++, a += step_stride, b += b_stride) {
    Vec w[C];
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) w[c] = vload(reinterpret_cast<const float*>(b) + c * LANES);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
      for (int c = 0; c < C; c++) acc[r][c] = P::multiply_add(acc[r][c], a + r * row_stride, w[c]);
  }
}

// Number of vectors in each column block: full blocks first, then what is left.
inline int block_columns(int first, int features) {
  return std::min(COLUMNS, (features - first) / LANES);
}

// Call body(std::integral_constant<int, C>, first column) for each column block.
template <class Body>
inline void for_column_blocks(int features, Body&& body) {
  for (int first = 0; first < features;) {
    const int c = block_columns(first, features);
    if constexpr (COLUMNS == 4) {
      if (c == 4) body(std::integral_constant<int, 4>(), first);
      else if (c == 2) body(std::integral_constant<int, 2>(), first);
    } else {
      body(std::integral_constant<int, 2>(), first);
    }
    first += c * LANES;
  }
}

inline int pad_rows(int rows) { return (rows + ROWS - 1) / ROWS * ROWS; }

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

// A B (+ bias) block by block: finish(acc, first row, first column) receives each ROWS x C block of
// vectors. Row r of A lies at a + r * stride, in the format's scalars and zero beyond `inner` in its
// last word; rows are read up to a multiple of ROWS. B is packed.
template <class P, class Finish>
inline void multiply(int rows, int inner, int features, const typename P::Scalar* a, long stride,
                     const uint32_t* b, const float* bias, Finish&& finish) {
  const int words = words_of<P>(inner);
  const auto* a_words = reinterpret_cast<const uint32_t*>(a);
  const long row_words = stride / P::PER_WORD;
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
template <int C>
inline void store_block(const Vec (&acc)[ROWS][C], float* matrix, long stride, int r0, int first) {
  for (int r = 0; r < ROWS; r++)
    for (int c = 0; c < C; c++) vstore(matrix + (r0 + r) * stride + first + c * LANES, acc[r][c]);
}

// sums (outputs x features) += a^T b over `steps` words of rows: word (step, o) of a lies at
// a[step * outputs + o], word (step, f) of b at b[step * features + f]. outputs is a multiple of 4.
template <class P>
inline void add_outer_products(int outputs, int features, int steps, const uint32_t* a,
                               const uint32_t* b, float* sums) {
  constexpr int R = 4;
  for_column_blocks(features, [&](auto columns, int first) {
    constexpr int C = decltype(columns)::value;
    for (int o = 0; o < outputs; o += R) {
      float* to = sums + size_t(o) * features + first;
      Vec acc[R][C];
      for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) acc[r][c] = vload(to + size_t(r) * features + c * LANES);
      multiply_block<P>(acc, a + o, 1, outputs, b + first, features, steps);
      for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) vstore(to + size_t(r) * features + c * LANES, acc[r][c]);
    }
  });
}

}  // namespace ead
