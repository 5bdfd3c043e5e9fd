// The parameters of an attention denoiser in the form in which the kernels read them.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "attention_problem.h"
#include "workspace.h"

namespace ead {

// A linear map, packed, with a number of outputs that is a multiple of 2 LANES.
struct PackedMap {
  int inner, features;
  const uint32_t* w;
  const float* b;  // null: none
};

template <int NH>
struct PackedAttentionBlock {
  PackedMap norm, project, out, norm_mlp, mlp_first, mlp_second, move;
  PairParameters<NH> pair;
};

// What packing forward and backward have in common. Packing reads every weight once, with all
// threads, and is repeated in every call: weights cannot be out of date, however they were changed.
// Only who promises that they do not change has them packed once for several (KeptAttention).
template <class P>
class AttentionPacker {
 public:
  std::vector<std::function<void()>> tasks;  // do all, in any order, before reading a weight

 protected:
  AttentionPacker(const AttentionProblem& p, const PairShape& shape, Workspace& memory)
      : shape_(shape), memory_(memory) {
    const int f = shape.features, in = int(p.in_features), out = int(p.out_features);
    const size_t per_block = size_t(f) * (shape.projected() + shape.received() + 6 * f + MOVE) +
                             4 * size_t(f) * CONDITION + shape.projected() + MOVE;
    const size_t other = size_t(f) * (in + round_up(out, 32) + 2 * CONDITION) +
                         2 * CONDITION * (size_t(in) + CONDITION) + round_up(out, 32);
    memory.reserve(sizeof(float) * (other + p.n_layers * per_block) + 64 * (16 + 16 * p.n_layers));
  }

  template <class Format>
  uint32_t* take(int inner, int features) {
    return memory_.template take<uint32_t>(size_t(words_of<Format>(inner)) * features);
  }

  // Rows of the projection in the order in which PairMolecule reads its columns.
  std::vector<float> projection(const float* w) const {
    const int f = shape_.features, rows = shape_.projected();
    std::vector<float> ordered(size_t(rows) * f);
    for (int r = 0; r < rows; r++)
      std::copy(w + size_t(r) * f, w + size_t(r + 1) * f,
                ordered.data() + size_t(shape_.projected_at(r)) * f);
    return ordered;
  }
  // The map of what an atom receives, for rows as PairForward writes them.
  std::vector<float> reception(const float* w) const {
    const int f = shape_.features, inner = shape_.received();
    const int columns = shape_.received_used();
    std::vector<float> ordered(size_t(f) * inner, 0.0f);
    for (int r = 0; r < f; r++)
      for (int c = 0; c < columns; c++)
        ordered[size_t(r) * inner + shape_.received_at(c)] = w[size_t(r) * columns + c];
    return ordered;
  }

  const PairShape shape_;
  Workspace& memory_;
};

template <class P, int NH>
struct PackedAttention : AttentionPacker<P> {
  PackedMap embedding, condition_first, condition_second, embedding_out;  // in Fp32
  PackedMap norm_out;
  std::vector<PackedAttentionBlock<NH>> blocks;

  PackedAttention(const AttentionProblem& p, const PairShape& shape, Workspace& memory)
      : AttentionPacker<P>(p, shape, memory) {
    const int f = shape.features, in = int(p.in_features), out = int(p.out_features);
    embedding = linear<Fp32>(p.embedding_w, in, f, p.embedding_b);
    condition_first = linear<Fp32>(p.condition_w1, in, 2 * CONDITION, p.condition_b1);
    condition_second = linear<Fp32>(p.condition_w2, 2 * CONDITION, CONDITION, p.condition_b2);
    embedding_out = linear<Fp32>(p.embedding_out_w, f, out, p.embedding_out_b);
    norm_out = linear<P>(p.norm_out_w, CONDITION, 2 * f, p.norm_out_b);
    for (int64_t l = 0; l < p.n_layers; l++) {
      const AttentionBlockPointers& b = p.blocks[l];
      blocks.push_back({linear<P>(b.norm_w, CONDITION, 2 * f, b.norm_b), project(b), receive(b),
                        linear<P>(b.norm_mlp_w, CONDITION, 2 * f, b.norm_mlp_b),
                        linear<P>(b.mlp_w1, f, 3 * f, b.mlp_b1),
                        linear<P>(b.mlp_w2, 3 * f, f, b.mlp_b2),
                        linear<P>(b.move_w, f, shape.vectors(), b.move_b),
                        PairParameters<NH>(b.pair, shape)});
    }
  }

 private:
  using Base = AttentionPacker<P>;
  using Base::shape_, Base::memory_;

  // w: (columns, inner); outputs are filled up with zeros.
  template <class Format>
  PackedMap linear(const float* w, int inner, int columns, const float* b) {
    const int features = round_up(columns, 2 * LANES);
    uint32_t* to = Base::template take<Format>(inner, features);
    Base::tasks.push_back([=] { pack<Format>(w, inner, inner, columns, features, to); });
    if (features > columns) {
      float* padded = memory_.template take<float>(features);
      std::fill(std::copy(b, b + columns, padded), padded + features, 0.0f);
      b = padded;
    }
    return {inner, features, to, b};
  }

  PackedMap project(const AttentionBlockPointers& block) {
    const int f = shape_.features, columns = shape_.projected();
    uint32_t* to = Base::template take<P>(f, columns);
    float* bias = memory_.template take<float>(columns);
    Base::tasks.push_back([=] {
      pack<P>(Base::projection(block.project_w).data(), f, f, columns, columns, to);
      for (int r = 0; r < columns; r++) bias[shape_.projected_at(r)] = block.project_b[r];
    });
    return {f, columns, to, bias};
  }

  PackedMap receive(const AttentionBlockPointers& block) {
    const int f = shape_.features, inner = shape_.received();
    uint32_t* to = Base::template take<P>(inner, f);
    Base::tasks.push_back([=] { pack<P>(Base::reception(block.out_w).data(), inner, inner, f, f, to); });
    return {inner, f, to, block.out_b};
  }
};

// Weights packed once for many calls. Biases stay where they are.
struct Kept {
  virtual ~Kept() = default;
};
template <class P, int NH>
struct KeptAttention : Kept {
  Workspace memory;
  PackedAttention<P, NH> net;

  KeptAttention(const AttentionProblem& p, const PairShape& shape) : net(p, shape, memory) {
    for (auto& task : net.tasks) task();
    net.tasks.clear();
  }
};

// The transposed maps of one step of the backward pass, through which gradients travel.
template <class P, int NH>
struct PackedAttentionBackward : AttentionPacker<P> {
  PackedMap embedding_out;  // in Fp32
  PackedMap move, mlp_second, mlp_first, out, project;
  std::unique_ptr<PairParameters<NH>> pair;

  PackedAttentionBackward(const AttentionProblem& p, size_t layer, const PairShape& shape,
                          Workspace& memory)
      : AttentionPacker<P>(p, shape, memory) {
    const int f = shape.features;
    if (layer == size_t(p.n_layers)) {
      embedding_out = transposed<Fp32>(p.embedding_out_w, int(p.out_features), f);
      return;
    }
    const AttentionBlockPointers& b = p.blocks[layer];
    move = transposed_move(b.move_w);
    mlp_second = transposed<P>(b.mlp_w2, f, 3 * f);
    mlp_first = transposed<P>(b.mlp_w1, 3 * f, f);
    out = ordered(f, shape.received(), [=] { return Base::reception(b.out_w); });
    project = ordered(shape.projected(), f, [=] { return Base::projection(b.project_w); });
    pair = std::make_unique<PairParameters<NH>>(b.pair, shape);
  }

 private:
  using Base = AttentionPacker<P>;
  using Base::shape_;

  // w: (inner, features)
  template <class Format>
  PackedMap transposed(const float* w, int inner, int features) {
    uint32_t* to = Base::template take<Format>(inner, features);
    Base::tasks.push_back([=] { pack_transposed<Format>(w, features, inner, features, to); });
    return {inner, features, to, nullptr};
  }
  template <class Order>
  PackedMap ordered(int inner, int features, Order order) {
    uint32_t* to = Base::template take<P>(inner, features);
    Base::tasks.push_back([=] { pack_transposed<P>(order().data(), features, inner, features, to); });
    return {inner, features, to, nullptr};
  }
  PackedMap transposed_move(const float* w) {
    const int f = shape_.features, used = shape_.vectors() * f;
    return ordered(MOVE, f, [=] {
      std::vector<float> padded(size_t(MOVE) * f, 0.0f);
      std::copy(w, w + used, padded.begin());
      return padded;
    });
  }
};

}  // namespace ead
