// One SIMD register of floats, and the few functions of it that the edge kernel needs.
//
// AVX512 (16 lanes) or AVX2 (8 lanes), by the flags of this compilation. Everything is written with
// intrinsics and compiled with -ffp-contract=off, so that a row's arithmetic does not depend on how
// the compiler vectorises the loop around it: outputs must be bitwise the same whatever else is in
// the batch.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace ead {

constexpr float LOG2E = 1.44269504f, LN2 = 0.693147181f;

#if defined(__AVX512F__)

constexpr int LANES = 16;
using Vec = __m512;
inline Vec vset(float x) { return _mm512_set1_ps(x); }
inline Vec vload(const float* p) { return _mm512_loadu_ps(p); }
inline void vstore(float* p, Vec x) { _mm512_storeu_ps(p, x); }
inline Vec vfma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec vmin(Vec a, Vec b) { return _mm512_min_ps(a, b); }
inline Vec vmax(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec vabs(Vec a) { return _mm512_abs_ps(a); }
inline Vec vsqrt(Vec a) { return _mm512_sqrt_ps(a); }
inline float vsum(Vec a) { return _mm512_reduce_add_ps(a); }
inline Vec vless(Vec a, Vec b, Vec yes, Vec no) {  // a < b ? yes : no
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}

// `no`, but lanes whose number has (above: lacks) this bit take `yes` of the lane without (with) it.
inline Vec merge(Vec no, Vec yes, int bit, bool above) {
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i bits = _mm512_set1_epi32(bit);
  const __mmask16 clear = _mm512_testn_epi32_mask(lane, bits);
  return _mm512_mask_permutexvar_ps(no, above ? clear : ~clear, _mm512_xor_si512(lane, bits), yes);
}

// 2^t = 2^floor(t) * p(t - floor(t)); vscalefps floors its second operand by itself and saturates,
// so no clamp and no integer arithmetic. The polynomials are relative minimax fits on [0, 1).
template <bool EXACT>
inline Vec exp2_fast(Vec t) {
  Vec p;
  if constexpr (EXACT) {  // relative error 7.5e-8
    const Vec r = _mm512_reduce_ps(t, 0x09);  // t - floor(t), and 0 at infinity
    p = vfma(vset(0.00187757666f), r, vset(0.00898934039f));
    p = vfma(p, r, vset(0.0558263175f));
    p = vfma(p, r, vset(0.240153617f));
    p = vfma(p, r, vset(0.693153073f));
    p = vfma(p, r, vset(0.999999925f));
  } else {  // relative error 7.5e-5: a twenty-fifth of a bf16 rounding
    const Vec r = t - _mm512_roundscale_ps(t, 0x09);  // the same but for infinity, and faster
    p = vfma(vset(0.0780245213f), r, vset(0.226067174f));
    p = vfma(p, r, vset(0.695833525f));
    p = vfma(p, r, vset(0.999925221f));
  }
  return _mm512_scalef_ps(p, t);
}

template <bool EXACT>
inline Vec reciprocal(Vec d) {
  if constexpr (EXACT) return vset(1.0f) / d;  // no slower than a Newton step, and exact at infinity
  return _mm512_rcp14_ps(d);
}
template <bool EXACT>
inline Vec quotient(Vec n, Vec d) { return n * reciprocal<EXACT>(d); }

#else  // AVX2 and FMA

constexpr int LANES = 8;
using Vec = __m256;
inline Vec vset(float x) { return _mm256_set1_ps(x); }
inline Vec vload(const float* p) { return _mm256_loadu_ps(p); }
inline void vstore(float* p, Vec x) { _mm256_storeu_ps(p, x); }
inline Vec vfma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec vmin(Vec a, Vec b) { return _mm256_min_ps(a, b); }
inline Vec vmax(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Vec vabs(Vec a) { return _mm256_andnot_ps(vset(-0.0f), a); }
inline Vec vsqrt(Vec a) { return _mm256_sqrt_ps(a); }
inline float vsum(Vec a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
inline Vec vless(Vec a, Vec b, Vec yes, Vec no) {
  return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

inline Vec merge(Vec no, Vec yes, int bit, bool above) {
  const __m256i lane = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0), bits = _mm256_set1_epi32(bit);
  const __m256i clear = _mm256_cmpeq_epi32(_mm256_and_si256(lane, bits), _mm256_setzero_si256());
  const Vec moved = _mm256_permutevar8x32_ps(yes, _mm256_xor_si256(lane, bits));
  const Vec mask = _mm256_castsi256_ps(clear);
  return above ? _mm256_blendv_ps(no, moved, mask) : _mm256_blendv_ps(moved, no, mask);
}

template <bool EXACT>
inline Vec exp2_fast(Vec t) {
  // In this operand order a NaN stays a NaN (x86 returns the second operand).
  t = vmin(vset(126.0f), vmax(vset(-126.0f), t));
  // Near 1.5 2^23 floats are whole numbers: the sum rounds t to n, and its lowest bits are n + 127, the
  // exponent of 2^n. The polynomial is a relative minimax fit (7.5e-8) on [-1/2, 1/2].
  const Vec shift = vset(12582912.0f + 127.0f);
  const Vec rounded = t + shift, r = t - (rounded - shift);
  Vec p = vfma(vset(0.0013276472f), r, vset(0.00967554133f));
  p = vfma(p, r, vset(0.0555071327f));
  p = vfma(p, r, vset(0.240221197f));
  p = vfma(p, r, vset(0.693146967f));
  p = vfma(p, r, vset(1.00000007f));
  return p * _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(rounded), 23));
}

template <bool EXACT>
inline Vec reciprocal(Vec d) { return vset(1.0f) / d; }
template <bool EXACT>
inline Vec quotient(Vec n, Vec d) { return n / d; }  // one product less

#endif

// Row r, lane c becomes row c, lane r: quarters change places, then quarters of the quarters, ...
inline void transpose(Vec (&x)[LANES]) {
#pragma GCC unroll 4
  for (int bit = LANES / 2; bit > 0; bit /= 2)
#pragma GCC unroll 16
    for (int r = 0; r < LANES; r++) {
      if (r & bit) continue;
      const Vec upper = x[r], lower = x[r + bit];
      x[r] = merge(upper, lower, bit, false);
      x[r + bit] = merge(lower, upper, bit, true);
    }
}

template <bool EXACT>
inline Vec sigmoid(Vec x) {
  return reciprocal<EXACT>(vset(1.0f) + exp2_fast<EXACT>(x * vset(-LOG2E)));
}

template <bool EXACT>
inline Vec silu(Vec x) {
  return quotient<EXACT>(x, vset(1.0f) + exp2_fast<EXACT>(x * vset(-LOG2E)));
}

// -log2(e) silu(x) for t = -log2(e) x: one product less.
template <bool EXACT>
inline Vec scaled_silu(Vec t) {
  return quotient<EXACT>(t, vset(1.0f) + exp2_fast<EXACT>(t));
}

// y = silu(x) and its derivative
template <bool EXACT>
inline void silu_and_slope(Vec x, Vec& y, Vec& slope) {
  const Vec s = sigmoid<EXACT>(x);
  y = x * s;
  slope = vfma(s, x - y, s);
}

// Relative accuracy near zero matters: the coordinate read-out starts out at 1e-3.
inline Vec tanh_exact(Vec x) {
  const Vec z = x * x;  // Taylor-like polynomial (Cephes) below 0.625, exponential above
  Vec p = vfma(vset(-5.70498872745e-3f), z, vset(2.06390887954e-2f));
  p = vfma(p, z, vset(-5.37397155531e-2f));
  p = vfma(p, z, vset(1.33314422036e-1f));
  p = vfma(p, z, vset(-3.33332819422e-1f));
  p = vfma(p * z, x, x);
  const Vec big = vset(1.0f) - vset(2.0f) * sigmoid<true>(vset(-2.0f) * x);
  return vless(vabs(x), vset(0.625f), p, big);
}

}  // namespace ead
