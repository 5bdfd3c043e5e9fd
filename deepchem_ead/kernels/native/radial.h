// Distances within a molecule and their radial features: Gaussians of log(1 + d) on a uniform grid.
//
// A Gaussian is as wide as the grid is fine. Of the RADIAL of them only the WINDOW around a distance
// are computed; the others are below exp(-18) = 1.5e-8, which single precision does not see.
#pragma once
#include <cmath>
#include <cstring>

#include "gemm.h"

namespace ead {

constexpr int RADIAL = 32;                  // N_RADIAL
constexpr float RADIAL_SPACING = 0.0894383451f;  // log(1 + RADIAL_RANGE) / (N_RADIAL - 1)
constexpr int WINDOW = 12;
constexpr int WINDOW_MEMORY = 16;  // whole registers

// Logarithm of x >= 1, with an absolute error of a rounding: x = 2^e m, log(m / sqrt 2) by atanh.
inline Vec log_above_one(Vec x) {
#if defined(__AVX512F__)
  const Vec e = _mm512_getexp_ps(x);
  const Vec m = _mm512_getmant_ps(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
#else
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i exponent = _mm256_sub_epi32(_mm256_srli_epi32(bits, 23), _mm256_set1_epi32(127));
  const Vec e = _mm256_cvtepi32_ps(exponent) + (x - x);  // a NaN stays a NaN
  const Vec m = _mm256_castsi256_ps(_mm256_or_si256(
      _mm256_and_si256(bits, _mm256_set1_epi32(0x7fffff)), _mm256_set1_epi32(0x3f800000)));
#endif
  const Vec root = vset(1.41421356f);
  const Vec s = (m - root) / (m + root), z = s * s;
  Vec series = vfma(vset(2.0f / 9), z, vset(2.0f / 7));
  series = vfma(series, z, vset(2.0f / 5));
  series = vfma(series, z, vset(2.0f / 3));
  series = vfma(series, z, vset(2.0f));
  return vfma(series, s, (e + vset(0.5f)) * vset(0.693147181f));
}

// First Gaussian of the window around position t of the grid; 0 for a NaN.
inline int window_start(float t) {
  constexpr int below = WINDOW / 2 - 1, last = RADIAL - WINDOW;
  return t >= below ? (t < below + last ? int(t) - below : last) : 0;
}

// g[k] = Gaussian first + k at t, and their derivatives if asked for. Returns first.
template <bool SLOPE>
inline int window(float t, float* g, float* slope) {
  alignas(64) static constexpr float STEPS[WINDOW_MEMORY] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                             8, 9, 10, 11, 12, 13, 14, 15};
  const int first = window_start(t);
  for (int k = 0; k < WINDOW_MEMORY; k += LANES) {
    const Vec u = vset(t - float(first)) - vload(STEPS + k);
    const Vec value = exp2_fast<true>(u * u * vset(-0.5f * LOG2E));
    vstore(g + k, value);
    if (SLOPE) vstore(slope + k, vset(0.0f) - u * value);
  }
  return first;
}

// Distances of one molecule, each matrix n x row. Row i, column j belongs to pair (i, j).
struct Distances {
  int n, row;              // row: n rounded up to whole registers
  float *x[3], *distance;  // sqrt(|x_i - x_j|^2 + 1e-8)
  float *t;                // its position on the grid of Gaussians

  static int padded(int n) { return (n + LANES - 1) / LANES * LANES; }

  // positions: (n, 3)
  void set(const float* positions) {
    for (int k = 0; k < 3; k++) {
      for (int j = 0; j < n; j++) x[k][j] = positions[3 * j + k];
      for (int j = n; j < row; j++) x[k][j] = 0.0f;
    }
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < row; j += LANES) {
        Vec d2 = vset(1e-8f);
        for (int k = 0; k < 3; k++) {
          const Vec diff = vset(x[k][i]) - vload(x[k] + j);
          d2 = vfma(diff, diff, d2);
        }
        const Vec d = vsqrt(d2);
        vstore(distance + size_t(i) * row + j, d);
        vstore(t + size_t(i) * row + j,
               log_above_one(vset(1.0f) + d) * vset(1.0f / RADIAL_SPACING));
      }
    }
  }
};

}  // namespace ead
