// The parameters of a network in the form in which the kernels read them.
#pragma once
#include <functional>

#include "edge_forward.h"
#include "network_problem.h"

namespace ead {

// A linear map with a number of outputs that is a multiple of 2 LANES.
struct Linear {
  int inner, features;
  const uint32_t* w;
  const float* b;  // null: no bias
};

// Scaled as ScaledEdgeNetwork describes, except for u and v.
struct PackedEdges {
  Linear u, v;  // of the features of an atom
  const float *c_d, *c_0, *b2, *w_out;
  float b_out;
  const uint32_t* w2;
};

struct PackedBlock {
  PackedEdges messages, coordinates;
  Linear node_first, node_second;
};

// All weights, packed. Packing reads every weight once, with all threads, and is repeated in every
// call: weights cannot be out of date, however they were changed.
template <class P>
struct PackedNetwork {
  Linear embedding, embedding_out;  // always in Fp32, like the maps of node features
  std::vector<PackedBlock> blocks;
  std::vector<std::function<void()>> tasks;  // do all, in any order, before reading a weight

  PackedNetwork(const NetworkProblem& p, Workspace& memory) : memory_(memory) {
    const int f = int(p.n_features), in = int(p.in_features), out = int(p.out_features);
    const int out_padded = (out + 2 * LANES - 1) / (2 * LANES) * (2 * LANES);
    const size_t floats = size_t(f) * in + size_t(out_padded) * (f + 1) +
                          p.n_layers * (size_t(f) * f * (3 + 6 / P::PER_WORD) + 8 * f);
    memory.reserve(sizeof(float) * floats + 64 * (4 + 20 * p.n_layers));
    embedding = linear<Fp32>(p.embedding_w, in, in, f, f, p.embedding_b);
    float* bias = memory.take<float>(out_padded);
    std::fill(std::copy(p.embedding_out_b, p.embedding_out_b + out, bias), bias + out_padded, 0.0f);
    embedding_out = linear<Fp32>(p.embedding_out_w, f, f, out, out_padded, bias);
    for (int64_t k = 0; k < p.n_layers; k++) {
      const BlockParameters& b = p.blocks[k];
      blocks.push_back({edges(b.messages, f), edges(b.coordinates, f),
                        linear<Fp32>(b.node_w1, 2 * f, 2 * f, f, f, b.node_b1),
                        linear<Fp32>(b.node_w2, f, f, f, f, b.node_b2)});
    }
  }

 private:
  Workspace& memory_;

  template <class Format>
  Linear linear(const float* w, long stride, int inner, int columns, int features, const float* b) {
    auto* to = memory_.take<uint32_t>(size_t(words_of<Format>(inner)) * features);
    tasks.push_back([=] { pack<Format>(w, stride, inner, columns, features, to); });
    return {inner, features, to, b};
  }
  PackedEdges edges(const BlockParameters::Edges& e, int f) {
    const long stride = 2 * f + 2;
    float *c_d = memory_.take<float>(f), *c_0 = memory_.take<float>(f);
    float *b2 = memory_.take<float>(f), *w_out = memory_.take<float>(f);
    tasks.push_back([=] {
      for (int k = 0; k < f; k++) {
        c_d[k] = -LOG2E * e.w1[k * stride + 2 * f];
        c_0[k] = -LOG2E * e.w1[k * stride + 2 * f + 1];
        b2[k] = -LOG2E * e.b2[k];
        w_out[k] = -LN2 * e.w_out[k];
      }
    });
    return {linear<P>(e.w1, stride, f, f, f, e.b1), linear<P>(e.w1 + f, stride, f, f, f, nullptr),
            c_d, c_0, b2, w_out, e.b_out ? *e.b_out : 0.0f,
            linear<P>(e.w2, f, f, f, f, nullptr).w};
  }
};

}  // namespace ead
