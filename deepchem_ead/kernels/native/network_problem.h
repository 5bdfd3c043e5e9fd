// What Python passes to the network kernel; network.py declares the same fields.
#pragma once
#include <cstdint>

namespace ead {

// Parameters of one block as PyTorch stores them: linear maps are (out, in), C-contiguous float32.
struct BlockParameters {
  struct Edges {
    const float *w1, *b1, *w2, *b2;  // (F, 2 F + 2): h_i, h_j, d2, d2_0; (F,); (F, F); (F,)
    const float *w_out, *b_out;      // (F,), (1,); b_out null for coordinate updates
  };
  Edges messages;
  const float *node_w1, *node_b1, *node_w2, *node_b2;  // (F, 2 F): h, received; (F,); (F, F); (F,)
  Edges coordinates;
};

struct NetworkProblem {
  int64_t n_molecules, n_layers, n_features, in_features, out_features, n_threads;
  const int64_t* counts;                        // (B,) atoms of each molecule
  const float *x, *h;                           // (A, 3), (A, in_features)
  const float *embedding_w, *embedding_b;       // (F, in_features), (F,)
  const float *embedding_out_w, *embedding_out_b;  // (out_features, F), (out_features,)
  const BlockParameters* blocks;                // (n_layers,)
  float coords_range, norm_constant;
  float *dx, *h_out;  // (A, 3), (A, out_features)
};

}  // namespace ead
