// The attention denoiser, forward, for a few molecules at a time.
#pragma once
#include "adaptive_norm.h"
#include "attention_chunk.h"
#include "pair_forward.h"

namespace ead {

template <class P, int NH>
class AttentionForward : AttentionChunk<P, NH> {
  using Base = AttentionChunk<P, NH>;
  using typename Base::Scalar;
  using Base::HEADS, Base::p_, Base::shape_, Base::features_, Base::atoms_, Base::rows_, Base::range_;

 public:
  AttentionForward(const AttentionProblem& p, const PackedAttention<P, NH>& net,
                   const PairShape& shape, const MoleculeRange& range, Workspace& memory)
      : Base(p, shape, range), net_(net) {
    const size_t rows = rows_, f = features_, in = p.in_features;
    memory.reserve(sizeof(float) * rows * (in + 2 * CONDITION + f + MOVE + 6 + 5 * HEADS + 3) +
                   sizeof(Scalar) * rows * (CONDITION + 2 * f + f + shape.projected() +
                                            shape.received() + 3 * f) + 64 * 20);
    input_ = memory.take<float>(rows * in);
    condition_hidden_ = memory.take<float>(rows * 2 * CONDITION);
    h_ = memory.take<float>(rows * f);
    move_weights_ = memory.take<float>(rows * MOVE);
    x_ = memory.take<float>(rows * 3);
    x0_ = memory.take<float>(rows * 3);
    dx_ = memory.take<float>(rows * 3);
    vectors_ = memory.take<float>(rows * 3 * HEADS);
    softmax_ = memory.take<float>(rows * 2 * HEADS);
    condition_ = memory.take<Scalar>(rows * CONDITION);
    modulation_ = memory.take<Scalar>(rows * 2 * f);
    operand_ = memory.take<Scalar>(rows * f);
    projected_ = memory.take<Scalar>(rows * shape.projected());
    received_ = memory.take<Scalar>(rows * shape.received());
    activated_ = memory.take<Scalar>(rows * 3 * f);
  }

  void evaluate() {
    begin();
    for (size_t l = 0; l < net_.blocks.size(); l++) {
      const PackedAttentionBlock<NH>& block = net_.blocks[l];
      Base::save(p_.saved.h, l, h_, features_);
      normalise(block.norm, 2 * l);
      Scalar* projected = Base::rows_or(projected_, p_.saved.projected, l, shape_.projected());
      float* vectors = Base::rows_or(vectors_, p_.saved.vectors, l, 3 * HEADS);
      Base::apply(block.project, operand_, Base::to_scalars(projected, shape_.projected(), atoms_));
      Base::save(p_.saved.x, l, x_, 3);
      receive(block.pair, projected, vectors,
              Base::rows_or(softmax_, p_.saved.softmax, l, 2 * HEADS));
      Base::save(p_.saved.received, l, received_, shape_.received());
      Base::apply(block.out, received_, Base::add_to(h_, features_));
      Base::save(p_.saved.h_mlp, l, h_, features_);
      normalise(block.norm_mlp, 2 * l + 1);
      Scalar* hidden = Base::template rows_of<Scalar>(p_.saved.hidden, l, 3 * features_);
      Base::apply(block.mlp_first, operand_, [&](auto& acc, int row, int column) {
        if (hidden) Base::to_scalars(hidden, 3 * features_, atoms_)(acc, row, column);
        for (auto& vectors : acc)
          for (Vec& v : vectors) v = silu<P::EXACT>(v);
        Base::to_scalars(activated_, 3 * features_)(acc, row, column);
      });
      Base::apply(block.mlp_second, activated_, Base::add_to(h_, features_));
      move(block.move, vectors);
      Base::save(p_.saved.move_weights, l, move_weights_, MOVE);
    }
    end();
  }

 private:
  const PackedAttention<P, NH>& net_;
  float *input_, *condition_hidden_, *h_, *move_weights_, *x_, *x0_, *dx_, *vectors_, *softmax_;
  Scalar *condition_, *modulation_, *operand_, *projected_, *received_, *activated_;

  void begin() {
    const size_t in = p_.in_features;
    const float* h = p_.h + range_.atom * in;
    std::fill(std::copy(h, h + atoms_ * in, input_), input_ + rows_ * in, 0.0f);
    std::fill(received_, received_ + size_t(rows_) * shape_.received(), Scalar());
    std::fill(operand_, operand_ + size_t(rows_) * features_, Scalar());
    std::fill(dx_, dx_ + 3 * size_t(rows_), 0.0f);
    centre(p_.x, x_);
    centre(p_.reference ? p_.reference : p_.x, x0_);
    Base::save(p_.saved.x, net_.blocks.size(), x0_, 3);
    Base::template apply<Fp32>(net_.embedding, input_, Base::to_floats(h_, features_));
    const auto activate = [](auto& acc) {
      for (auto& vectors : acc)
        for (Vec& v : vectors) v = silu<true>(v);
    };
    Base::template apply<Fp32>(net_.condition_first, input_, [&](auto& acc, int row, int column) {
      activate(acc);
      store_block(acc, condition_hidden_, 2 * CONDITION, row, column);
    });
    Base::template apply<Fp32>(net_.condition_second, condition_hidden_,
                [&](auto& acc, int row, int column) {
                  activate(acc);
                  Base::to_scalars(condition_, CONDITION)(acc, row, column);
                });
    Base::save(p_.saved.condition, 0, condition_, CONDITION);
  }

  // Positions of the chunk's molecules, each on its centre.
  void centre(const float* positions, float* centred) {
    const float* x = positions + 3 * range_.atom;
    Base::for_molecules([&](int64_t at, int n, int64_t) {
      for (int k = 0; k < 3; k++) {
        float mean = 0.0f;
        for (int64_t i = at; i < at + n; i++) mean += x[3 * i + k];
        mean /= float(n);
        for (int64_t i = at; i < at + n; i++) centred[3 * i + k] = x[3 * i + k] - mean;
      }
    });
  }

  // modulation and, from h and it, operand: norm number `which` of the network.
  template <class To = P>
  void normalise(const PackedMap& map, size_t which, typename To::Scalar* n) {
    const bool kept = p_.saved.modulations;
    Scalar* modulation = kept ? Base::modulation_of(which) : modulation_;
    const size_t stride = kept ? Base::modulations() : 2 * features_;
    Base::apply(map, condition_, Base::to_scalars(modulation, stride, atoms_));
    for (int r = 0; r < atoms_; r++)
      adaptive_norm<P, To>(h_ + size_t(r) * features_, modulation + r * stride, features_,
                           n + size_t(r) * features_);
  }
  void normalise(const PackedMap& map, size_t which) { normalise(map, which, operand_); }

  void receive(const PairParameters<NH>& weights, const Scalar* projected, float* vectors,
               float* softmax) {
    static thread_local Workspace memory;
    Base::for_molecules([&](int64_t at, int n, int64_t pair) {
      PairForward<P, NH>(shape_, n, memory)
          .run(projected + at * shape_.projected(), x_ + 3 * at, x0_ + 3 * at,
               Base::told_of(p_.told, pair), weights,
               received_ + at * shape_.received(), vectors + at * 3 * HEADS,
               softmax + at * 2 * HEADS);
    });
  }

  void move(const PackedMap& map, const float* vectors) {
    for (size_t f = 0; f < size_t(rows_) * features_; f += 2 * LANES)
      P::store2(operand_ + f, vload(h_ + f), vload(h_ + f + LANES));
    Base::apply(map, operand_, Base::to_floats(move_weights_, MOVE));
    for (int r = 0; r < atoms_; r++) {
      const Move move = Base::move_of(move_weights_ + r * MOVE, vectors + 3 * r * HEADS);
      const float bound = move.bound(), step = Base::step_of(r);
      for (int k = 0; k < 3; k++) {
        const float d = move.d[k] * bound;
        dx_[3 * r + k] += d;
        x_[3 * r + k] -= step * d;
      }
    }
  }

  void end() {
    Base::save(p_.saved.h, net_.blocks.size(), h_, features_);
    normalise<Fp32>(net_.norm_out, 2 * net_.blocks.size(), h_);
    const int out = int(p_.out_features);
    Base::template apply<Fp32>(net_.embedding_out, h_, [&](auto& acc, int row, int column) {
      constexpr int R = block_rows<decltype(acc)>, C = block_vectors<decltype(acc)>;
      for (int r = 0; r < std::min(R, atoms_ - row); r++)
        for (int c = 0; c < C; c++)
          store_lanes(p_.h_out + (range_.atom + row + r) * out + column + c * LANES, acc[r][c],
                      out - column - c * LANES);
    });
    std::copy(dx_, dx_ + 3 * atoms_, p_.dx + 3 * range_.atom);
  }
};

}  // namespace ead
