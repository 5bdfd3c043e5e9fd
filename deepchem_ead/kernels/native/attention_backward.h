// The attention denoiser, backward, for a few molecules at a time.
//
// Gradients of linear maps are products over all atoms of what went in and of the gradient of what
// came out: both are written down for PyTorch, block by block, so that they are still in the cache
// when it multiplies them. All other gradients are computed here. What one pass over rows gives back
// (norms, silu) is computed again rather than kept.
#pragma once
#include "adaptive_norm.h"
#include "attention_chunk.h"
#include "pair_backward.h"

namespace ead {

template <class P, int NH>
class AttentionBackward : AttentionChunk<P, NH> {
  using Base = AttentionChunk<P, NH>;
  using typename Base::Scalar;
  using Base::HEADS, Base::p_, Base::shape_, Base::features_, Base::atoms_, Base::rows_, Base::range_;

 public:
  // sums: added to; null if no gradients of weights are wanted.
  AttentionBackward(const AttentionBackwardProblem& p, const PackedAttentionBackward<P, NH>& net,
                    const PairShape& shape, const MoleculeRange& range, PairGradients<NH>* sums,
                    Workspace& memory)
      : Base(p.forward, shape, range), b_(p), net_(net), sums_(sums), layer_(p.layer) {
    const size_t rows = rows_, f = features_, out = p.forward.out_features;
    memory.reserve(sizeof(float) * rows * (out + 5 * f + 9) +
                   sizeof(Scalar) * rows * (MOVE + f + 6 * f + shape.received() +
                                            shape.projected()) + 64 * 16);
    dh_out_ = memory.take<float>(rows * out);
    dh_ = memory.take<float>(rows * f);
    dn_ = memory.take<float>(rows * f);
    dactivated_ = memory.take<float>(rows * 3 * f);
    dmove_ = memory.take<float>(rows * 3);
    dx_ = memory.take<float>(rows * 3);
    dx0_ = memory.take<float>(rows * 3);
    dweights_ = memory.take<Scalar>(rows * MOVE);
    operand_ = memory.take<Scalar>(rows * f);
    dhidden_ = memory.take<Scalar>(rows * 3 * f);
    activated_ = memory.take<Scalar>(rows * 3 * f);
    dreceived_ = memory.take<Scalar>(rows * shape.received());
    dprojected_ = memory.take<Scalar>(rows * shape.projected());
  }

  void run() {
    const float* dh = Base::template rows_of<float>(b_.dh, 0, features_);
    // Rows behind the last atom stay zero, or their products would spread what they hold.
    std::fill(std::copy(dh, dh + size_t(atoms_) * features_, dh_),
              dh_ + size_t(rows_) * features_, 0.0f);
    if (layer_ == size_t(p_.n_layers)) through_read_out();
    else through_block();
    Base::save(b_.dh, 0, dh_, features_);
    if (layer_ == 0 && b_.wants_x) center();
  }

 private:
  const AttentionBackwardProblem& b_;
  const PackedAttentionBackward<P, NH>& net_;
  PairGradients<NH>* sums_;
  const size_t layer_;
  float *dh_out_, *dh_, *dn_, *dactivated_;
  float *dmove_, *dx_, *dx0_;
  Scalar *dweights_, *operand_, *dhidden_, *activated_, *dreceived_, *dprojected_;

  float* dposition() const { return b_.dposition + 3 * range_.atom; }  // after the block

  void through_read_out() {
    const size_t out = p_.out_features;
    const float* dh_out = b_.dh_out + range_.atom * out;
    std::fill(std::copy(dh_out, dh_out + atoms_ * out, dh_out_), dh_out_ + rows_ * out, 0.0f);
    Base::template apply<Fp32>(net_.embedding_out, dh_out_, Base::to_floats(dn_, features_));
    through_norm(0, 2 * layer_, Base::template rows_of<float>(p_.saved.h, layer_, features_));
  }

  void through_block() {
    move();
    Base::apply(net_.move, dweights_, Base::add_to(dh_, features_));
    round_dh(b_.dmlp);
    Base::apply(net_.mlp_second, operand_, Base::to_floats(dactivated_, 3 * features_));
    through_silu();
    Base::apply(net_.mlp_first, dhidden_, Base::to_floats(dn_, features_));
    through_norm(1, 2 * layer_ + 1,
                 Base::template rows_of<float>(p_.saved.h_mlp, layer_, features_));
    round_dh(b_.dout);
    Base::apply(net_.out, operand_, Base::to_scalars(dreceived_, shape_.received()));
    through_pairs();
    Base::apply(net_.project, dprojected_, Base::to_floats(dn_, features_));
    through_norm(0, 2 * layer_, Base::template rows_of<float>(p_.saved.h, layer_, features_));
  }

  // dmove, and the gradients of the weights of the vectors in it.
  void move() {
    const float* vectors = Base::template rows_of<float>(p_.saved.vectors, layer_, 3 * HEADS);
    const float* weights = Base::template rows_of<float>(p_.saved.move_weights, layer_, MOVE);
    const float* ddx = b_.ddx + 3 * range_.atom;
    std::fill(dweights_, dweights_ + size_t(rows_) * MOVE, Scalar());
    for (int r = 0; r < atoms_; r++) {
      const float step = Base::step_of(r);
      const Move move = Base::move_of(weights + r * MOVE, vectors + 3 * r * HEADS);
      alignas(64) float d[MOVE] = {};
      for (int k = 0; k < 3; k++) dmove_[3 * r + k] = ddx[3 * r + k] - step * dposition()[3 * r + k];
      move.bound_backward(dmove_ + 3 * r);
      for (int c = 0; c < HEADS; c += LANES) {
        Vec sum = vset(0.0f);
        for (int k = 0; k < 3; k++)
          sum = vfma(vload(vectors + (3 * r + k) * HEADS + c), vset(dmove_[3 * r + k]), sum);
        vstore(d + c, sum);
      }
      to_scalars<P>(d, MOVE, dweights_ + r * MOVE);
      if (b_.dstep)  // x after the block is x - step move
        for (int k = 0; k < 3; k++)
          b_.dstep[range_.atom + r] -= dposition()[3 * r + k] * move.d[k] * move.bound();
    }
    Base::save(b_.dmove, 0, dweights_, MOVE);
  }

  // operand = dh as scalars, which is the gradient of what a map adds to h.
  void round_dh(void* kept) {
    to_scalars<P>(dh_, rows_ * features_, operand_);
    Base::save(kept, 0, operand_, features_);
  }

  void through_silu() {
    const Scalar* z = Base::template rows_of<Scalar>(p_.saved.hidden, layer_, 3 * features_);
    Scalar* activated = Base::rows_or(activated_, b_.activated, 0, 3 * features_);
    for (size_t f = 0; f < size_t(atoms_) * 3 * features_; f += 2 * LANES) {
      Vec y[2], d[2];
      for (int c = 0; c < 2; c++) {
        Vec slope;
        silu_and_slope<P::EXACT>(P::load(z + f + c * LANES), y[c], slope);
        d[c] = vload(dactivated_ + f + c * LANES) * slope;
      }
      P::store2(activated + f, y[0], y[1]);
      P::store2(dhidden_ + f, d[0], d[1]);
    }
    std::fill(dhidden_ + size_t(atoms_) * 3 * features_, dhidden_ + size_t(rows_) * 3 * features_,
              Scalar());
    Base::save(b_.dhidden, 0, dhidden_, 3 * features_);
  }

  // dn to dh through norm number `norm` of the network, number `which` of this step, of rows h
  void through_norm(size_t which, size_t norm, const float* h) {
    const Scalar* modulation = Base::modulation_of(norm);
    Scalar* dmodulation = Base::template rows_of<Scalar>(b_.dmodulations, which, 2 * features_);
    Scalar* n = b_.normed ? Base::template rows_of<Scalar>(b_.normed, which, features_) : operand_;
    for (int r = 0; r < atoms_; r++) {
      const size_t at = size_t(r) * features_;
      adaptive_norm_backward<P>(h + at, modulation + r * Base::modulations(), dn_ + at, features_,
                                dh_ + at, dmodulation + 2 * at, n + at);
    }
  }

  void through_pairs() {
    static thread_local Workspace memory;
    PairParameters<NH> weights = *net_.pair;
    const bool moved = layer_ > 0 || b_.wants_x;
    // Where it is not x itself, the reference is a constant.
    const bool wants_reference = b_.wants_x && !p_.reference;
    const auto rows = [&](float* array, int width) {
      return Base::template rows_of<float>(array, layer_, width);
    };
    const Scalar* projected =
        Base::template rows_of<Scalar>(p_.saved.projected, layer_, shape_.projected());
    const float* x0 = Base::template rows_of<float>(p_.saved.x, p_.n_layers, 3);
    std::fill(dx0_, dx0_ + 3 * atoms_, 0.0f);
    std::fill(dprojected_ + size_t(atoms_) * shape_.projected(),
              dprojected_ + size_t(rows_) * shape_.projected(), Scalar());
    Base::for_molecules([&](int64_t at, int n, int64_t pair) {
      const PairBackwardArrays<P> arrays = {
          projected + at * shape_.projected(), rows(p_.saved.x, 3) + 3 * at, x0 + 3 * at,
          Base::told_of(p_.told, pair),
          rows(p_.saved.vectors, 3 * HEADS) + at * 3 * HEADS,
          rows(p_.saved.softmax, 2 * HEADS) + at * 2 * HEADS,
          dreceived_ + at * shape_.received(), rows(p_.saved.move_weights, MOVE) + at * MOVE,
          dmove_ + 3 * at, dprojected_ + at * shape_.projected(), moved ? dx_ + 3 * at : nullptr,
          wants_reference ? dx0_ + 3 * at : nullptr, Base::told_of(b_.dtold, pair)};
      PairBackward<P, NH>(shape_, n, memory).run(arrays, weights, sums_);
    });
    for (int k = 0; k < 3 * atoms_; k++) {
      if (moved) dposition()[k] += dx_[k];
      b_.dx[3 * range_.atom + k] += dx0_[k];
    }
    Base::save(b_.dprojected, 0, dprojected_, shape_.projected());
  }

  // The network centres its input.
  void center() {
    float* dx = b_.dx + 3 * range_.atom;
    Base::for_molecules([&](int64_t at, int n, int64_t) {
      for (int k = 0; k < 3; k++) {
        float mean = 0.0f;
        for (int64_t i = at; i < at + n; i++) mean += dx[3 * i + k] += dposition()[3 * i + k];
        mean /= float(n);
        for (int64_t i = at; i < at + n; i++) dx[3 * i + k] -= mean;
      }
    });
  }
};

}  // namespace ead
