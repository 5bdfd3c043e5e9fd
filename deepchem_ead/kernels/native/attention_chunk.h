// What the forward and the backward pass of a few molecules have in common.
//
// What a row or a pair goes through does not depend on what is computed with it: every sum runs in an
// order of its own. An atom's result is therefore a function of its molecule, bit for bit.
#pragma once
#include <climits>
#include <cmath>

#include "lanes.h"
#include "packed_attention.h"

namespace ead {

// Molecules [first, last), whose first atom is `atom` and whose first pair is `pair`.
struct MoleculeRange {
  int64_t first, last, atom, pair;
};

// A move of an atom, before its length is bounded.
struct Move {
  float d[3];
  // What it is multiplied with: (1 + |d|^2 / LARGEST_MOVE^2)^(-1/2).
  float bound() const {
    const float square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
    return 1.0f / std::sqrt(1.0f + square * (1.0f / (LARGEST_MOVE * LARGEST_MOVE)));
  }
  // Gradient of the move from that of the bounded one, in place.
  void bound_backward(float* gradient) const {
    const float b = bound();
    float along = 0.0f;
    for (int k = 0; k < 3; k++) along += d[k] * gradient[k];
    along *= b * b * (1.0f / (LARGEST_MOVE * LARGEST_MOVE));
    for (int k = 0; k < 3; k++) gradient[k] = b * (gradient[k] - along * d[k]);
  }
};

// Molecules that pass through the network together, by one thread.
template <class P, int NH>
class AttentionChunk {
 protected:
  using Scalar = typename P::Scalar;
  static constexpr int HEADS = NH * LANES;

  AttentionChunk(const AttentionProblem& p, const PairShape& shape, const MoleculeRange& range)
      : p_(p), shape_(shape), range_(range), features_(shape.features) {
    for (int64_t m = range.first; m < range.last; m++) atoms_ += int(p.counts[m]);
    rows_ = pad_rows(atoms_);
  }

  // body(first atom, atoms, first pair) for each molecule; atoms are counted from the chunk's first
  // one, pairs from the batch's
  template <class Body>
  void for_molecules(Body&& body) const {
    int64_t at = 0, pair = range_.pair;
    for (int64_t m = range_.first; m < range_.last; m++) {
      const int64_t n = p_.counts[m];
      body(at, int(n), pair);
      at += n;
      pair += n * (n - 1);
    }
  }
  // What is told of the pairs from number `pair` on; null if there is no array.
  template <class T>
  T* told_of(T* array, int64_t pair) const {
    return array ? array + pair * shape_.told : nullptr;
  }

  // Rows of the chunk in layer l of an array (layers, A, width); null if there is no array.
  template <class T>
  T* rows_of(void* array, size_t l, int width) const {
    return array ? static_cast<T*>(array) + (l * p_.n_atoms + range_.atom) * width : nullptr;
  }
  // The same; without an array, memory of the chunk's own.
  template <class T>
  T* rows_or(T* own, void* array, size_t l, int width) const {
    return array ? rows_of<T>(array, l, width) : own;
  }
  // Copy the atoms' rows there.
  template <class T>
  void save(void* array, size_t l, const T* rows, int width) const {
    if (array) std::memcpy(rows_of<T>(array, l, width), rows, sizeof(T) * atoms_ * width);
  }
  // Where the kept (A, norms, 2 F) holds the modulation of a norm; rows are `modulations()` apart.
  Scalar* modulation_of(size_t norm) const {
    auto* kept = static_cast<Scalar*>(p_.saved.modulations);
    return kept + range_.atom * modulations() + norm * 2 * features_;
  }
  size_t modulations() const { return (2 * p_.n_layers + 1) * 2 * features_; }

  float step_of(int row) const {
    if (p_.step) return p_.step[range_.atom + row];
    if (p_.sigma_column < 0) return 1.0f;
    return p_.h[(range_.atom + row) * p_.in_features + p_.sigma_column];
  }

  // The move by the weights (HEADS,) of an atom's vectors (3, HEADS).
  static Move move_of(const float* weights, const float* vectors) {
    Move move;
    for (int k = 0; k < 3; k++) {
      Vec sum = vset(0.0f);
      for (int c = 0; c < HEADS; c += LANES)
        sum = vfma(vload(weights + c), vload(vectors + k * HEADS + c), sum);
      move.d[k] = vsum(sum);
    }
    return move;
  }

  // finish(acc, row, column) for all rows of a linear map of the rows of a.
  template <class Format = P, class Finish>
  void apply(const PackedMap& map, const typename Format::Scalar* a, Finish&& finish) const {
    multiply<Format>(rows_, map.inner, map.features, a, map.inner, map.w, map.b, finish);
  }

  // Ends of `apply`: store, store as scalars (of all rows or of those of atoms), or add.
  static auto to_floats(float* matrix, long stride) {
    return [=](auto& acc, int row, int column) { store_block(acc, matrix, stride, row, column); };
  }
  static auto to_scalars(Scalar* matrix, long stride, int rows = INT_MAX) {
    return [=](auto& acc, int row, int column) {
      constexpr int R = block_rows<decltype(acc)>, C = block_vectors<decltype(acc)>;
      const int n = std::min(R, rows - row);
      for (int r = 0; r < R; r++) {
        if (r >= n) break;
        for (int c = 0; c < C; c += 2)
          P::store2(matrix + (row + r) * stride + column + c * LANES, acc[r][c], acc[r][c + 1]);
      }
    };
  }
  static auto add_to(float* matrix, long stride) {
    return [=](auto& acc, int row, int column) {
      constexpr int R = block_rows<decltype(acc)>, C = block_vectors<decltype(acc)>;
      for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) {
          float* to = matrix + (row + r) * stride + column + c * LANES;
          vstore(to, vload(to) + acc[r][c]);
        }
    };
  }

  const AttentionProblem& p_;
  const PairShape shape_;
  const MoleculeRange range_;
  const int features_;
  int atoms_ = 0, rows_;  // rows: atoms, filled up to whole blocks of ROWS
};

}  // namespace ead
