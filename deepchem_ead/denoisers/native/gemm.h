// Number formats of the matrix products, and their register-blocked inner loop.
//
// Operands are arrays of 32-bit words: one float, or two neighbouring bf16 along the summed index,
// which is what vdpbf16ps multiplies. Accumulation is always in fp32, one accumulator per output
// element running through the summed index in order: a row's result does not depend on its block.
// Where the processor has AMX, bf16 goes through its tiles instead (tiles.h).
#pragma once
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "tiles.h"
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

// What a thread holds while it multiplies in a format.
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

// Rows and vectors of a row in a block that `multiply` hands over.
template <class Block>
constexpr int block_rows = sizeof(std::remove_reference_t<Block>) /
                           sizeof(std::declval<Block>()[0]);
template <class Block>
constexpr int block_vectors = sizeof(std::declval<Block>()[0]) / sizeof(Vec);

#if defined(__AMX_BF16__)
// `multiply` by tiles. Blocks of sums pass through the first level cache on their way to `finish`.
template <class Finish>
inline void multiply_tiles(int rows, int words, int features, const uint32_t* a, long stride,
                           const uint32_t* b, const float* bias, Finish&& finish) {
  constexpr int R = 2, PANEL = 2 * TILE_SIZE;
  alignas(64) float sums[PANEL * PANEL];
  const int last = (rows - 1) / PANEL * PANEL, wanted = rows - last > TILE_SIZE ? PANEL : TILE_SIZE;
  const uint32_t* last_panel = a + last * stride;
  long last_stride = stride;
  if (const int present = pad_rows(rows) - last; present < wanted) {
    last_panel = filled_up(last_panel, stride, words, present, wanted);
    last_stride = words;
  }
  for_column_blocks(features, [&](auto columns, int first) {
    constexpr int C = decltype(columns)::value;
    for (int c = 0; c < C; c += 2)
      for (int r0 = 0; r0 < rows; r0 += PANEL) {
        const int column = first + c * LANES;
        const float* start = bias ? bias + column : nullptr;
        const uint32_t* panel = r0 == last ? last_panel : a + r0 * stride;
        const long panel_stride = r0 == last ? last_stride : stride;
        const auto run = [&](auto tile_rows) {
          constexpr int N = decltype(tile_rows)::value;
          start_sums<N>(start);
          tile_products<N>(panel, panel_stride, b + c * LANES, C * LANES, words / TILE_SIZE);
          store_sums<N>(sums, PANEL);
        };
        if (r0 == last && wanted == TILE_SIZE) run(std::integral_constant<int, 1>());
        else run(std::integral_constant<int, 2>());
        for (int r = 0; r < std::min(PANEL, rows - r0); r += R) {
          Vec acc[R][2];
          for (int k = 0; k < R; k++)
            for (int v = 0; v < 2; v++) acc[k][v] = vload(sums + (r + k) * PANEL + v * LANES);
          finish(acc, r0 + r, column);
        }
      }
    b += size_t(words) * C * LANES;
  });
}
#endif

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

#if defined(__AMX_BF16__)
// `add_outer_products` by tiles, for which the words of a are turned to lie along its columns.
inline void add_outer_products_tiles(int outputs, int features, int steps, const uint32_t* a,
                                     const uint32_t* b, float* sums) {
  static thread_local Workspace memory;
  constexpr int PANEL = 2 * TILE_SIZE;
  const int full = steps / TILE_SIZE, tail = steps % TILE_SIZE, words = (full + (tail > 0)) * TILE_SIZE;
  memory.reserve(sizeof(uint32_t) * outputs * words);
  auto* turned = memory.take<uint32_t>(size_t(outputs) * words);
  for (int o = 0; o < outputs; o += TILE_SIZE)
    for (int s = 0; s < words; s += TILE_SIZE) {
      Vec block[TILE_SIZE];
      for (int k = 0; k < TILE_SIZE; k++)
        block[k] = s + k < steps
                       ? vload(reinterpret_cast<const float*>(a + size_t(s + k) * outputs + o))
                       : vset(0.0f);
      transpose(block);
      for (int k = 0; k < TILE_SIZE; k++)
        vstore(reinterpret_cast<float*>(turned + size_t(o + k) * words + s), block[k]);
    }
  const uint32_t* rest =
      tail ? filled_up(b + size_t(full) * TILE_SIZE * features, features, features, tail, TILE_SIZE)
           : nullptr;
  for (int f = 0; f < features; f += PANEL)
    for (int o = 0; o < outputs; o += PANEL) {
      float* to = sums + size_t(o) * features + f;
      const uint32_t* left = turned + size_t(o) * words;
      load_sums(to, features);
      tile_products<2>(left, words, b + f, features, full);
      if (tail) tile_products<2>(left + full * TILE_SIZE, words, rest + f, features, 1);
      store_sums<2>(to, features);
    }
}
#endif

// sums (outputs x features) += a^T b over `steps` words of rows: word (step, o) of a lies at
// a[step * outputs + o], word (step, f) of b at b[step * features + f]. outputs is a multiple of 4, for tiles of 32.
template <class P>
inline void add_outer_products(int outputs, int features, int steps, const uint32_t* a,
                               const uint32_t* b, float* sums) {
#if defined(__AMX_BF16__)
  if constexpr (P::TILES) return add_outer_products_tiles(outputs, features, steps, a, b, sums);
#endif
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
