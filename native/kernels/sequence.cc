// sequenceProduct and sequenceOuter: products over the rows that sequences of different lengths have. Rows
// are gathered block by block as they are packed, so that full tiles are computed whatever the lengths.
#include "sequence.h"
#include "gemm_tile.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

constexpr int64_t kBlockRows = 4 * kRows * (kRows == 6 ? 2 : 1);  // rows whose results wait in L2
constexpr int64_t kBlockColumns = 256;

// Walks the rows of [batch·time, …] that are there.
struct ValidRows {
  const int32_t* lengths;
  int64_t batch, time, b = 0, t = 0;
  ValidRows(const int32_t* all, int64_t sequences, int64_t steps)
      : lengths(all), batch(sequences), time(steps) {}
  int64_t count() const {
    int64_t n = 0;
    for (int64_t i = 0; i < batch; i++) n += lengthOf(lengths, i, time);
    return n;
  }
  void skip(int64_t rows) {
    t += rows;
    while (b < batch && t >= lengthOf(lengths, b, time)) t -= lengthOf(lengths, b++, time);
  }
  int64_t next() {
    const int64_t row = b * time + t;
    skip(1);
    return row;
  }
};

LW_INLINE void copyFloats(float* to, const float* from, int64_t n) {
  int64_t i = 0;
  for (; i + W <= n; i += W) store(to + i, load(from + i));
  if (i < n) storePartial(to + i, loadPartial(from + i, n - i), n - i);
}

struct Product {
  int64_t batch, time, inputs, units;
  bool transpose;
  explicit Product(const Call& call)
      : batch(call.ints[0]), time(call.ints[1]), inputs(call.ints[2]), units(call.ints[3]),
        transpose(call.ints[4] != 0) {}
  // Columns at once: their weights stay in L2.
  int64_t columns() const {
    constexpr int64_t kFloats = 1 << 16;
    const int64_t fit = kFloats / maxOf(inputs, (int64_t)1) / kColumns * kColumns;
    return maxOf(kColumns, minOf(kBlockColumns, fit));
  }
};

struct Outer {
  int64_t batch, time, rows, columns;
  explicit Outer(const Call& call)
      : batch(call.ints[0]), time(call.ints[1]), rows(call.ints[2]), columns(call.ints[3]) {}
};

// A piece of a result of rows × columns for one of several parts, cut along the side that has more tiles.
struct Piece {
  Range rows, columns;
};
Piece pieceOf(int64_t rows, int64_t columns, int64_t part, int64_t parts) {
  if (columns >= 2 * kColumns * parts) return {{0, rows}, split(columns, kColumns, part, parts)};
  return {split(rows, kRows, part, parts), {0, columns}};
}

}  // namespace

// custom[0], [1], [2]: byte offsets in scratch of packed x, packed W and the results of a block.
void plan_sequenceProduct(Call& call) {
  const Product p(call);
  call.phases = 1;
  call.maxParts = 1;
  if (p.batch * p.time == 0 || p.units == 0) return;
  const int64_t rows = minOf(kBlockRows, p.batch * p.time);
  int64_t bytes = 0;
  const auto take = [&](int64_t floats) {
    const int64_t at = bytes;
    bytes += (floats * 4 + 63) & ~(int64_t)63;
    return at;
  };
  call.custom[0] = take((rows + kRows) * rowStride(p.inputs) + 16);
  call.custom[1] = take(p.inputs * p.columns());
  call.custom[2] = take(rows * p.columns());
  call.scratchBytes = bytes;
  const int64_t elements = p.batch * p.time * p.units;
  call.work = elements * p.inputs / (5 * W) + elements / 12;
  call.maxParts = maxOf((int64_t)1, maxOf(ceilDiv(p.batch * p.time, kRows), ceilDiv(p.units, kColumns)));
}

void run_sequenceProduct(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const Product p(call);
  const float* const x = (const float*)run.ptr[call.inputs[0]];
  const float* const w = (const float*)run.ptr[call.inputs[1]];
  const int32_t* const lengths = (const int32_t*)run.ptr[call.inputs[2]];
  float* const y = (float*)run.ptr[call.outputs[0]];
  if (part == 0) checkLengths(call, run, 2, p.batch, p.time);
  if (p.batch * p.time == 0 || p.units == 0) return;
  const ValidRows all(lengths, p.batch, p.time);
  const Piece piece = pieceOf(all.count(), p.units, part, parts);
  float* const packedX = (float*)(run.scratch + call.custom[0]);
  float* const packedW = (float*)(run.scratch + call.custom[1]);
  float* const results = (float*)(run.scratch + call.custom[2]);
  const int64_t strideX = rowStride(p.inputs), wide = p.columns();
  const BlocksOfK blocks(p.inputs);

  // Padding: by columns as the results, or some sequences each.
  const bool byColumns = piece.rows.begin == 0 && piece.rows.end == all.count() && parts > 1 &&
                         piece.columns.end - piece.columns.begin < p.units;
  for (int64_t b = byColumns || parts == 1 ? 0 : part; b < p.batch; b += byColumns || parts == 1 ? 1 : parts) {
    for (int64_t t = lengthOf(lengths, b, p.time); t < p.time; t++) {
      const Range own = byColumns ? piece.columns : Range{0, p.units};
      if (own.end > own.begin) {
        memset(y + (b * p.time + t) * p.units + own.begin, 0, (size_t)(own.end - own.begin) * 4);
      }
    }
  }
  for (int64_t j0 = piece.columns.begin; j0 < piece.columns.end; j0 += wide) {
    const int64_t cols = minOf(wide, piece.columns.end - j0);
    for (int64_t block = 0; block < blocks.count; block++) {
      const int64_t k0 = blocks.begin(block), kc = blocks.begin(block + 1) - k0;
      float* const to = packedW + k0 * ceilDiv(cols, kColumns) * kColumns;
      if (p.transpose) packColumns(w + j0 * p.inputs + k0, p.inputs, kc, cols, to);
      else packRows(w + k0 * p.units + j0, p.units, kc, cols, to);
    }
    ValidRows from = all, back = all;
    from.skip(piece.rows.begin);
    back.skip(piece.rows.begin);
    for (int64_t i0 = piece.rows.begin; i0 < piece.rows.end; i0 += kBlockRows) {
      const int64_t n = minOf(kBlockRows, piece.rows.end - i0);
      for (int64_t i = 0; i < n; i++) copyFloats(packedX + i * strideX, x + from.next() * p.inputs, p.inputs);
      const Strips strips(n);
      for (int64_t block = 0; block < maxOf(blocks.count, (int64_t)1); block++) {
        const int64_t k0 = blocks.count > 0 ? blocks.begin(block) : 0;
        const int64_t kc = blocks.count > 0 ? blocks.begin(block + 1) - k0 : 0;
        const float* const b = packedW + k0 * ceilDiv(cols, kColumns) * kColumns;
        for (int64_t j = 0; j < cols; j += kColumns) {
          for (int64_t strip = 0; strip < strips.count; strip++) {
            kTiles[0][0][strips.rows(strip) - 1][kVectors - 1](
                kc, packedX + strips.at[strip] * strideX + k0, strideX, b + j * kc, kColumns,
                results + strips.at[strip] * wide + j, wide, block > 0, W);
          }
        }
      }
      for (int64_t i = 0; i < n; i++) {
        copyFloats(y + back.next() * p.units + j0, results + i * wide, cols);
      }
    }
  }
}

// Strips of rows of the result whose terms are packed at once.
constexpr int64_t kOuterStrips = 144 / kRows;

void plan_sequenceOuter(Call& call) {
  const Outer p(call);
  const int64_t terms = minOf(kBlockK, maxOf(p.batch * p.time, (int64_t)1));
  call.custom[0] = 0;
  call.custom[1] = (kOuterStrips * (kRows * terms + 16) + 16) * 4;
  call.scratchBytes = call.custom[1] + terms * minOf(kBlockColumns, ceilDiv(p.columns, kColumns) * kColumns) * 4;
  call.phases = 1;
  const int64_t elements = p.rows * p.columns;
  call.work = elements * p.batch * p.time / (5 * W) + elements / 12;
  call.maxParts = maxOf((int64_t)1, maxOf(ceilDiv(p.rows, kRows), ceilDiv(p.columns, kColumns)));
}

void run_sequenceOuter(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const Outer p(call);
  const float* const x = (const float*)run.ptr[call.inputs[0]];
  const float* const y = (const float*)run.ptr[call.inputs[1]];
  const int32_t* const lengths = (const int32_t*)run.ptr[call.inputs[2]];
  float* const c = (float*)run.ptr[call.outputs[0]];
  if (part == 0) checkLengths(call, run, 2, p.batch, p.time);
  const ValidRows all(lengths, p.batch, p.time);
  const Piece piece = pieceOf(p.rows, p.columns, part, parts);
  const int64_t rows = piece.rows.end - piece.rows.begin, columns = piece.columns.end - piece.columns.begin;
  if (rows <= 0 || columns <= 0) return;
  const BlocksOfK blocks(all.count());
  if (blocks.count == 0) {
    for (int64_t i = piece.rows.begin; i < piece.rows.end; i++) {
      memset(c + i * p.columns + piece.columns.begin, 0, (size_t)columns * 4);
    }
    return;
  }
  float* const packedX = (float*)(run.scratch + call.custom[0]);
  float* const packedY = (float*)(run.scratch + call.custom[1]);
  const int64_t size = kRows * blocks.longest() + 16;
  for (int64_t j0 = piece.columns.begin; j0 < piece.columns.end; j0 += kBlockColumns) {
    const int64_t cols = minOf(kBlockColumns, piece.columns.end - j0);
    ValidRows at = all;
    for (int64_t block = 0; block < blocks.count; block++) {
      const int64_t kc = blocks.begin(block + 1) - blocks.begin(block);
      ValidRows fromY = at;
      for (int64_t k = 0; k < kc; k++) {
        const float* const row = y + fromY.next() * p.columns + j0;
        for (int64_t j = 0; j < cols; j += kColumns) {
          copyFloats(packedY + j * kc + k * kColumns, row + j, minOf(kColumns, cols - j));
        }
      }
      for (int64_t i0 = piece.rows.begin; i0 < piece.rows.end; i0 += kOuterStrips * kRows) {
        const int64_t n = minOf(kOuterStrips * kRows, piece.rows.end - i0);
        const Strips strips(n);
        ValidRows fromX = at;
        for (int64_t k = 0; k < kc; k++) {
          packTransposed(x + fromX.next() * p.rows + i0, 0, 1, strips, packedX + k * kRows, size);
        }
        for (int64_t j = 0; j < cols; j += kColumns) {
          const int64_t width = minOf(kColumns, cols - j), vectors = ceilDiv(width, W);
          const int64_t tail = width - (vectors - 1) * W;
          for (int64_t strip = 0; strip < strips.count; strip++) {
            kTiles[1][tail != W][strips.rows(strip) - 1][vectors - 1](
                kc, packedX + strip * size, kRows, packedY + j * kc, kColumns,
                c + (i0 + strips.at[strip]) * p.columns + j0 + j, p.columns, block > 0, tail);
          }
        }
      }
      at.skip(kc);
    }
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
