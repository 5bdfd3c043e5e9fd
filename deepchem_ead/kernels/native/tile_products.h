// The matrix products of gemm.h in bf16, by AMX. Summed indices are multiples of 32.
#pragma once
#include "formats.h"
#include "tiles.h"
#if defined(__AMX_BF16__)

namespace ead {

constexpr int PANEL = 2 * TILE_SIZE;  // rows, and columns, of the blocks of sums

// `multiply` by tiles. Blocks of sums pass through the first level cache on their way to `finish`.
template <class Finish>
inline void multiply_tiles(int rows, int words, int features, const uint32_t* a, long stride,
                           const uint32_t* b, const float* bias, Finish&& finish) {
  constexpr int R = 2;
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

// `add_outer_products` by tiles, for which the words of a are turned to lie along its columns.
inline void add_outer_products_tiles(int outputs, int features, int steps, const uint32_t* a,
                                     const uint32_t* b, float* sums) {
  static thread_local Workspace memory;
  const int full = steps / TILE_SIZE, tail = steps % TILE_SIZE;
  const int words = (full + (tail > 0)) * TILE_SIZE;
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

}  // namespace ead
#endif
