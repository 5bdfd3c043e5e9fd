// What Python passes to the kernels of the attention denoiser; attention_problem.py declares the same
// fields. Arrays are C-contiguous float32, or in the kernel's number format where the type is void.
#pragma once
#include "pair_parameters.h"

namespace ead {

constexpr int CONDITION = 64;  // N_CONDITION
constexpr int MOVE = 32;       // heads and own position, rounded up

struct AttentionBlockPointers {
  const float *norm_w, *norm_b;        // (2 F, CONDITION): scale, shift
  const float *project_w, *project_b;  // (3 F + 2 PAIR, F)
  PairPointers pair;
  const float *out_w, *out_b;                          // (F, F + H PAIR + H + 1 + PRODUCTS)
  const float *norm_mlp_w, *norm_mlp_b;                // (2 F, CONDITION)
  const float *mlp_w1, *mlp_b1, *mlp_w2, *mlp_b2;      // (3 F, F), (F, 3 F)
  const float *move_w, *move_b;                        // (H + 1, F)
};

// Activations for the backward pass, all layers one after the other; all null without gradients.
struct AttentionActivations {
  void *condition, *modulations;  // (A, CONDITION), (A, (2 L + 1) 2 F)
  float *h, *h_mlp;               // (L + 1, A, F) before blocks and at the end, (L, A, F) between
  void *projected, *received;     // (L, A, PairShape::projected()), (L, A, received())
  float *x, *vectors, *softmax;   // (L, A, 3), (L, A, 3, HEADS), (L, A, 2, HEADS)
  void* hidden;                   // (L, A, 3 F): before silu
  float* move_weights;            // (L, A, MOVE)
};

struct AttentionProblem {
  int64_t n_molecules, n_atoms, n_layers, n_features, n_heads, in_features, out_features, n_threads;
  int64_t sigma_column;                              // -1: no sigma
  const int64_t* counts;                             // (B,)
  const float *x, *h;                                // (A, 3), (A, in_features)
  const float *embedding_w, *embedding_b;            // (F, in_features)
  const float *condition_w1, *condition_b1;          // (2 CONDITION, in_features)
  const float *condition_w2, *condition_b2;          // (CONDITION, 2 CONDITION)
  const float *norm_out_w, *norm_out_b;              // (2 F, CONDITION)
  const float *embedding_out_w, *embedding_out_b;    // (out_features, F)
  const AttentionBlockPointers* blocks;              // (n_layers,)
  AttentionActivations saved;
  float *dx, *h_out;  // (A, 3), (A, out_features)
};

// Gradients of one layer's pair operation.
struct PairBackwardProblem {
  int64_t n_molecules, n_features, n_heads, n_threads;
  const int64_t* counts;
  PairPointers weights;
  const void* projected;
  const float *x, *x0, *vectors, *softmax;
  const void* dreceived;
  const float *move_weights, *dmove;  // (A, MOVE), (A, 3)
  void* dprojected;
  float *dx, *dx0;  // either may be null; dx0 is added to
  float *dradial, *dradial_input, *dlogits, *dgates, *dleft, *dright;  // all null if not wanted
};

}  // namespace ead
