// What both directions of a recurrent layer share: the attributes of a call, the weights in panels, who does
// what of a step, and the product that opens each step.
//
// Units are cut into blocks; the panels of all gates of a block are multiplied with the same rows, and what
// follows element by element happens at once, while the products are in L1. Rows are sequences, sorted by
// length. Threads share either the rows, and then run all steps without waiting for each other, or the
// blocks, and then meet after each step (a phase).
#pragma once

#include "gemm_row.h"
#include "gemm_tile.h"
#include "sequence.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

enum Cell { kTanhCell, kReluCell, kSigmoidCell, kLinearCell, kLstmCell, kGruCell, kGruAfterCell };

// Rows whose products wait for their element-wise part at once.
constexpr int64_t kGroupRows = kRows == 6 ? 48 : 3 * kRows;
// With fewer rows per thread its part of the weights is read too often: threads then share the units.
constexpr int64_t kRowsPerPart = 8;
// One row against weights that are not packed: units at once.
constexpr int64_t kRowUnits = 256;
constexpr int64_t kPartWork = 1500;  // nanoseconds that are worth a thread's while

struct RecurrentShape {
  int64_t batch, time, units;
  Cell cell;
  int64_t wanted;
  bool reverse;

  explicit RecurrentShape(const Call& call)
      : batch(call.ints[0]), time(call.ints[1]), units(call.ints[2]), cell((Cell)call.ints[3]),
        wanted(call.ints[4]), reverse(call.ints[5] != 0) {}
  int64_t gates() const { return cell == kLstmCell ? 4 : cell >= kGruCell ? 3 : 1; }
  int64_t width() const { return gates() * units; }
  // A step of the plain GRU has two products, one after the other.
  int64_t stages() const { return cell == kGruCell ? 2 : 1; }
  // Where step k of a row stands in [batch·time, …].
  int64_t place(const SequenceOrder& order, int64_t row, int64_t k) const {
    return order.sequence[row] * time + (reverse ? order.length[row] - 1 - k : k);
  }
};

// Operands in the order in which they are passed; those that are missing are null.
struct Operands {
  const Call& call;
  const Run& run;
  int32_t inputs = 0, outputs = 0;
  const float* input(bool present = true) {
    return present ? (const float*)run.ptr[call.inputs[inputs++]] : nullptr;
  }
  float* output(bool present) {
    return present ? (float*)run.ptr[call.outputs[outputs++]] : nullptr;
  }
};

// Which rows and blocks of units are a part's own: rows first, first + step, … below the active ones.
struct Share {
  int64_t first, step;
  Range blocks;
  bool alone;  // all steps without anybody else
  Share(int64_t batch, int64_t allBlocks, int64_t part, int64_t parts) {
    const bool byRows = parts == 1 || batch >= kRowsPerPart * parts;
    first = byRows ? part : 0;
    step = byRows ? parts : 1;
    blocks = byRows ? Range{0, allBlocks} : split(allBlocks, 1, part, parts);
    alone = byRows;
  }
  int64_t rows(int64_t active) const { return active <= first ? 0 : ceilDiv(active - first, step); }
};

// Columns of a panel: few rows need wide tiles.
LW_INLINE int64_t panelWidth(int64_t rows, int64_t units) {
  const int64_t vectors = rows <= 3 ? maxVectors((int)maxOf(rows, (int64_t)1)) : kVectors;
  return maxOf((int64_t)1, minOf(vectors, ceilDiv(units, W))) * W;
}

// Packs one panel of n ≤ width columns (element (k, j) at b[k·ldb + j], transposed at b[j·ldb + k]).
LW_INLINE void packPanel(const float* b, int64_t ldb, bool transposed, int64_t terms, int64_t n, int64_t width,
                         float* dst) {
  if (!transposed) {
    for (int64_t k = 0; k < terms; k++, b += ldb, dst += width) {
      for (int64_t j = 0; j < width; j += W) {
        const int64_t rest = n - j;
        store(dst + j, rest >= W ? load(b + j) : rest > 0 ? loadPartial(b + j, rest) : zero());
      }
    }
    return;
  }
  for (int64_t j = 0; j < width; j += W) {
    const int64_t rest = n - j;
    const float* const from = b + j * ldb;
    float* const to = dst + j;
    int64_t k = 0;
    if (rest >= W) {
      for (; k + 4 <= terms; k += 4) transpose4(from + k, ldb, to + k * width, width);
    }
    for (; k < terms; k++) {
      for (int64_t l = 0; l < W; l++) to[k * width + l] = l < rest ? from[l * ldb + k] : 0.0f;
    }
  }
}

// c (rows × columns) = a·b over `terms`. b: `columns` at ldb, in whole vectors if it is a panel. Panels follow each
// other in memory, where the hardware looks ahead: asking for the next one costs a twentieth of the product.
LW_INLINE void multiplyRows(const float* a, int64_t lda, int64_t rows, const float* b, int64_t ldb,
                            bool panel, int64_t terms, int64_t columns, float* c, int64_t ldc) {
  if (rows == 0) return;
  const BlocksOfK blocks(terms);
  const Strips strips(rows);
  for (int64_t block = 0; block < maxOf(blocks.count, (int64_t)1); block++) {
    const int64_t k0 = blocks.count > 0 ? blocks.begin(block) : 0;
    const int64_t kc = blocks.count > 0 ? blocks.begin(block + 1) - k0 : 0;
    for (int64_t strip = 0; strip < strips.count; strip++) {
      const int64_t i = strips.at[strip], mr = strips.rows(strip);
      const int64_t most = maxVectors((int)mr) * W;
      for (int64_t j = 0; j < columns; j += most) {
        const int64_t n = minOf(most, columns - j), vectors = ceilDiv(n, W);
        const int64_t tail = panel ? W : n - (vectors - 1) * W;
        kTiles[0][tail != W][mr - 1][vectors - 1](kc, a + i * lda + k0, lda, b + k0 * ldb + j, ldb,
                                                  c + i * ldc + j, ldc, block > 0, tail);
      }
    }
  }
}

template <bool PART>
LW_INLINE VF get(const float* p, int64_t n) {
  return PART ? loadPartial(p, n) : load(p);
}
template <bool PART>
LW_INLINE void put(float* p, VF v, int64_t n) {
  if (PART) storePartial(p, v, n);
  else store(p, v);
}

// A row's units vector by vector: lanes<PART>(row, j, n) for units [j, j + n), n < W only in the part.
template <class Whole, class Part>
LW_INLINE void overUnits(int64_t units, Whole whole, Part part) {
  int64_t j = 0;
  for (; j + W <= units; j += W) whole(j);
  if (j < units) part(j, units - j);
}
#define LW_OVER_UNITS(lanes)                                                          \
  overUnits(                                                                          \
      units, [&](int64_t j) __attribute__((always_inline)) { lanes<false>(r, j, W); }, \
      [&](int64_t j, int64_t n) __attribute__((always_inline)) { lanes<true>(r, j, n); })
#define LW_OVER_UNITS_OF(CELL, lanes)                                                       \
  overUnits(                                                                                \
      units, [&](int64_t j) __attribute__((always_inline)) { lanes<CELL, false>(r, j, W); }, \
      [&](int64_t j, int64_t n) __attribute__((always_inline)) { lanes<CELL, true>(r, j, n); })

// Copies a row of n floats. (glibc's memcpy takes `rep movsb` from 4 KiB on: a tenth longer out of L2, Zen 3.)
LW_INLINE void copyRow(float* __restrict to, const float* __restrict from, int64_t n) {
  int64_t j = 0;
  for (; j + 4 * W <= n; j += 4 * W) {
    const VF a = load(from + j), b = load(from + j + W), c = load(from + j + 2 * W), d = load(from + j + 3 * W);
    store(to + j, a);
    store(to + j + W, b);
    store(to + j + 2 * W, c);
    store(to + j + 3 * W, d);
  }
  for (; j + W <= n; j += W) store(to + j, load(from + j));
  if (j < n) storePartial(to + j, loadPartial(from + j, n - j), n - j);
}

LW_INLINE void clear(float* p, int64_t n) {
  if (p && n > 0) memset(p, 0, (size_t)n * 4);
}
LW_INLINE void copyOrClear(float* to, const float* from, int64_t n) {
  if (n <= 0) return;
  if (from) memcpy(to, from, (size_t)n * 4);
  else memset(to, 0, (size_t)n * 4);
}

// Asks for n floats that are read, or written, soon: rows of different sequences lie whole pages apart, where no
// hardware looks ahead.
LW_INLINE void askFor(const float* p, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) __builtin_prefetch(p + i);
}
LW_INLINE void askToWrite(const float* p, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) __builtin_prefetch(p + i, 1);
}

// Zeros the steps that sequence b lacks, in tensors of `width` floats per step.
LW_INLINE void clearPadding(float* p, int64_t b, int64_t length, int64_t time, int64_t width) {
  if (p) clear(p + (b * time + length) * width, (time - length) * width);
}

// Pieces of memory, each on its own lines.
struct Layout {
  int64_t bytes = 0;
  int64_t take(int64_t size) {
    const int64_t at = bytes;
    bytes += (size + 63) & ~(int64_t)63;
    return at;
  }
  int64_t floats(int64_t count) { return take(count * 4); }
};

// How many parts a call with steps of `stepWork` nanoseconds may have.
LW_INLINE int64_t partsOf(const RecurrentShape& s, int64_t blocks, int64_t stepWork) {
  return maxOf((int64_t)1, maxOf(s.batch / kRowsPerPart, minOf(blocks, stepWork / kPartWork)));
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
