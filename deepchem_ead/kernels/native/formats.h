// Number formats of the matrix products, and the blocks in which they are computed.
//
// Operands are arrays of 32-bit words: one float, or two neighbouring bf16 along the summed index,
// which is what vdpbf16ps and AMX multiply.
#pragma once
#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "vec.h"

namespace ead {

// words(terms): LANES words along a row. words(row, next): one of each of LANES columns, down the rows.
struct Fp32 {
  using Scalar = float;
  static constexpr int PER_WORD = 1;
  static constexpr bool EXACT = true;
  static constexpr bool TILES = false;  // whether products go through AMX
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
#if defined(__AMX_BF16__)
  static constexpr bool TILES = true;
#else
  static constexpr bool TILES = false;
#endif
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

// Rows and vectors of a row in a block that `multiply` hands over.
template <class Block>
constexpr int block_rows = sizeof(std::remove_reference_t<Block>) /
                           sizeof(std::declval<Block>()[0]);
template <class Block>
constexpr int block_vectors = sizeof(std::declval<Block>()[0]) / sizeof(Vec);

}  // namespace ead
