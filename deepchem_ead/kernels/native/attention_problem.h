// What Python passes to the kernels of the attention denoiser; attention_problem.py declares the same
// fields. Arrays are C-contiguous float32, or in the kernel's number format where the type is void.
#pragma once
#include "pair_parameters.h"

namespace ead {

constexpr int CONDITION = 64;  // N_CONDITION
constexpr int MOVE = 32;       // heads and own position, rounded up
constexpr float LARGEST_MOVE = 20.0f;

// Float: const float, or float for gradients.
template <class Float>
struct BlockPointers {
  Float *norm_w, *norm_b;        // (2 F, CONDITION): scale, shift
  Float *project_w, *project_b;  // (3 F + 2 PAIR, F)
  PairPointers<Float> pair;
  Float *out_w, *out_b;                      // (F, F + H PAIR + H + 1 + PRODUCTS)
  Float *norm_mlp_w, *norm_mlp_b;            // (2 F, CONDITION)
  Float *mlp_w1, *mlp_b1, *mlp_w2, *mlp_b2;  // (3 F, F), (F, 3 F)
  Float *move_w, *move_b;                    // (H + 1, F)
};
using AttentionBlockPointers = BlockPointers<const float>;

// Activations for the backward pass, all layers one after the other; all null without gradients.
struct AttentionActivations {
  void *condition, *modulations;  // (A, CONDITION), (A, (2 L + 1) 2 F)
  float *h, *h_mlp;               // (L + 1, A, F) before blocks and at the end, (L, A, F) between
  void *projected, *received;     // (L, A, PairShape::projected()), (L, A, received())
  float *x;                       // (L + 1, A, 3) before blocks, and at the end the reference
  float *vectors, *softmax;       // (L, A, 3, HEADS), (L, A, 2, HEADS)
  void* hidden;                   // (L, A, 3 F): before silu
  float* move_weights;            // (L, A, MOVE)
};

struct AttentionProblem {
  int64_t n_molecules, n_atoms, n_layers, n_features, n_heads, in_features, out_features, n_threads;
  int64_t sigma_column;                              // -1: no sigma
  int64_t n_told;                                    // columns of each pair, W
  const int64_t* counts;                             // (B,)
  const float *x, *reference, *h;  // (A, 3), (A, 3) or null: x, (A, in_features)
  const float *step, *told;        // (A,) or null: sigma, (E, W) or null
  const float *embedding_w, *embedding_b;            // (F, in_features)
  const float *condition_w1, *condition_b1;          // (2 CONDITION, in_features)
  const float *condition_w2, *condition_b2;          // (CONDITION, 2 CONDITION)
  const float *norm_out_w, *norm_out_b;              // (2 F, CONDITION)
  const float *embedding_out_w, *embedding_out_b;    // (out_features, F)
  const AttentionBlockPointers* blocks;              // (n_layers,)
  AttentionActivations saved;
  float *dx, *h_out;   // (A, 3), (A, out_features)
  const void* packed;  // weights kept by attention_keep; null: they are packed for this call
};

// One step of the backward pass: through a block, or first through what follows the last block.
struct AttentionBackwardProblem {
  AttentionProblem forward;    // with what the forward pass kept
  int64_t layer;               // n_layers: what follows the blocks
  const float *ddx, *dh_out;
  float *dh, *dposition, *dx;  // (A, F), (A, 3), (A, 3): carried from step to step, zero at first
  float* dstep;                // (A,), of sigma or the step: added to; null if not wanted
  float* dtold;                // (E, W): added to; null if not wanted
  int64_t wants_x;             // whether dx ends as the gradient of x
  // What went into the step's linear maps, where not kept: outputs of the one norm or of both
  // (2, A, F), of silu (A, 3 F). Null, as below, where gradients of weights are not wanted.
  void *normed, *activated;
  // Gradients of what came out of them: (A, PairShape::projected()), of what is added to h (A, F)
  // twice, (A, 3 F), (A, MOVE), and always (2, A, 2 F).
  void *dprojected, *dout, *dmlp, *dhidden, *dmove, *dmodulations;
  BlockPointers<float> gradients;  // of the block's weights; all null where not wanted
};

}  // namespace ead
