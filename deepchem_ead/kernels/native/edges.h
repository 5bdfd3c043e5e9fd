// The edges of a batch: which there are, how they are cut into tiles, who works on which.
//
// Edges are the ordered pairs i != j of each molecule, enumerated by i, then j. Atoms are flat over
// the batch, so a contiguous range of atoms i is a contiguous range of edges; ranges are the unit of
// work of a thread, tiles of TILE edges its unit of memory. Both run across molecules.
#pragma once
#include <cstdint>
#include <vector>

#include "gemm.h"
#include "workspace.h"

namespace ead {

constexpr int TILE = 96;  // edges; a multiple of ROWS, of LANES and of the two bf16 in a word

struct Plan {
  std::vector<int32_t> start, end;  // (A,) the molecule of each atom, as a range of atoms
  std::vector<int64_t> edge;        // (A + 1,) first edge of each atom

  Plan(const int64_t* counts, int64_t n_molecules) {
    edge.push_back(0);
    for (int64_t m = 0; m < n_molecules; m++) {
      const int32_t first = int32_t(start.size()), n = int32_t(counts[m]);
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

// Coordinates (A, 3) turned into three arrays that may be read one vector beyond their end.
class Coordinates {
 public:
  Coordinates() = default;
  Coordinates(const float* x, int64_t n_atoms) : length_(n_atoms + LANES), values_(3 * length_) {
    for (int64_t i = 0; i < n_atoms; i++)
      for (int k = 0; k < 3; k++) axis(k)[i] = x[3 * i + k];
  }
  float* axis(int k) { return values_.data() + k * length_; }
  const float* axis(int k) const { return values_.data() + k * length_; }

 private:
  int64_t length_ = 0;
  std::vector<float> values_;
};

// Consecutive rows of a tile that share atom i.
struct Segment {
  int atom, first, last;
};

// Squared distances and differences x_i - x_j of a tile's edges; one vector beyond is scratch.
struct Geometry {
  alignas(64) float diff[3][TILE + LANES], d2[TILE + LANES];

  // Rows [row, row + n): atom i with atoms j, j + 1, ...
  void set(int row, int n, const Coordinates& x, int32_t i, int32_t j) {
    for (int r = 0; r < n; r += LANES) {
      Vec sum = vset(0.0f);
      for (int k = 0; k < 3; k++) {
        const Vec d = vset(x.axis(k)[i]) - vload(x.axis(k) + j + r);
        vstore(diff[k] + row + r, d);
        sum = sum + d * d;
      }
      vstore(d2 + row + r, sum);
    }
  }
};

// Up to TILE edges, with their geometry in current coordinates and in the network's inputs.
struct Tile {
  int rows = 0, n_segments = 0;
  Segment segments[TILE];
  int32_t j[TILE];
  Geometry now, input;
  int64_t first_edge = 0;

  Tile(const Plan& plan, int32_t begin, int32_t end)
      : atom_(begin), last_atom_(end), next_edge_(plan.edge[begin]) {
    other_ = begin < end ? plan.start[begin] : 0;
  }

  // Fill the tile with the edges that follow; false if there are none.
  bool next(const Plan& plan, const Coordinates& x, const Coordinates& x0) {
    rows = n_segments = 0;
    while (atom_ < last_atom_ && rows < TILE) {
      const int first = rows;
      const int32_t end = plan.end[atom_];
      while (other_ < end && rows < TILE) {
        if (other_ == atom_) {
          other_++;
          continue;
        }
        const int n = std::min((other_ < atom_ ? atom_ : end) - other_, TILE - rows);
        now.set(rows, n, x, atom_, other_);
        input.set(rows, n, x0, atom_, other_);
        for (int r = 0; r < n; r++) j[rows++] = other_++;
      }
      if (rows > first) segments[n_segments++] = {atom_, first, rows};
      if (other_ == end && ++atom_ < last_atom_) other_ = plan.start[atom_];
    }
    first_edge = next_edge_;
    next_edge_ += rows;
    return rows > 0;
  }

 private:
  int32_t atom_, other_, last_atom_;  // where the next tile begins
  int64_t next_edge_;
};

}  // namespace ead
