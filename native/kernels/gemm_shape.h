// A matrix product as its call states it, and which piece of the result a part computes.
#pragma once

#include "gemm_dots.h"
#include "gemm_tile.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// The integers of a gemm call.
struct Shape {
  int64_t batch, m, n, k;
  bool ta, tb;
  int64_t strideA, strideB;
  explicit Shape(const Call& call)
      : batch(call.ints[0]), m(call.ints[1]), n(call.ints[2]), k(call.ints[3]),
        ta(call.ints[4] != 0), tb(call.ints[5] != 0), strideA(call.ints[6]), strideB(call.ints[7]) {}
  int64_t lda() const { return ta ? m : k; }
  int64_t ldb() const { return tb ? k : n; }
  // Few rows or one column of C against rows that are contiguous in k.
  bool byDots() const { return (n == 1 && !ta && dotsPay(1, k)) || (tb && (m == 1 || !ta) && dotsPay(m, k)); }
};

// Which piece of C a part computes.
struct Piece {
  Range batch, rows, cols;
};

// C as a grid of pieces, one a part; parts beyond it have nothing to do.
struct Grid {
  int64_t down, across;
};
// Every piece reads, and mostly packs, its rows of A, about two cycles an element, and its columns of B, one, or two where
// packing turns them, where a vector of products takes half a cycle. A strip of less than four rows takes as long as one
// of four.
inline Grid gridOf(const Shape& s, int64_t parts) {
  const int64_t panels = maxOf(1, ceilDiv(s.n, kColumns));
  Grid best = {1, 1};
  int64_t least = INT64_MAX;
  for (int64_t down = 1; down <= minOf(parts, s.m); down++) {
    const int64_t across = minOf(panels, parts / down);
    const int64_t rows = ceilDiv(s.m, down), cols = ceilDiv(panels, across) * kColumns;
    const int64_t cost = maxOf(rows, 4) * cols / (2 * W) + rows * 2 + cols * (s.tb ? 2 : 1);
    if (cost < least) {
      least = cost;
      best = {down, across};
    }
  }
  return best;
}
inline Piece pieceOf(const Shape& s, int64_t part, int64_t parts) {
  Piece p = {{0, s.batch}, {0, s.m}, {0, s.n}};
  if (parts == 1) return p;
  if (s.batch >= 2 * parts || s.batch == parts) {
    p.batch = split(s.batch, 1, part, parts);
    return p;
  }
  const Grid grid = gridOf(s, parts);
  if (part >= grid.down * grid.across) {
    p.rows = {0, 0};
    return p;
  }
  p.rows = split(s.m, 1, part / grid.across, grid.down);
  p.cols = split(s.n, kColumns, part % grid.across, grid.across);
  return p;
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
