// The edges of a batch: which there are, how they are cut into tiles, who works on which.
//
// Edges are the ordered pairs i != j of each molecule, enumerated by i, then j. Atoms are flat over
// the batch, so a contiguous range of atoms i is a contiguous range of edges; ranges are the unit of
// work of a thread, tiles of TILE edges its unit of memory. Both run across molecules.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "gemm.h"

namespace ead {

constexpr int TILE = 96;  // edges; a multiple of ROWS, of LANES and of the two bf16 in a word

// What Python passes in; autograd.py declares the same fields. Arrays are C-contiguous float32.
struct Problem {
  int64_t n_molecules, n_features, n_threads, coordinates;  // coordinates: 0 messages, 1 updates
  const int64_t* counts;                                    // (B,) atoms of each molecule
  const float *u, *v, *x, *x0;                              // (A, F) (A, F) (A, 3) (A, 3)
  const float *c_d, *c_0, *w2, *b2, *w_out, *b_out;         // b_out may be null
  float coords_range, norm_constant;
  float* out;           // (A, F) messages or (A, 3) coordinate updates
  void* saved_z;        // (E, F) second pre-activations, in the kernel's number format; may be null
  float* saved_logits;  // (E,) read-outs; may be null
  const float* grad_out;
  float *du, *dv, *dx, *dx0;  // dx0 may be null
  float *dc_d, *dc_0, *dw2, *db2, *dw_out, *db_out;  // all null where no weight wants its gradient
};

struct Plan {
  std::vector<int32_t> start, end;  // (A,) the molecule of each atom, as a range of atoms
  std::vector<int64_t> edge;        // (A + 1,) first edge of each atom

  explicit Plan(const Problem& p) {
    edge.push_back(0);
    for (int64_t m = 0; m < p.n_molecules; m++) {
      const int32_t first = int32_t(start.size()), n = int32_t(p.counts[m]);
      start.insert(start.end(), n, first);
      end.insert(end.end(), n, first + n);
      for (int32_t k = 0; k < n; k++) edge.push_back(edge.back() + n - 1);
    }
  }
  int32_t n_atoms() const { return int32_t(start.size()); }
  int64_t n_edges() const { return edge.back(); }

  // Ranges of atoms with about the same number of edges: the n_parts + 1 boundaries.
  std::vector<int32_t> split(int n_parts) const {
    std::vector<int32_t> bounds(n_parts + 1, 0);
    for (int part = 1; part < n_parts; part++) {
      const auto at = std::lower_bound(edge.begin(), edge.end() - 1, n_edges() * part / n_parts);
      bounds[part] = int32_t(at - edge.begin());
    }
    bounds[n_parts] = n_atoms();
    return bounds;
  }
};

// Consecutive rows of a tile that share atom i.
struct Segment {
  int atom, first, last;
};

// Up to TILE edges and their geometry.
struct Tile {
  int rows = 0, n_segments = 0;
  Segment segments[TILE];
  int32_t j[TILE];
  float diff[TILE][3], diff0[TILE][3];  // x_i - x_j
  alignas(64) float d2[TILE], d2_0[TILE];

  // Where the next tile begins.
  int32_t atom, other, last_atom;
  int64_t first_edge, next_edge;

  Tile(const Plan& plan, int32_t begin, int32_t end) : atom(begin), last_atom(end) {
    other = begin < end ? plan.start[begin] : 0;
    next_edge = plan.edge[begin];
  }

  bool next(const Plan& plan, const float* x, const float* x0) {
    rows = n_segments = 0;
    while (atom < last_atom && rows < TILE) {
      const int first = rows;
      const int32_t end = plan.end[atom];
      for (; other < end && rows < TILE; other++)
        if (other != atom) set(rows++, x, x0);
      if (rows > first) segments[n_segments++] = {atom, first, rows};
      if (other == end && ++atom < last_atom) other = plan.start[atom];
    }
    first_edge = next_edge;
    next_edge += rows;
    return rows > 0;
  }

  int padded_rows() const { return (rows + ROWS - 1) / ROWS * ROWS; }

 private:
  void set(int row, const float* x, const float* x0) {
    j[row] = other;
    d2[row] = difference(x + 3 * int64_t(atom), x + 3 * int64_t(other), diff[row]);
    d2_0[row] = difference(x0 + 3 * int64_t(atom), x0 + 3 * int64_t(other), diff0[row]);
  }
  static float difference(const float* a, const float* b, float* d) {
    for (int k = 0; k < 3; k++) d[k] = a[k] - b[k];
    return d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
  }
};

// Aligned memory that a thread keeps between calls.
class Workspace {
 public:
  ~Workspace() { std::free(memory_); }
  void reserve(size_t bytes) {
    used_ = 0;
    if (bytes <= size_) return;
    std::free(memory_);
    size_ = (bytes + 4095) / 4096 * 4096;
    memory_ = static_cast<char*>(std::aligned_alloc(4096, size_));
    if (!memory_) std::abort();
  }
  template <class T>
  T* take(size_t n) {
    T* p = reinterpret_cast<T*>(memory_ + used_);
    used_ += (n * sizeof(T) + 63) / 64 * 64;
    return p;
  }

 private:
  char* memory_ = nullptr;
  size_t size_ = 0, used_ = 0;
};

}  // namespace ead
