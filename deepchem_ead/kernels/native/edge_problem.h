// What Python passes to the edge kernel; autograd.py declares the same fields.
#pragma once
#include <cstdint>

namespace ead {

// Arrays are C-contiguous float32.
struct Problem {
  int64_t n_molecules, n_features, n_threads, coordinates;  // coordinates: 0 messages, 1 updates
  const int64_t* counts;                                    // (B,) atoms of each molecule
  const float *u, *v, *x, *x0;                              // (A, F) (A, F) (A, 3) (A, 3)
  const float *c_d, *c_0, *w2, *b2, *w_out, *b_out;         // b_out may be null
  float coords_range, norm_constant;
  float* out;           // (A, F) messages or (A, 3) coordinate updates
  int64_t saved_edges;  // S, edges whose activations are kept for the backward pass: the first ones
  void* saved_z;        // (S, F) second pre-activations, in the kernel's number format
  float* saved_logits;  // (S,) read-outs
  const float* grad_out;
  float *du, *dv, *dx, *dx0;  // dx0 may be null
  float *dc_d, *dc_0, *dw2, *db2, *dw_out, *db_out;  // all null where no weight wants its gradient
};

}  // namespace ead
