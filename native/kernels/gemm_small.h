// Small products: nothing but tiles. There is less to multiply than the blocks of larger ones take to lay out.
#pragma once

#include "epilogue.h"
#include "gemm_shape.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// Products of at most so many rows, columns and terms are made without blocks, which take as long to lay out as
// 16×16×16 to multiply. Their A is never packed.
constexpr int64_t kSmall = 64;

// A piece of a small product: nothing but tiles.
inline void multiplySmall(const Call& call, const Run& run, const Shape& s, const Piece& piece, Epilogue* epilogue) {
  const int64_t rows = piece.rows.end - piece.rows.begin, cols = piece.cols.end - piece.cols.begin;
  const bool packB = s.tb || (rows >= packRowsFrom(s.ldb()) && cols > kColumns);
  const int64_t panel = (!packB && rows <= kRows ? maxVectors((int)rows) : kVectors) * W;
  float* const stored = call.custom[0] >= 0 ? (float*)run.ptr[call.custom[0]] : nullptr;
  float* const packed = (float*)(run.scratch + call.custom[1]);
  const int64_t lda = s.lda(), ldb = s.ldb(), ldc = stored || s.n < call.custom[3] ? s.n : call.custom[3];
  for (int64_t b = piece.batch.begin; b < piece.batch.end; b++) {
    const int64_t i0 = piece.rows.begin, j0 = piece.cols.begin, row = b * s.m + i0;
    const float* const A = (const float*)run.ptr[call.inputs[0]] + b * s.strideA + (s.ta ? i0 : i0 * lda);
    const float* const B = (const float*)run.ptr[call.inputs[1]] + b * s.strideB + (s.tb ? j0 * ldb : j0);
    float* const c = stored ? stored + row * s.n + j0 : (float*)(run.scratch + call.custom[2]);
    if (packB && s.tb) packColumns(B, ldb, s.k, cols, packed);
    else if (packB) packRows(B, ldb, s.k, cols, packed);
    const float* const from = packB ? packed : B;
    if (epilogue) epilogue->fetch(row, rows, j0, cols);
    multiplyByTiles(s.ta, s.k, A, lda, from, packB ? kColumns : ldb, packB ? kColumns * s.k : panel,
                    panel, c, ldc, false, rows, cols);
    if (epilogue) epilogue->apply(c, ldc, row, rows, j0, cols);
  }
}

// A small product of one panel of columns that is not packed, with nothing behind it, by what plan_gemm has laid out:
// 16×16×16 takes as long as to choose what to do.
struct OnePanel {
  int64_t strips, longer, rows;  // strips of rows, the first of which have one more than so many
  TileFunction tiles[2];         // of a strip, and of a longer one
  OnePanel() = default;
  explicit OnePanel(const Shape& s) {
    strips = ceilDiv(s.m, kRows), rows = s.m / strips, longer = s.m % strips;
    const int64_t vectors = ceilDiv(s.n, W);
    for (int i = 0; i < 2; i++) tiles[i] = kTiles[s.ta][s.n % W != 0][minOf(rows + i, kRows) - 1][vectors - 1];
  }
  void multiply(const Call& call, const Run& run) const {
    const int32_t* const ints = call.ints;
    const int64_t m = ints[1], n = ints[2], k = ints[3], lda = ints[4] ? m : k, down = ints[4] ? 1 : k;
    const float* a = (const float*)run.ptr[call.inputs[0]];
    const float* b = (const float*)run.ptr[call.inputs[1]];
    float* c = (float*)run.ptr[call.outputs[0]];
    for (int64_t batch = ints[0]; batch > 0; batch--, a += ints[6], b += ints[7]) {
      const float* from = a;
      for (int64_t strip = 0; strip < strips; strip++) {
        const bool more = strip < longer;
        tiles[more](k, from, lda, b, n, c, n, false, (n - 1) % W + 1);
        from += (rows + more) * down, c += (rows + more) * n;
      }
    }
  }
};

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
