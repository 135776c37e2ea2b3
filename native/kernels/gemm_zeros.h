// Products whose A has many zeros: pixels, units that rectifiers and dropout switched off, states of binary
// units. Terms with a zero of A are left out. Where B is finite that changes nothing: each element of C is the
// chain of fma of a tile without the links that add 0. (After one that underflowed to −0 they would make 0 of it;
// so both give 0 for −0.)
//
// A block of A is turned into lists of its rows' terms. A row then runs over a group of panels of packed B,
// kZeroPanels·kColumns columns at once, of which kZeroK rows stay in L1 while all rows of A pass.
#pragma once

#include "gemm_tile.h"
#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// As many chains as registers allow: a term costs a broadcast and one fma with an operand in memory for
// each vector, so two vectors a cycle where a core loads two.
constexpr int kZeroPanels = 6;
constexpr int64_t kZeroK = 6912 / (kZeroPanels * kColumns) / W * W;  // 27 KiB of B
constexpr int64_t kZeroSteps = (kBlockK + kZeroK - 1) / kZeroK;
// Near-equal steps: each costs a row a load and a store of its sums and a mispredicted end of its list.
LW_INLINE int64_t zeroSteps(int64_t kc) { return ceilDiv(kc, kZeroK); }
LW_INLINE int64_t zeroStepLength(int64_t kc) { return ceilDiv(ceilDiv(kc, zeroSteps(kc)), W) * W; }
// Rows of A in a block, columns of C, terms from which on lists can pay.
constexpr int64_t kZeroRows = 96, kZeroLeastRows = 16, kZeroLeastColumns = 4 * kColumns, kZeroLeastK = 32;
// Lists of a row: room for one vector more than a block of k.
constexpr int64_t kZeroStride = kBlockK + 16;
// Looked at to guess how many zeros there are: if half of them, listing is tried; it ends where more terms are
// found than lists are faster with.
constexpr int64_t kZeroSample = 64;
constexpr double kZeroShare = 0.6;

LW_INLINE bool zerosCanPay(int64_t rows, int64_t cols, int64_t k) {
  return rows >= kZeroLeastRows && cols >= kZeroLeastColumns && k >= kZeroLeastK;
}

// The terms of a block of rows of A, in scratch memory of one thread.
struct ZeroLists {
  float* values;    // [kZeroRows, kZeroStride]
  uint16_t* at;     // [kZeroRows, kZeroStride]: their k
  uint16_t* ends;   // [kZeroRows, kZeroSteps + 1]: where the terms of each step begin and end
  float* sums;      // [kZeroRows, kZeroPanels·kColumns]
  // For a transposed A: terms of one k and their rows, [kZeroRows + 16], and how many each row has so far.
  float* found;
  uint16_t *rowsFound, *counts;

  static constexpr int64_t kRoom = kZeroRows + 16;
  static constexpr int64_t kBytes = kZeroRows * (kZeroStride * 6 + (kZeroSteps + 1) * 2 +
                                                 kZeroPanels * kColumns * 4) + kRoom * 8 + 256;
  explicit ZeroLists(uint8_t* scratch) {
    values = (float*)scratch;
    sums = values + kZeroRows * kZeroStride;
    found = sums + kZeroRows * kZeroPanels * kColumns;
    rowsFound = (uint16_t*)(found + kRoom);
    counts = rowsFound + kRoom;
    at = counts + kRoom;
    ends = at + kZeroRows * kZeroStride + 32;
  }

  // Lists rows of A (element (i, k) at a[i·lda + k]); false if there are too many terms.
  bool list(const float* a, int64_t lda, int64_t rows, int64_t kc) {
    const int64_t most = (int64_t)(kZeroShare * (double)(rows * kc)), length = zeroStepLength(kc);
    int64_t total = 0;
    for (int64_t i = 0; i < rows; i++) {
      const float* const row = a + i * lda;
      float* const v = values + i * kZeroStride;
      uint16_t* const ks = at + i * kZeroStride;
      uint16_t* const end = ends + i * (kZeroSteps + 1);
      int64_t n = 0, step = 0;
      end[0] = 0;
      for (int64_t k0 = 0; k0 < kc; k0 += length) {
        const int64_t k1 = minOf(kc, k0 + length);
        int64_t k = k0;
        for (; k + W <= k1; k += W) n += packNonZero(load(row + k), k, v + n, ks + n);
        if (k < k1) n += packNonZero(loadPartial(row + k, k1 - k), k, v + n, ks + n);
        end[++step] = (uint16_t)n;
      }
      total += n;
      if (total > most) return false;
    }
    return true;
  }

  // The same for a transposed A (element (i, k) at a[k·lda + i]): terms of each k go to the ends of their rows' lists.
  bool listTransposed(const float* a, int64_t lda, int64_t rows, int64_t kc) {
    const int64_t most = (int64_t)(kZeroShare * (double)(rows * kc)), length = zeroStepLength(kc);
    int64_t total = 0, step = 0;
    for (int64_t i = 0; i < rows; i++) ends[i * (kZeroSteps + 1)] = counts[i] = 0;
    for (int64_t k0 = 0; k0 < kc; k0 += length) {
      for (int64_t k = k0; k < minOf(kc, k0 + length); k++) {
        const float* const row = a + k * lda;
        int64_t n = 0, i = 0;
        for (; i + W <= rows; i += W) n += packNonZero(load(row + i), i, found + n, rowsFound + n);
        if (i < rows) n += packNonZero(loadPartial(row + i, rows - i), i, found + n, rowsFound + n);
        for (int64_t t = 0; t < n; t++) {
          const int64_t to = rowsFound[t] * kZeroStride + counts[rowsFound[t]]++;
          values[to] = found[t];
          at[to] = (uint16_t)k;
        }
        total += n;
        if (total > most) return false;
      }
      step++;
      for (int64_t i = 0; i < rows; i++) ends[i * (kZeroSteps + 1) + step] = counts[i];
    }
    return true;
  }
};

// What a group of panels multiplies and where its sums go after the last step.
struct ZeroGroup {
  const float* b;      // its first panel
  float* c;            // its first column of C
  int64_t panel, ldc;  // floats between panels, rows of C
  bool add;            // to what C holds
};

// The terms of one step for NP panels: kept in `lists.sums`, or, with LAST, put to C.
template <int NP, bool LAST>
void zeroTile(const ZeroLists& lists, int64_t rows, int64_t step, const ZeroGroup& group) {
  for (int64_t i = 0; i < rows; i++) {
    const uint16_t* const end = lists.ends + i * (kZeroSteps + 1) + step;
    const float* value = lists.values + i * kZeroStride + end[0];
    const uint16_t* at = lists.at + i * kZeroStride + end[0];
    const uint16_t* const last = at + (end[1] - end[0]);
    float* const sums = lists.sums + i * kZeroPanels * kColumns;
    VF acc[NP][kVectors];
#pragma GCC unroll 8
    for (int p = 0; p < NP; p++) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) {
        acc[p][v] = step == 0 ? zero() : load(sums + p * kColumns + v * W);
      }
    }
    for (; at < last; at++, value++) {
      const VF av = set1(*value);
      const float* const row = group.b + *at * kColumns;
#pragma GCC unroll 8
      for (int p = 0; p < NP; p++) {
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; v++) {
          acc[p][v] = fma(av, load(row + p * group.panel + v * W), acc[p][v]);
        }
      }
    }
    float* const c = group.c + i * group.ldc;
#pragma GCC unroll 8
    for (int p = 0; p < NP; p++) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) {
        const int x = p * kColumns + v * W;
        if constexpr (LAST) store(c + x, (group.add ? load(c + x) : zero()) + acc[p][v]);
        else store(sums + x, acc[p][v]);
      }
    }
  }
}
using ZeroTile = void (*)(const ZeroLists&, int64_t, int64_t, const ZeroGroup&);
// By whether it is the last step, panels − 1.
constexpr ZeroTile kZeroTiles[2][kZeroPanels] = {
    {zeroTile<1, false>, zeroTile<2, false>, zeroTile<3, false>, zeroTile<4, false>, zeroTile<5, false>,
     zeroTile<6, false>},
    {zeroTile<1, true>, zeroTile<2, true>, zeroTile<3, true>, zeroTile<4, true>, zeroTile<5, true>,
     zeroTile<6, true>},
};

// Whether so many of a few elements of A (rows `lda` apart) are zeros that listing the others is worth a try.
LW_INLINE bool hasZeros(const float* a, int64_t lda, int64_t rows, int64_t cols) {
  // Steps that share no factor with usual sizes.
  const int64_t down = maxOf(1, 37 % rows), right = maxOf(1, 101 % cols);
  int64_t zeros = 0, i = 0, k = 0;
  for (int64_t s = 1; s <= kZeroSample; s++) {
    zeros += a[i * lda + k] == 0.0f;
    i += down;
    i -= i >= rows ? rows : 0;
    k += right;
    k -= k >= cols ? cols : 0;
    if (s == kZeroSample / 4 && zeros == 0) return false;
  }
  return zeros >= kZeroSample / 2;
}

// C (rows×cols at c) = or += the listed rows times packed B. `soon(i, n, j, width)` is called before rows
// [i, i + n) of columns [j, j + width) are computed.
template <class Soon>
LW_INLINE void multiplyLists(const ZeroLists& lists, int64_t rows, int64_t cols, int64_t kc, const float* b,
                             float* c, int64_t ldc, bool add, Soon soon) {
  const int64_t panels = ceilDiv(cols, kColumns), groups = ceilDiv(panels, kZeroPanels);
  const int64_t steps = zeroSteps(kc), panel = kc * kColumns;
  for (int64_t g = 0; g < groups; g++) {
    const int64_t p0 = panels * g / groups, np = panels * (g + 1) / groups - p0;
    const int64_t j = p0 * kColumns, width = minOf(np * kColumns, cols - j);
    const ZeroGroup group = {b + p0 * panel, c + j, panel, ldc, add};
    const bool whole = width == np * kColumns;  // panels of C; else the last lanes do not exist
    soon(0, rows, j, width);
    for (int64_t step = 0; step < steps; step++) {
      kZeroTiles[whole && step == steps - 1][np - 1](lists, rows, step, group);
    }
    for (int64_t i = 0; i < rows && !whole; i++) {
      const float* const sums = lists.sums + i * kZeroPanels * kColumns;
      float* const ci = group.c + i * ldc;
      int64_t x = 0;
      for (; x + W <= width; x += W) store(ci + x, (add ? load(ci + x) : zero()) + load(sums + x));
      if (x < width) {
        const VF sum = load(sums + x);
        storePartial(ci + x, (add ? loadPartial(ci + x, width - x) : zero()) + sum, width - x);
      }
    }
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
