// Sizes and weights of the attention denoiser's pair operation.
#pragma once
#include <cstdint>
#include <cstring>

#include "lanes.h"
#include "radial.h"

namespace ead {

constexpr int PAIR = 32;      // N_PAIR_FEATURES
constexpr int PRODUCTS = 16;  // N_PRODUCTS
constexpr int MAX_HEADS = 16, MAX_WIDTH = 128;
constexpr int MAX_TOLD = 64;  // columns that are told of each pair; a multiple of 2 LANES

// Registers hold one number for each head and one for the atom's own position, at most this many.
constexpr int MAX_REGISTERS = (MAX_HEADS + 1 + LANES - 1) / LANES;

struct PairShape {
  int features, heads, told;  // told: columns of each pair, 0 if there are none
  int width() const { return features / heads; }
  int vectors() const { return heads + 1; }
  int registers() const { return (vectors() + LANES - 1) / LANES; }
  // Columns of an atom's projection: q, k, v as (width, heads), own, other.
  int projected() const { return 3 * features + 2 * PAIR; }
  // Columns of what it receives: values (width, heads), pairs (heads, PAIR), norms, products, zeros.
  int norms() const { return features + heads * PAIR; }
  int received_used() const { return norms() + vectors() + PRODUCTS; }
  int received() const { return round_up(received_used(), 32); }
  // Place in this order of row r of the projection and of column c of what is received, which
  // PyTorch orders (heads, width), and row of the projection at place k.
  int projected_at(int r) const {
    return r < 3 * features ? r / features * features + by_component(r % features) : r;
  }
  int received_at(int c) const { return c < features ? by_component(c) : c; }
  int projection_of(int k) const {
    if (k >= 3 * features) return k;
    const int part = k % features;
    return k / features * features + part % heads * width() + part / heads;
  }

 private:
  int by_component(int k) const { return k % width() * heads + k / width(); }
};

// What Python passes in, as PyTorch stores it; Float: const float, or float for gradients.
template <class Float>
struct PairPointers {
  Float *radial, *radial_input;  // C, D (PAIR, RADIAL)
  Float *logits, *gates;         // L, G (H, PAIR)
  Float* told;                   // E (PAIR, W); null: none
  Float *left, *right;           // (PRODUCTS, H + 1)
};

// NH: registers of heads; HEADS: heads and own position, padded to whole registers.
template <int NH>
struct PairParameters {
  static constexpr int HEADS = NH * LANES;
  alignas(64) float radial[2][RADIAL * PAIR];       // [now, input][Gaussian][pair feature]
  alignas(64) float reads[PAIR * 3 * HEADS];        // [pair feature][logit, gate, free][head]
  alignas(64) float rows[2][HEADS * PAIR];          // L, G
  alignas(64) float products[2][PRODUCTS * HEADS];  // left, right [product][vector]
  alignas(64) float columns[2][HEADS * PRODUCTS];   // left, right [vector][product]
  alignas(64) float told[MAX_TOLD * PAIR];          // [column][pair feature]
  alignas(64) float told_rows[PAIR * MAX_TOLD];     // [pair feature][column]

  PairParameters(const PairPointers<const float>& p, const PairShape& shape) {
    std::memset(this, 0, sizeof(*this));
    const int heads = shape.heads;
    for (int f = 0; f < PAIR; f++) {
      for (int w = 0; w < shape.told; w++)
        told[w * PAIR + f] = told_rows[f * MAX_TOLD + w] = p.told[f * shape.told + w];
      for (int k = 0; k < RADIAL; k++) {
        radial[0][k * PAIR + f] = p.radial[f * RADIAL + k];
        radial[1][k * PAIR + f] = p.radial_input[f * RADIAL + k];
      }
      for (int h = 0; h < heads; h++) {
        reads[(f * 3 + 0) * HEADS + h] = rows[0][h * PAIR + f] = p.logits[h * PAIR + f];
        reads[(f * 3 + 1) * HEADS + h] = rows[1][h * PAIR + f] = p.gates[h * PAIR + f];
      }
    }
    for (int c = 0; c < PRODUCTS; c++)
      for (int v = 0; v <= heads; v++)
        for (int side = 0; side < 2; side++)
          products[side][c * HEADS + v] = columns[side][v * PRODUCTS + c] =
              (side ? p.right : p.left)[c * (heads + 1) + v];
  }
};

// Gradients of the same weights, summed over some molecules.
template <int NH>
struct PairGradients {
  static constexpr int HEADS = NH * LANES;
  alignas(64) float radial[2][RADIAL * PAIR];
  alignas(64) float rows[2][HEADS * PAIR];
  alignas(64) float products[2][PRODUCTS * HEADS];
  alignas(64) float told[MAX_TOLD * PAIR];

  void clear() { std::memset(this, 0, sizeof(*this)); }
  void add(const PairGradients& other) {
    auto* to = reinterpret_cast<float*>(this);
    const auto* from = reinterpret_cast<const float*>(&other);
    for (size_t k = 0; k < sizeof(*this) / sizeof(float); k++) to[k] += from[k];
  }
};

}  // namespace ead
