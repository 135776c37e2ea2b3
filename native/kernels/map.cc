// map: a tile program over its whole domain, split over tiles. Optimizers, activations and their
// derivatives, casts, dropout and fills all come here.
#include "kernels.h"
#include "tile.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

// The most lanes of a block. A chain keeps next to nothing in registers, and its streams run on for longer without a
// break: Adam of ten million parameters takes a twentieth less, relu a fiftieth (Zen 5). What is small is shared out, and in
// the caches anyway.
constexpr int64_t kLongFrom = 1 << 18;
int64_t lanesOf(const TilePlan& tile) {
  const bool isLong = tile.chain >= 0 && tile.chainFrom == 0 && tile.rows * tile.cols >= kLongFrom;
  return isLong ? 4 * kTileLanes : kTileLanes;
}
// A chain whose mask is drawn while it runs goes over its whole part at once. It begins with bits of 2048 lanes, during
// which nothing else is done. (Zen 5: 8192 lanes 1.2 to 1.4 times as fast as mask and chain one after the other.)
constexpr int64_t kDrawnPart = 1 << 13;
bool isDrawn(const TilePlan& tile) { return tile.drawn && tile.cols >= kDrawnPart; }

}  // namespace

// custom[0]: rows per block, custom[1]: columns per block (one of them is the whole extent or 1), or what the
// parts of a drawn chain are multiples of.
void plan_map(Call& call) {
  const TilePlan& tile = *call.tile;
  const int64_t cols = tile.cols, total = tile.rows * cols, lanes = lanesOf(tile);
  call.custom[0] = cols > 0 && cols <= kTileLanes / 2 ? minOf(kTileLanes / cols, maxOf(tile.rows, 1)) : 1;
  call.custom[1] = isDrawn(tile) ? kDrawnPart : minOf(lanes, maxOf(cols, 1));
  call.phases = 1;
  call.maxParts = maxOf(1, total / (isDrawn(tile) ? kDrawnPart : lanes));
  call.work = total * (1 + tile.nOps + tile.nInputs) / 12;
  call.scratchBytes = TileRun::scratchOf(tile, lanes);
}

void run_map(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const TilePlan& tile = *call.tile;
  const int64_t blockRows = call.custom[0], blockCols = call.custom[1];
  if (tile.rows == 0 || tile.cols == 0) return;
  if (tile.rows == 1) {
    const Range range = split(tile.cols, blockCols, part, parts);
    if (range.begin >= range.end) return;
    if (isDrawn(tile)) {
      TileRun(tile, run.ptr, run.scratch, kTileLanes, false).drawn(range.begin, range.end - range.begin);
      return;
    }
    TileRun t(tile, run.ptr, run.scratch, minOf(blockCols, range.end - range.begin), false);
    for (int64_t c = range.begin; c < range.end; c += blockCols) {
      t.block(0, 1, c, minOf(blockCols, range.end - c), blockCols);
    }
    return;
  }
  const Range range = split(tile.rows, blockRows, part, parts);
  if (range.begin >= range.end) return;
  const bool many = blockRows > 1;
  TileRun t(tile, run.ptr, run.scratch,
            many ? minOf(blockRows, range.end - range.begin) * tile.cols : blockCols, many);
  if (many) {
    for (int64_t r = range.begin; r < range.end; r += blockRows) {
      t.block(r, minOf(blockRows, range.end - r), 0, tile.cols, blockRows * tile.cols);
    }
    return;
  }
  if (t.canRunRows()) {
    for (int64_t c = 0; c < tile.cols; c += blockCols) {
      t.runRows(range.begin, range.end - range.begin, c, minOf(blockCols, tile.cols - c));
    }
    return;
  }
  // Work that depends on the column only is done once per column block, so these go outside; without
  // any, memory is better walked in order.
  const int64_t rowsAtOnce = tile.nColumnOps > 0 ? range.end - range.begin : 1;
  for (int64_t r0 = range.begin; r0 < range.end; r0 += rowsAtOnce) {
    for (int64_t c = 0; c < tile.cols; c += blockCols) {
      for (int64_t r = r0; r < r0 + rowsAtOnce; r++) {
        t.block(r, 1, c, minOf(blockCols, tile.cols - c), rowsAtOnce > 1 ? tile.cols : blockCols);
      }
    }
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
