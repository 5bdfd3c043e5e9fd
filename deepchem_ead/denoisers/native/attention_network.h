// The whole attention denoiser for a few molecules at a time, by one thread.
//
// What a row or a pair goes through does not depend on what is computed with it: every sum runs in an
// order of its own. An atom's result is therefore a function of its molecule, bit for bit.
#pragma once
#include "adaptive_norm.h"
#include "packed_attention.h"
#include "pair_forward.h"

namespace ead {

template <class P, int NH>
class AttentionChunk {
  using Scalar = typename P::Scalar;
  static constexpr int HEADS = NH * LANES;

 public:
  // Molecules [first, last) of the problem, whose first atom is `atom`.
  AttentionChunk(const AttentionProblem& p, const PackedAttention<P, NH>& net,
                 const PairShape& shape, int64_t first, int64_t last, int64_t atom,
                 Workspace& memory)
      : p_(p), net_(net), shape_(shape), first_(first), last_(last), atom_(atom),
        features_(shape.features) {
    for (int64_t m = first; m < last; m++) atoms_ += int(p.counts[m]);
    rows_ = pad_rows(atoms_);
    const size_t rows = rows_, f = features_, in = p.in_features;
    memory.reserve(sizeof(float) * rows * (in + 2 * CONDITION + f + MOVE + 6 + 5 * HEADS + 3) +
                   sizeof(Scalar) * rows * (CONDITION + 2 * f + f + shape.projected() +
                                            shape.received() + 6 * f) + 64 * 20);
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
    hidden_ = memory.take<Scalar>(rows * 3 * f);
    activated_ = memory.take<Scalar>(rows * 3 * f);
  }

  void evaluate() {
    begin();
    for (size_t l = 0; l < net_.blocks.size(); l++) {
      const PackedAttentionBlock<NH>& block = net_.blocks[l];
      save(p_.saved.h, l, h_, features_);
      normalise(block.norm, 2 * l);
      apply(block.project, operand_, features_, to_scalars(projected_, shape_.projected()));
      save(p_.saved.projected, l, projected_, shape_.projected());
      save(p_.saved.x, l, x_, 3);
      receive(block.pair);
      save(p_.saved.received, l, received_, shape_.received());
      save(p_.saved.vectors, l, vectors_, 3 * HEADS);
      save(p_.saved.softmax, l, softmax_, 2 * HEADS);
      apply(block.out, received_, shape_.received(), add_to_h());
      save(p_.saved.h_mlp, l, h_, features_);
      normalise(block.norm_mlp, 2 * l + 1);
      apply(block.mlp_first, operand_, features_, [&](auto& acc, int row, int column) {
        if (p_.saved.hidden) to_scalars(hidden_, 3 * features_)(acc, row, column);
        for (auto& vectors : acc)
          for (Vec& v : vectors) v = silu<P::EXACT>(v);
        to_scalars(activated_, 3 * features_)(acc, row, column);
      });
      save(p_.saved.hidden, l, hidden_, 3 * features_);
      apply(block.mlp_second, activated_, 3 * features_, add_to_h());
      move(block.move);
      save(p_.saved.move_weights, l, move_weights_, MOVE);
    }
    end();
  }

 private:
  const AttentionProblem& p_;
  const PackedAttention<P, NH>& net_;
  const PairShape shape_;
  const int64_t first_, last_, atom_;
  int atoms_ = 0, rows_, features_;  // rows: atoms, filled up to whole blocks of ROWS
  float *input_, *condition_hidden_, *h_, *move_weights_, *x_, *x0_, *dx_, *vectors_, *softmax_;
  Scalar *condition_, *modulation_, *operand_, *projected_, *received_, *hidden_, *activated_;

  // Copy the atoms' rows to those of layer l of a saved array (layers, A, width), if there is one.
  template <class T>
  void save(void* array, size_t l, const T* rows, int width) const {
    if (!array) return;
    std::memcpy(static_cast<T*>(array) + (l * p_.n_atoms + atom_) * width, rows,
                sizeof(T) * atoms_ * width);
  }

  // finish(acc, row, column) for all rows of a linear map of the rows of a.
  template <class Format = P, class Finish>
  void apply(const PackedMap& map, const typename Format::Scalar* a, long stride,
             Finish&& finish) const {
    multiply<Format>(rows_, map.inner, map.features, a, stride, map.w, map.b, finish);
  }

  // Ends of `apply`: store as scalars, or add to h.
  auto to_scalars(Scalar* matrix, long stride) const {
    return [=](auto& acc, int row, int column) {
      constexpr int C = sizeof(acc[0]) / sizeof(Vec);
      for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < C; c += 2)
          P::store2(matrix + (row + r) * stride + column + c * LANES, acc[r][c], acc[r][c + 1]);
    };
  }
  auto add_to_h() const {
    return [this](auto& acc, int row, int column) {
      constexpr int C = sizeof(acc[0]) / sizeof(Vec);
      for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < C; c++) {
          float* to = h_ + size_t(row + r) * features_ + column + c * LANES;
          vstore(to, vload(to) + acc[r][c]);
        }
    };
  }

  void begin() {
    const size_t in = p_.in_features;
    const float* h = p_.h + atom_ * in;
    std::fill(std::copy(h, h + atoms_ * in, input_), input_ + rows_ * in, 0.0f);
    std::fill(received_, received_ + size_t(rows_) * shape_.received(), Scalar());
    std::fill(dx_, dx_ + 3 * size_t(rows_), 0.0f);
    const float* x = p_.x + 3 * atom_;
    for (int64_t m = first_, at = 0; m < last_; at += p_.counts[m++])
      for (int k = 0; k < 3; k++) {
        float mean = 0.0f;
        for (int64_t i = at; i < at + p_.counts[m]; i++) mean += x[3 * i + k];
        mean /= float(p_.counts[m]);
        for (int64_t i = at; i < at + p_.counts[m]; i++) x_[3 * i + k] = x0_[3 * i + k] = x[3 * i + k] - mean;
      }
    apply<Fp32>(net_.embedding, input_, in, [&](auto& acc, int row, int column) {
      store_block(acc, h_, features_, row, column);
    });
    const auto activate = [](auto& acc) {
      for (auto& vectors : acc)
        for (Vec& v : vectors) v = silu<true>(v);
    };
    apply<Fp32>(net_.condition_first, input_, in, [&](auto& acc, int row, int column) {
      activate(acc);
      store_block(acc, condition_hidden_, 2 * CONDITION, row, column);
    });
    apply<Fp32>(net_.condition_second, condition_hidden_, 2 * CONDITION,
                [&](auto& acc, int row, int column) {
                  activate(acc);
                  to_scalars(condition_, CONDITION)(acc, row, column);
                });
    save(p_.saved.condition, 0, condition_, CONDITION);
  }

  // modulation and, from h and it, operand: norm number `which` of the network.
  template <class To = P>
  void normalise(const PackedMap& map, size_t which, typename To::Scalar* n) {
    apply(map, condition_, CONDITION, to_scalars(modulation_, 2 * features_));
    for (int r = 0; r < rows_; r++)
      adaptive_norm<P, To>(h_ + size_t(r) * features_, modulation_ + size_t(r) * 2 * features_,
                           features_, n + size_t(r) * features_);
    if (!p_.saved.modulations) return;
    const size_t width = 2 * features_, stride = (2 * net_.blocks.size() + 1) * width;
    auto* to = static_cast<Scalar*>(p_.saved.modulations) + atom_ * stride + which * width;
    for (int r = 0; r < atoms_; r++)
      std::memcpy(to + r * stride, modulation_ + r * width, sizeof(Scalar) * width);
  }
  void normalise(const PackedMap& map, size_t which) { normalise(map, which, operand_); }

  void receive(const PairParameters<NH>& weights) {
    static thread_local Workspace memory;
    for (int64_t m = first_, at = 0; m < last_; at += p_.counts[m++])
      PairForward<P, NH>(shape_, int(p_.counts[m]), memory)
          .run(projected_ + at * shape_.projected(), x_ + 3 * at, x0_ + 3 * at, weights,
               received_ + at * shape_.received(), vectors_ + at * 3 * HEADS,
               softmax_ + at * 2 * HEADS);
  }

  void move(const PackedMap& map) {
    for (size_t f = 0; f < size_t(rows_) * features_; f += 2 * LANES)
      P::store2(operand_ + f, vload(h_ + f), vload(h_ + f + LANES));
    apply(map, operand_, features_, [&](auto& acc, int row, int column) {
      store_block(acc, move_weights_, MOVE, row, column);
    });
    for (int r = 0; r < atoms_; r++) {
      const float step =
          p_.sigma_column < 0 ? 1.0f : input_[r * p_.in_features + p_.sigma_column];
      for (int k = 0; k < 3; k++) {
        Vec sum = vset(0.0f);
        for (int c = 0; c < HEADS; c += LANES)
          sum = vfma(vload(move_weights_ + r * MOVE + c),
                     vload(vectors_ + (3 * r + k) * HEADS + c), sum);
        const float d = vsum(sum);
        dx_[3 * r + k] += d;
        x_[3 * r + k] -= step * d;
      }
    }
  }

  void end() {
    save(p_.saved.h, net_.blocks.size(), h_, features_);
    normalise<Fp32>(net_.norm_out, 2 * net_.blocks.size(), h_);
    const int out = int(p_.out_features);
    apply<Fp32>(net_.embedding_out, h_, features_, [&](auto& acc, int row, int column) {
      constexpr int C = sizeof(acc[0]) / sizeof(Vec);
      for (int r = 0; r < std::min(ROWS, atoms_ - row); r++)
        for (int c = 0; c < C; c++)
          store_lanes(p_.h_out + (atom_ + row + r) * out + column + c * LANES, acc[r][c],
                      out - column - c * LANES);
    });
    std::copy(dx_, dx_ + 3 * atoms_, p_.dx + 3 * atom_);
  }
};

}  // namespace ead
