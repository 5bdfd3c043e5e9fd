// Row-wise steps of the attention denoiser: adaptive layer norm, silu, sums.
//
//   n = (1 + scale) g + shift,    g = (h - mean h) / sqrt(var h + 1e-5)
#pragma once
#include "lanes.h"

namespace ead {

struct Moments {
  Vec mean, inverse;  // 1 / standard deviation
};

inline Moments moments(const float* h, int features) {
  Vec sum = vset(0.0f), squares = vset(0.0f);
  for (int f = 0; f < features; f += LANES) sum = sum + vload(h + f);
  const Vec mean = vset(vsum(sum) / float(features));
  for (int f = 0; f < features; f += LANES) {
    const Vec d = vload(h + f) - mean;
    squares = vfma(d, d, squares);
  }
  return {mean, vset(1.0f) / vsqrt(vset(vsum(squares) / float(features) + 1e-5f))};
}

// n of one row from its modulation (scale, shift), in the format To.
template <class P, class To>
void adaptive_norm(const float* h, const typename P::Scalar* modulation, int features,
                   typename To::Scalar* n) {
  const Moments m = moments(h, features);
  for (int f = 0; f < features; f += 2 * LANES) {
    Vec y[2];
    for (int c = 0; c < 2; c++) {
      const int at = f + c * LANES;
      const Vec g = (vload(h + at) - m.mean) * m.inverse;
      const Vec scale = vset(1.0f) + P::load(modulation + at);
      y[c] = vfma(scale, g, P::load(modulation + features + at));
    }
    To::store2(n + f, y[0], y[1]);
  }
}

// Gradients of one row: dh is added to. n is computed again.
template <class P>
void adaptive_norm_backward(const float* h, const typename P::Scalar* modulation, const float* dn,
                            int features, float* dh, typename P::Scalar* dmodulation,
                            typename P::Scalar* n) {
  const Moments m = moments(h, features);
  Vec sum = vset(0.0f), along = vset(0.0f);
  for (int f = 0; f < features; f += 2 * LANES) {
    Vec y[2], dscale[2], dshift[2];
    for (int c = 0; c < 2; c++) {
      const int at = f + c * LANES;
      const Vec g = (vload(h + at) - m.mean) * m.inverse;
      const Vec scale = vset(1.0f) + P::load(modulation + at);
      y[c] = vfma(scale, g, P::load(modulation + features + at));
      dshift[c] = vload(dn + at);
      dscale[c] = dshift[c] * g;
      const Vec dg = dshift[c] * scale;
      sum = sum + dg;
      along = vfma(dg, g, along);
    }
    P::store2(n + f, y[0], y[1]);
    P::store2(dmodulation + f, dscale[0], dscale[1]);
    P::store2(dmodulation + features + f, dshift[0], dshift[1]);
  }
  const Vec mean = vset(vsum(sum) / float(features)), slope = vset(vsum(along) / float(features));
  for (int f = 0; f < features; f += LANES) {
    const Vec g = (vload(h + f) - m.mean) * m.inverse;
    const Vec dg = vload(dn + f) * (vset(1.0f) + P::load(modulation + f));
    vstore(dh + f, vfma(dg - mean - slope * g, m.inverse, vload(dh + f)));
  }
}

}  // namespace ead
