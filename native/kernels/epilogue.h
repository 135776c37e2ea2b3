// The epilogue of a product: a tile program run over rows of C while they are hot.
#pragma once

#include "tile.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// Runs the epilogue over finished rows of C.
struct Epilogue {
  TileRun run;
  int64_t n;
  bool wholeRows;

  Epilogue(const Call& call, const Run& r, int64_t lanes, bool many, int64_t columns)
      : run(*call.tile, r.ptr, r.scratch, lanes, many), n(columns), wholeRows(many) {}
  // Rows [row, row + rows) and columns [col, col + cols) of the domain, at c.
  void apply(float* c, int64_t ldc, int64_t row, int64_t rows, int64_t col, int64_t cols) {
    if (wholeRows) {
      const int64_t step = kTileLanes / n;
      for (int64_t i = 0; i < rows; i += step) {
        run.slot[0] = c + i * ldc;
        run.block(row + i, minOf(step, rows - i), 0, n, step * n);
      }
      return;
    }
    for (int64_t j = 0; j < cols; j += kTileLanes) {
      for (int64_t i = 0; i < rows; i++) {
        run.slot[0] = c + i * ldc + j;
        run.block(row + i, 1, col + j, minOf(kTileLanes, cols - j), n);
      }
    }
  }
};

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
