// The whole EGNN, without gradients, for a few molecules at a time.
//
// What a row or an edge goes through does not depend on what is computed with it: every sum runs in
// an order of its own. An atom's result is therefore a function of its molecule, bit for bit.
#pragma once
#include "packed_network.h"

namespace ead {

// Molecules that pass through the network together: by one thread, so that their activations stay in
// its cache, or, if one molecule is large, by all.
template <class P>
class Chunk {
 public:
  // Molecules [first, last) of the problem, whose first atom is `atom`.
  Chunk(const NetworkProblem& p, const PackedNetwork<P>& net, int64_t first, int64_t last,
        int64_t atom, Workspace& memory)
      : p_(p), net_(net), plan_(p.counts + first, last - first), atoms_(plan_.n_atoms()),
        rows_(pad_rows(atoms_)), features_(int(p.n_features)), first_atom_(atom),
        x_(p.x + 3 * atom, atoms_), x0_(x_) {
    const size_t cells = size_t(rows_) * features_, in = size_t(rows_) * p.in_features;
    memory.reserve(sizeof(float) * (5 * cells + in + 3 * rows_) + sizeof(Scalar) * cells + 64 * 8);
    input_ = memory.take<float>(in);
    both_ = memory.take<float>(2 * cells);
    rounded_ = memory.take<Scalar>(cells);
    u_ = memory.take<float>(cells);
    v_ = memory.take<float>(cells);
    hidden_ = memory.take<float>(cells);
    updates_ = memory.take<float>(3 * rows_);
    const float* h = p.h + atom * p.in_features;
    std::fill(std::copy(h, h + atoms_ * p.in_features, input_), input_ + in, 0.0f);
    for (int r = atoms_; r < rows_; r++) clear_rows(received(r), features_, 0, 1);
  }

  int rows() const { return rows_; }

  // each(work) calls work(begin, end) for ranges of atoms that cover [0, rows()) and begin at
  // multiples of ROWS, and returns when all are done.
  template <class Each>
  void evaluate(Each&& each) {
    each([&](int begin, int end) { embed(begin, end); });
    for (const PackedBlock& block : net_.blocks) {
      each([&](int begin, int end) { project(block.messages, begin, end); });
      each([&](int begin, int end) {
        sum_messages<P>(edges(block.messages), plan_, x_, x0_, begin, std::min(end, atoms_),
                        received(0), 2 * features_);
        update_features(block, begin, end);
      });
      each([&](int begin, int end) { project(block.coordinates, begin, end); });
      each([&](int begin, int end) {
        sum_updates<P>(edges(block.coordinates), plan_, x_, x0_, p_.coords_range, p_.norm_constant,
                       begin, std::min(end, atoms_), updates_);
      });
      each([&](int begin, int end) { move(begin, end); });
    }
    each([&](int begin, int end) { read_out(begin, end); });
  }

 private:
  using Scalar = typename P::Scalar;

  ScaledEdgeNetwork edges(const PackedEdges& w) const {
    return {{features_, u_, v_, w.c_d, w.c_0, w.b2, w.w_out, w.b_out, w.w2}};
  }

  // finish(acc, row, column) for rows [begin, end) of a linear map of the rows of a.
  template <class Format, class Finish>
  static void map(const Linear& map, const typename Format::Scalar* a, long stride, int begin,
                  int end, Finish&& finish) {
    multiply<Format>(end - begin, map.inner, map.features, a + begin * stride, stride, map.w, map.b,
                     [&](auto& acc, int row, int column) { finish(acc, begin + row, column); });
  }

  float* features(int row) const { return both_ + size_t(row) * 2 * features_; }
  float* received(int row) const { return features(row) + features_; }

  // Store a block of features, also in the format of the products.
  template <int R, int C>
  void set_features(const Vec (&acc)[R][C], int row, int column) {
    store_block(acc, both_, 2 * features_, row, column);
    for (int r = 0; r < R; r++)
      for (int c = 0; c < C; c += 2)
        P::store2(rounded_ + size_t(row + r) * features_ + column + c * LANES, acc[r][c],
                  acc[r][c + 1]);
  }

  void embed(int begin, int end) {
    map<Fp32>(net_.embedding, input_, p_.in_features, begin, end,
              [&](auto& acc, int row, int column) { set_features(acc, row, column); });
  }

  void project(const PackedEdges& weights, int begin, int end) {
    const auto scale_into = [&](float* matrix) {
      return [=](auto& acc, int row, int column) {
        for (auto& vectors : acc)
          for (Vec& x : vectors) x = vset(-LOG2E) * x;
        store_block(acc, matrix, features_, row, column);
      };
    };
    map<P>(weights.u, rounded_, features_, begin, end, scale_into(u_));
    map<P>(weights.v, rounded_, features_, begin, end, scale_into(v_));
  }

  void update_features(const PackedBlock& block, int begin, int end) {
    map<Fp32>(block.node_first, both_, 2 * features_, begin, end,
              [&](auto& acc, int row, int column) {
                for (auto& vectors : acc)
                  for (Vec& x : vectors) x = silu<P::EXACT>(x);
                store_block(acc, hidden_, features_, row, column);
              });
    map<Fp32>(block.node_second, hidden_, features_, begin, end,
              [&](auto& acc, int row, int column) {
                constexpr int R = block_rows<decltype(acc)>, C = block_vectors<decltype(acc)>;
                for (int r = 0; r < R; r++)
                  for (int c = 0; c < C; c++)
                    acc[r][c] = vload(features(row + r) + column + c * LANES) + acc[r][c];
                set_features(acc, row, column);
              });
  }

  void move(int begin, int end) {
    for (int r = begin; r < std::min(end, atoms_); r++)
      for (int k = 0; k < 3; k++) x_.axis(k)[r] += updates_[3 * r + k];
  }

  void read_out(int begin, int end) {
    const int out = int(p_.out_features);
    map<Fp32>(net_.embedding_out, both_, 2 * features_, begin, end, [&](auto& acc, int row, int column) {
      constexpr int R = block_rows<decltype(acc)>, C = block_vectors<decltype(acc)>;
      for (int r = 0; r < std::min(R, atoms_ - row); r++) {
        alignas(64) float values[C * LANES];
        for (int c = 0; c < C; c++) vstore(values + c * LANES, acc[r][c]);
        std::copy(values, values + std::min(C * LANES, out - column),
                  p_.h_out + (first_atom_ + row + r) * out + column);
      }
    });
    for (int r = begin; r < std::min(end, atoms_); r++)
      for (int k = 0; k < 3; k++)
        p_.dx[3 * (first_atom_ + r) + k] = x_.axis(k)[r] - x0_.axis(k)[r];
  }

  const NetworkProblem& p_;
  const PackedNetwork<P>& net_;
  const Plan plan_;
  const int atoms_, rows_, features_;  // rows: atoms, filled up to whole blocks of ROWS
  const int64_t first_atom_;
  Coordinates x_;
  const Coordinates x0_;
  float *input_, *both_, *u_, *v_, *hidden_, *updates_;  // both_: (rows, 2 F), features and received
  Scalar* rounded_;                                      // (rows, F) features
};

}  // namespace ead
