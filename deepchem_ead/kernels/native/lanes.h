// Parts of a register: rows whose length is no multiple of LANES.
#pragma once
#include "gemm.h"

namespace ead {

inline int round_up(int n, int unit) { return (n + unit - 1) / unit * unit; }
inline const uint32_t* as_words(const void* p) { return static_cast<const uint32_t*>(p); }

// first_lanes: the first n lanes, zeros behind them. store_lanes: store these lanes only. Any n.
#if defined(__AVX512F__)
inline __mmask16 lane_mask(int n) {
  return n >= LANES ? __mmask16(0xffff) : n <= 0 ? __mmask16(0) : __mmask16((1u << n) - 1);
}
inline Vec first_lanes(Vec v, int n) { return _mm512_maskz_mov_ps(lane_mask(n), v); }
inline void store_lanes(float* p, Vec v, int n) { _mm512_mask_storeu_ps(p, lane_mask(n), v); }
#if defined(__AVX512BF16__)
inline void store_lanes(uint16_t* p, Vec v, int n) {
  _mm256_mask_storeu_epi16(p, lane_mask(n), (__m256i)_mm512_cvtneps_pbh(v));
}
#endif
#else
inline __m256i lane_mask(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vec first_lanes(Vec v, int n) {
  return _mm256_and_ps(v, _mm256_castsi256_ps(lane_mask(n)));
}
inline void store_lanes(float* p, Vec v, int n) { _mm256_maskstore_ps(p, lane_mask(n), v); }
#endif

// n floats from and to the format's scalars; n a multiple of 2 LANES.
template <class P>
inline void to_floats(const typename P::Scalar* from, int n, float* to) {
  for (int f = 0; f < n; f += LANES) vstore(to + f, P::load(from + f));
}
template <class P>
inline void to_scalars(const float* from, int n, typename P::Scalar* to) {
  for (int f = 0; f < n; f += 2 * LANES) P::store2(to + f, vload(from + f), vload(from + f + LANES));
}

}  // namespace ead
