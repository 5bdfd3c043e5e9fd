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
  static float round(float x) { return x; }
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
  static uint16_t round(float x) {  // to nearest even; a NaN must not carry over into infinity
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    if (x != x) return uint16_t((bits >> 16) | 0x40);
    return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
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

// Lay out B (inner x features, element (k, f) at b[k * stride_k + f * stride_f]) for multiply_block:
// column block after column block, in each the words of all steps one after the other.
template <class P>
void pack(const float* b, long stride_k, long stride_f, int inner, int features, uint32_t* out) {
  auto* to = reinterpret_cast<typename P::Scalar*>(out);
  for (int first = 0, n; first < features; first += n) {
    n = block_columns(first, features) * LANES;
    for (int k = 0; k < inner; k += P::PER_WORD)
      for (int f = first; f < first + n; f++)
        for (int q = 0; q < P::PER_WORD; q++)
          *to++ = P::round(b[(k + q) * stride_k + f * stride_f]);
  }
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

}  // namespace ead
