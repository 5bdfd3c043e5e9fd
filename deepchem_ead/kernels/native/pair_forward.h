// The pair operation of the attention denoiser, forward.
#pragma once
#include "pair_molecule.h"

namespace ead {

// norms (vectors,) = sqrt(|V|^2 + 1e-8), then products l . r / sqrt(1 + |l . r|) of the vectors
// l = left V, r = right V. V: (3, HEADS).
template <class P, int NH>
void vector_features(const PairParameters<NH>& weights, int n_vectors, const float* v,
                     typename P::Scalar* to) {
  constexpr int HEADS = NH * LANES;
  for (int c = 0; c < HEADS; c += LANES) {
    Vec square = vset(1e-8f);
    for (int k = 0; k < 3; k++) square = vfma(vload(v + k * HEADS + c), vload(v + k * HEADS + c), square);
    store_lanes(to + c, vsqrt(square), n_vectors - c);
  }
  for (int c = 0; c < PRODUCTS; c += LANES) {
    Vec side[2][3];
    for (int k = 0; k < 3; k++) side[0][k] = side[1][k] = vset(0.0f);
    for (int m = 0; m < n_vectors; m++)
      for (int s = 0; s < 2; s++) {
        const Vec w = vload(weights.columns[s] + m * PRODUCTS + c);
        for (int k = 0; k < 3; k++) side[s][k] = vfma(vset(v[k * HEADS + m]), w, side[s][k]);
      }
    Vec product = side[0][0] * side[1][0];
    for (int k = 1; k < 3; k++) product = vfma(side[0][k], side[1][k], product);
    store_lanes(to + n_vectors + c, product / vsqrt(vset(1.0f) + vabs(product)), LANES);
  }
}

template <class P, int NH>
class PairForward : PairMolecule<P, NH> {
  using Base = PairMolecule<P, NH>;
  using Base::n_, Base::shape_, Base::row_, Base::unit_, Base::now_, Base::cells_;

 public:
  using typename Base::Scalar;
  using Base::HEADS, Base::STRIDE;

  PairForward(const PairShape& shape, int n, Workspace& memory)
      : Base(shape, n, false, memory),
        reads_(memory.template take<float>(size_t(Base::rows_) * STRIDE)) {}

  // told: (n (n - 1), W) or null; received: (n, shape.received()); vectors: (n, 3, HEADS), own position behind the heads;
  // softmax: (n, 2, HEADS), largest logit and 1 / sum of exponentials.
  void run(const Scalar* projected, const float* x, const float* x0, const float* told,
           const PairParameters<NH>& weights, Scalar* received, float* vectors, float* softmax) {
    Base::load(projected, x, x0, told, weights);
    float mean[3] = {};
    for (int k = 0; k < 3; k++) {
      for (int j = 0; j < n_; j++) mean[k] += now_.x[k][j];
      mean[k] /= float(n_);
    }
    for (int i = 0; i < n_; i++) {
      Scalar* to = received + size_t(i) * shape_.received();
      float* v = vectors + size_t(i) * 3 * HEADS;
      Base::template pair_features<false>(i, weights, nullptr);
      Base::template read_pairs<2>(weights.reads, reads_);
      Base::add_products(Base::q_ + i * cells_, Base::k_, reads_);
      Base::unit_vectors(i);
      attend(i, v, softmax + size_t(i) * 2 * HEADS);
      for (int k = 0; k < 3; k++) v[k * HEADS + shape_.heads] = now_.x[k][i] - mean[k];
      Base::weighted_sum(reads_, STRIDE, Base::v_, 1.0f, to);
      Base::outer_products(reads_, nullptr, [&](int h, int f, Vec a, Vec b) {
        P::store2(to + shape_.features + h * PAIR + f, a, b);
      });
      vector_features<P, NH>(weights, shape_.vectors(), v, to + shape_.norms());
      std::fill(to + shape_.received_used(), to + shape_.received(), Scalar());
    }
  }

 private:
  float* reads_;  // (rows, STRIDE) of one centre: logits, gates

  // Replaces the logits of centre i by its attention.
  void attend(int i, float* vectors, float* softmax) {
    for (int c = 0; c < HEADS; c += LANES) {
      Vec largest = vset(-INFINITY), sum = vset(0.0f);
      for (int j = 0; j < n_; j++)
        if (j != i) largest = vmax(largest, vload(reads_ + j * STRIDE + c));
      for (int j = 0; j < n_; j++) {
        float* logit = reads_ + j * STRIDE + c;
        const Vec e = j == i ? vset(0.0f)
                             : exp2_fast<true>((vload(logit) - largest) * vset(LOG2E));
        vstore(logit, e);
        sum = sum + e;
      }
      // An atom that is alone has no attention to give: everything is zero.
      const Vec inverse = n_ > 1 ? vset(1.0f) / sum : vset(0.0f);
      Vec vector[3] = {vset(0.0f), vset(0.0f), vset(0.0f)};
      for (int j = 0; j < n_; j++) {
        float* attention = reads_ + j * STRIDE + c;
        const Vec a = vload(attention) * inverse, weight = a * vload(attention + HEADS);
        vstore(attention, a);
        for (int k = 0; k < 3; k++) vector[k] = vfma(weight, vset(unit_[k][j]), vector[k]);
      }
      for (int k = 0; k < 3; k++) vstore(vectors + k * HEADS + c, vector[k]);
      vstore(softmax + c, largest);
      vstore(softmax + HEADS + c, inverse);
    }
  }
};

}  // namespace ead
