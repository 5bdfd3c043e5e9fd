// AMX's registers: tiles of 16 rows of 16 words, two bf16 a word, whose products are summed in fp32.
//
// A tile's row depends on no other row of it, and the summed index runs in order.
#pragma once
#if defined(__AMX_BF16__)
#include <cstdint>
#include <cstring>

#include "workspace.h"

namespace ead {

constexpr int TILE_SIZE = 16;  // rows, and words in a row

// The thread's tile registers are ready while this lives. Setting them up costs as much as a small
// product, and the library that PyTorch multiplies with sets them up anew for itself.
class TileRegisters {
 public:
  TileRegisters() {
    struct {
      uint8_t palette = 1, first_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } shape;
    for (int t = 0; t < 8; t++) {
      shape.row_bytes[t] = 4 * TILE_SIZE;
      shape.rows[t] = TILE_SIZE;
    }
    static_assert(sizeof(shape) == 64);
    // The compiler's own function does not tell it that the whole structure is read.
    asm volatile("ldtilecfg %0" ::"m"(shape));
  }
  ~TileRegisters() { asm volatile("tilerelease"); }
  TileRegisters(const TileRegisters&) = delete;
};

// Registers: 0 to 3 hold sums, 4 and 5 left operands, 6 and 7 right ones. Strides are in bytes.
// Unlike the compiler's functions these do not let stores to memory move past them.
template <int T>
inline void tile_load(const void* from, long stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(T) : "memory");
}
template <int T>
inline void tile_store(void* to, long stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(T) : "memory");
}
template <int T>
inline void tile_zero() {
  asm volatile("tilezero %%tmm%c0" ::"i"(T));
}
template <int SUM, int A, int B>
inline void tile_multiply_add() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(SUM), "i"(A), "i"(B));
}

// R x 2 tiles of sums += a b over `tiles` tiles of the summed index: a is R tiles below each other,
// further ones to the right; b two tiles beside each other, further ones below.
template <int R>
inline void tile_products(const uint32_t* a, long a_stride, const uint32_t* b, long b_stride,
                          int tiles) {
  const uint32_t* below = a + TILE_SIZE * a_stride;
  for (int k = 0; k < tiles; k++) {
    tile_load<4>(a + k * TILE_SIZE, 4 * a_stride);
    tile_load<6>(b, 4 * b_stride);
    tile_multiply_add<0, 4, 6>();
    tile_load<7>(b + TILE_SIZE, 4 * b_stride);
    tile_multiply_add<1, 4, 7>();
    if constexpr (R == 2) {
      tile_load<5>(below + k * TILE_SIZE, 4 * a_stride);
      tile_multiply_add<2, 5, 6>();
      tile_multiply_add<3, 5, 7>();
    }
    b += TILE_SIZE * b_stride;
  }
}

template <int R>
inline void store_sums(float* to, long stride) {
  tile_store<0>(to, 4 * stride);
  tile_store<1>(to + TILE_SIZE, 4 * stride);
  if constexpr (R == 2) {
    tile_store<2>(to + TILE_SIZE * stride, 4 * stride);
    tile_store<3>(to + TILE_SIZE * stride + TILE_SIZE, 4 * stride);
  }
}

// All rows start from one row; a stride of zero reads it again and again.
template <int R>
inline void start_sums(const float* row) {
  if (row) {
    tile_load<0>(row, 0);
    tile_load<1>(row + TILE_SIZE, 0);
    if constexpr (R == 2) {
      tile_load<2>(row, 0);
      tile_load<3>(row + TILE_SIZE, 0);
    }
  } else {
    tile_zero<0>();
    tile_zero<1>();
    tile_zero<2>();
    tile_zero<3>();
  }
}

inline void load_sums(const float* from, long stride) {
  tile_load<0>(from, 4 * stride);
  tile_load<1>(from + TILE_SIZE, 4 * stride);
  tile_load<2>(from + TILE_SIZE * stride, 4 * stride);
  tile_load<3>(from + TILE_SIZE * stride + TILE_SIZE, 4 * stride);
}

// The last rows of an operand followed by rows of zeros, where the operand itself may end earlier.
// Rows have `words` words and are `stride` words apart.
inline const uint32_t* filled_up(const uint32_t* rows, long stride, int words, int present,
                                 int wanted) {
  static thread_local Workspace memory;
  memory.reserve(sizeof(uint32_t) * wanted * words);
  uint32_t* copy = memory.take<uint32_t>(size_t(wanted) * words);
  for (int r = 0; r < present; r++)
    std::memcpy(copy + size_t(r) * words, rows + r * stride, sizeof(uint32_t) * words);
  std::memset(copy + size_t(present) * words, 0, sizeof(uint32_t) * words * (wanted - present));
  return copy;
}

}  // namespace ead
#endif
