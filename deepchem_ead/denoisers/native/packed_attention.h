// The parameters of an attention denoiser in the form in which the kernels read them.
#pragma once
#include <functional>
#include <vector>

#include "attention_problem.h"
#include "workspace.h"

namespace ead {

// A linear map, packed, with a number of outputs that is a multiple of 2 LANES.
struct PackedMap {
  int inner, features;
  const uint32_t* w;
  const float* b;
};

template <int NH>
struct PackedAttentionBlock {
  PackedMap norm, project, out, norm_mlp, mlp_first, mlp_second, move;
  PairParameters<NH> pair;
};

// All weights, packed. This reads every weight once, with all threads, and is repeated in every call:
// weights cannot be out of date, however they were changed.
template <class P, int NH>
struct PackedAttention {
  PackedMap embedding, condition_first, condition_second, embedding_out;  // in Fp32
  PackedMap norm_out;
  std::vector<PackedAttentionBlock<NH>> blocks;
  std::vector<std::function<void()>> tasks;  // do all, in any order, before reading a weight

  PackedAttention(const AttentionProblem& p, const PairShape& shape, Workspace& memory)
      : shape_(shape), memory_(memory) {
    const int f = shape.features, in = int(p.in_features), out = int(p.out_features);
    const size_t per_block = size_t(f) * (shape.projected() + shape.received() + 6 * f + MOVE) +
                             4 * size_t(f) * CONDITION + shape.projected() + MOVE;
    const size_t other = size_t(f) * (in + round_up(out, 32) + 2 * CONDITION) +
                         2 * CONDITION * (size_t(in) + CONDITION) + round_up(out, 32);
    memory.reserve(sizeof(float) * (other + p.n_layers * per_block) + 64 * (16 + 16 * p.n_layers));
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
                        PairParameters<NH>(b.pair, shape.heads)});
    }
  }

 private:
  const PairShape shape_;
  Workspace& memory_;

  template <class Format>
  uint32_t* take(int inner, int features) {
    return memory_.take<uint32_t>(size_t(words_of<Format>(inner)) * features);
  }

  // w: (columns, inner); outputs are filled up with zeros.
  template <class Format>
  PackedMap linear(const float* w, int inner, int columns, const float* b) {
    const int features = round_up(columns, 2 * LANES);
    uint32_t* to = take<Format>(inner, features);
    tasks.push_back([=] { pack<Format>(w, inner, inner, columns, features, to); });
    if (features > columns) {
      float* padded = memory_.take<float>(features);
      std::fill(std::copy(b, b + columns, padded), padded + features, 0.0f);
      b = padded;
    }
    return {inner, features, to, b};
  }

  // Place in (width, heads) of place k of (heads, width).
  int by_component(int k) const { return k % shape_.width() * shape_.heads + k / shape_.width(); }

  // The projection with the columns of q, k and v as PairMolecule reads them.
  PackedMap project(const AttentionBlockPointers& block) {
    const int f = shape_.features, columns = shape_.projected();
    uint32_t* to = take<P>(f, columns);
    float* bias = memory_.take<float>(columns);
    tasks.push_back([=] {
      static thread_local std::vector<float> w;
      w.resize(size_t(columns) * f);
      for (int r = 0; r < columns; r++) {
        const int at = r < 3 * f ? r / f * f + by_component(r % f) : r;
        std::copy(block.project_w + size_t(r) * f, block.project_w + size_t(r + 1) * f,
                  w.data() + size_t(at) * f);
        bias[at] = block.project_b[r];
      }
      pack<P>(w.data(), f, f, columns, columns, to);
    });
    return {f, columns, to, bias};
  }

  // The map of what an atom receives, for rows as PairForward writes them.
  PackedMap receive(const AttentionBlockPointers& block) {
    const int f = shape_.features, inner = shape_.received();
    const int columns = shape_.norms() + shape_.vectors() + PRODUCTS;
    uint32_t* to = take<P>(inner, f);
    tasks.push_back([=] {
      static thread_local std::vector<float> w;
      w.assign(size_t(f) * inner, 0.0f);
      for (int r = 0; r < f; r++)
        for (int c = 0; c < columns; c++)
          w[size_t(r) * inner + (c < f ? by_component(c) : c)] = block.out_w[size_t(r) * columns + c];
      pack<P>(w.data(), inner, inner, f, f, to);
    });
    return {inner, f, to, block.out_b};
  }
};

}  // namespace ead
