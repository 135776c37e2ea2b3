// Products whose A has many zeros: pixels, units that rectifiers and dropout switched off, states of binary
// units. Terms with a zero of A are left out. Where B is finite that changes nothing: each element of C is the
// chain of fma of a tile without the links that add 0. (After one that underflowed to −0 they would make 0 of it;
// so both give 0 for −0.)
//
// A block of A is turned into lists of its rows' terms. A row then runs over a group of panels of packed B,
// kZeroPanels·kColumns columns at once, of which kZeroK rows stay close while all rows of A pass. Where all terms
// are ones, as of binary units, the lists have no values and rows of B are added up.
#pragma once

#include "gemm_tile.h"
#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// Chains of 64 columns (with AVX-512 of two rows in turns), so many that their latency is hidden: a term costs a broadcast and one fma with an operand in
// memory for each vector, so nearly all that a core can load. More columns would mean shorter steps, and each step
// costs a row a load and a store of its sums and the end of a list: 40 KiB of B, part of which comes from
// L2, beat the 26 that stay in L1 (1.1 times the Boltzmann machine's step on Zen 4, 1.04 times with AVX2 there), and with AVX-512
// 52 KiB the 40 on Zen 5 (1.005 times; 64 and 72 are slower).
constexpr int kZeroPanels = W == 16 ? 2 : 4;
constexpr int64_t kZeroK = (W == 16 ? 13312 : 10240) / (kZeroPanels * kColumns) / W * W;
constexpr int64_t kZeroSteps = (kBlockK + kZeroK - 1) / kZeroK;
// Near-equal steps.
LW_INLINE int64_t zeroSteps(int64_t kc) { return ceilDiv(kc, kZeroK); }
LW_INLINE int64_t zeroStepLength(int64_t kc) { return ceilDiv(ceilDiv(kc, zeroSteps(kc)), W) * W; }
// With fewer terms in a row's step, beginning and ending it costs more than it takes to have B from L2 (1.1 times the
// product of a matrix with 4 % of terms; 28 for 14, once indices came as words, 1.02 times the Boltzmann machine's step on Zen 5).
constexpr int64_t kZeroLeastTerms = W == 16 ? 28 : 8;
// Rows of A in a block, columns of C, terms from which on lists can pay.
constexpr int64_t kZeroRows = 128, kZeroLeastRows = 16, kZeroLeastColumns = 4 * kColumns, kZeroLeastK = 32;
// Lists of a row: room for one vector more than a block of k.
constexpr int64_t kZeroStride = kBlockK + 16;
// Looked at to guess how many zeros there are: if half of them, listing is tried; it ends where more terms are
// found than lists are faster with.
constexpr int64_t kZeroSample = 64;
constexpr double kZeroShare = 0.6;
constexpr int64_t kAheadK = 6;  // rows of a transposed A that are asked for ahead

LW_INLINE bool zerosCanPay(int64_t rows, int64_t cols, int64_t k) {
  return rows >= kZeroLeastRows && cols >= kZeroLeastColumns && k >= kZeroLeastK;
}

// The terms of a block of rows of A, in scratch memory of one thread.
struct ZeroLists {
  bool ones;        // all terms are 1, and `values` has nothing
  float* values;    // [kZeroRows, kZeroStride]
  uint16_t* at;     // [kZeroRows, kZeroStride]: their k
  uint16_t* ends;   // [kZeroRows, kZeroSteps + 1]: where the terms of each step begin and end
  float* sums;      // [kZeroRows, kZeroPanels·kColumns]
  // For a transposed A: terms of one k and their rows, [kZeroRows + 16], and how many each row has so far.
  float* found;
  uint16_t *rowsFound, *counts;
  int64_t total, steps, atOnce;  // terms; steps of k, and how many are taken at once

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

  // Lists rows of A (element (i, k) at a[i·lda + k], or, transposed, at a[k·lda + i]); false if there are too many
  // terms.
  bool list(const float* a, int64_t lda, bool transposed, int64_t rows, int64_t kc) {
    Listing listing = transposed ? listColumns<false>(a, lda, rows, kc) : listRows<false>(a, lda, rows, kc);
    ones = listing != kNotOnes;
    if (!ones) listing = transposed ? listColumns<true>(a, lda, rows, kc) : listRows<true>(a, lda, rows, kc);
    if (listing != kListed) return false;
    steps = zeroSteps(kc);
    // Steps of few terms are taken at once.
    atOnce = total < kZeroLeastTerms * rows * steps ? steps : 1;
    return true;
  }

 private:
  enum Listing { kListed, kTooMany, kNotOnes };

  template <bool VALUES>
  Listing listRows(const float* a, int64_t lda, int64_t rows, int64_t kc) {
    const int64_t most = (int64_t)(kZeroShare * (double)(rows * kc)), length = zeroStepLength(kc);
    total = 0;
    for (int64_t i = 0; i < rows; i++) {
      const float* const row = a + i * lda;
      float* const v = values + i * kZeroStride;
      uint16_t* const ks = at + i * kZeroStride;
      uint16_t* const end = ends + i * (kZeroSteps + 1);
      int64_t n = 0, step = 0;
      VI others = {};
      end[0] = 0;
      for (int64_t k0 = 0; k0 < kc; k0 += length) {
        const int64_t k1 = minOf(kc, k0 + length);
        int64_t k = k0;
        for (; k + W <= k1; k += W) n += pack<VALUES>(load(row + k), k, v + n, ks + n, &others);
        if (k < k1) n += pack<VALUES>(loadPartial(row + k, k1 - k), k, v + n, ks + n, &others);
        end[++step] = (uint16_t)n;
      }
      if (!VALUES && anyLane(others)) return kNotOnes;
      total += n;
      if (total > most) return kTooMany;
    }
    return kListed;
  }

  // The same for a transposed A: terms of each k go to the ends of their rows' lists. What is read of each k is too
  // short for the hardware to foresee the next.
  template <bool VALUES>
  Listing listColumns(const float* a, int64_t lda, int64_t rows, int64_t kc) {
    const int64_t most = (int64_t)(kZeroShare * (double)(rows * kc)), length = zeroStepLength(kc);
    int64_t step = 0;
    total = 0;
    for (int64_t i = 0; i < rows; i++) ends[i * (kZeroSteps + 1)] = counts[i] = 0;
    for (int64_t k0 = 0; k0 < kc; k0 += length) {
      for (int64_t k = k0; k < minOf(kc, k0 + length); k++) {
        const float* const row = a + k * lda;
        int64_t n = 0, i = 0;
        VI others = {};
        for (int64_t line = 0; line < rows; line += 16) __builtin_prefetch(row + kAheadK * lda + line);
        for (; i + W <= rows; i += W) n += pack<VALUES>(load(row + i), i, found + n, rowsFound + n, &others);
        if (i < rows) n += pack<VALUES>(loadPartial(row + i, rows - i), i, found + n, rowsFound + n, &others);
        if (!VALUES && anyLane(others)) return kNotOnes;
        for (int64_t t = 0; t < n; t++) {
          const int64_t to = rowsFound[t] * kZeroStride + counts[rowsFound[t]]++;
          if constexpr (VALUES) values[to] = found[t];
          at[to] = (uint16_t)k;
        }
        total += n;
        if (total > most) return kTooMany;
      }
      step++;
      for (int64_t i = 0; i < rows; i++) ends[i * (kZeroSteps + 1) + step] = counts[i];
    }
    return kListed;
  }

  // Lists the lanes that are not 0; without values, `others` remembers those that are neither 0 nor 1.
  template <bool VALUES>
  LW_MEMBER static int64_t pack(VF v, int64_t first, float* to, uint16_t* numbers, VI* others) {
    if constexpr (!VALUES) *others |= (VI)(v != 0.0f) & (VI)(v != 1.0f);
    return packNonZero<VALUES>(v, first, to, numbers);
  }
};

// What a group of panels multiplies and where its sums go after the last step.
struct ZeroGroup {
  const float* b;      // its first panel
  float* c;            // its first column of C
  int64_t panel, ldc;  // floats between panels, rows of C
  bool add;            // to what C holds
};

// Indices that are loaded at once, for two rows with AVX-512: one by one each costs as much as the load of a vector (1.025 times the Boltzmann
// machine's step on Zen 5; slower for a row alone, and with fewer registers).
constexpr int64_t kZeroWord = 4;
LW_INLINE uint64_t wordOf(const uint16_t* at) {
  uint64_t word;
  static_assert(sizeof word == kZeroWord * sizeof *at, "a word of indices");
  memcpy(&word, at, sizeof word);
  return word;
}

// What one row adds up: its sums so far and what is left of its list.
template <int NP, bool ONES>
struct ZeroSums {
  VF acc[NP][kVectors];
  const float* value;
  const uint16_t *at, *last;

  LW_MEMBER ZeroSums(const ZeroLists& lists, int64_t i, Range steps) {
    const uint16_t* const ends = lists.ends + i * (kZeroSteps + 1);
    value = lists.values + i * kZeroStride + ends[steps.begin];
    at = lists.at + i * kZeroStride + ends[steps.begin];
    last = lists.at + i * kZeroStride + ends[steps.end];
    const float* const sums = lists.sums + i * kZeroPanels * kColumns;
#pragma GCC unroll 8
    for (int p = 0; p < NP; p++) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) acc[p][v] = steps.begin == 0 ? zero() : load(sums + p * kColumns + v * W);
    }
  }
  // The next term, which is that of row k.
  LW_MEMBER void add(const ZeroGroup& group, uint64_t k) {
    VF av;
    if constexpr (!ONES) av = set1(*value++);
    const float* const row = group.b + k * kColumns;
#pragma GCC unroll 8
    for (int p = 0; p < NP; p++) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) {
        const VF b = load(row + p * group.panel + v * W);
        if constexpr (ONES) acc[p][v] = acc[p][v] + b;
        else acc[p][v] = fma(av, b, acc[p][v]);
      }
    }
  }
  // What is left.
  LW_MEMBER void addAll(const ZeroGroup& group) {
    for (; at < last; at++) add(group, *at);
  }
  // To C, or kept in `lists.sums`.
  template <bool LAST>
  LW_MEMBER void put(const ZeroLists& lists, int64_t i, const ZeroGroup& group) const {
    float* const sums = lists.sums + i * kZeroPanels * kColumns;
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
};

// The terms of some steps for NP panels: kept in `lists.sums`, or, with LAST, put to C. Two rows at once where registers
// hold both: the sums of one alone are too few to hide how long an addition takes.
template <int NP, bool LAST, bool ONES>
void zeroTile(const ZeroLists& lists, Range rows, Range steps, const ZeroGroup& of) {
  const ZeroGroup group = of;  // a copy, which no store to C can change
  using Sums = ZeroSums<NP, ONES>;
  int64_t i = rows.begin;
  if constexpr (NP * kVectors <= 4) {
    for (; i + 2 <= rows.end; i += 2) {
      Sums a(lists, i, steps), b(lists, i + 1, steps);
      const int64_t both = minOf(a.last - a.at, b.last - b.at);
      if constexpr (W == 16) {
        for (int64_t n = both / kZeroWord; n > 0; n--) {
          const uint64_t x = wordOf(a.at), y = wordOf(b.at);
          a.at += kZeroWord, b.at += kZeroWord;
#pragma GCC unroll 4
          for (int t = 0; t < kZeroWord; t++) {
            a.add(group, (uint16_t)(x >> 16 * t));
            b.add(group, (uint16_t)(y >> 16 * t));
          }
        }
      } else {
        for (int64_t n = both; n > 0; n--) a.add(group, *a.at++), b.add(group, *b.at++);
      }
      a.addAll(group);
      b.addAll(group);
      a.template put<LAST>(lists, i, group);
      b.template put<LAST>(lists, i + 1, group);
    }
  }
  for (; i < rows.end; i++) {
    Sums a(lists, i, steps);
    a.addAll(group);
    a.template put<LAST>(lists, i, group);
  }
}
using ZeroTile = void (*)(const ZeroLists&, Range, Range, const ZeroGroup&);
// By whether all terms are ones, whether it is the last step, panels − 1.
static_assert(kZeroPanels <= 4, "a tile for each number of panels");
constexpr int panelsOfTile(int panels) { return panels < kZeroPanels ? panels : kZeroPanels; }  // none without use
#define LW_ZERO_TILES(LAST, ONES)                                                    \
  {zeroTile<panelsOfTile(1), LAST, ONES>, zeroTile<panelsOfTile(2), LAST, ONES>,      \
   zeroTile<panelsOfTile(3), LAST, ONES>, zeroTile<panelsOfTile(4), LAST, ONES>}
constexpr ZeroTile kZeroTiles[2][2][4] = {
    {LW_ZERO_TILES(false, false), LW_ZERO_TILES(true, false)},
    {LW_ZERO_TILES(false, true), LW_ZERO_TILES(true, true)},
};
#undef LW_ZERO_TILES

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

// Near-equal groups of panels.
struct ZeroGroups {
  int64_t panels, count;
  explicit ZeroGroups(int64_t cols) : panels(ceilDiv(cols, kColumns)), count(ceilDiv(panels, kZeroPanels)) {}
  int64_t first(int64_t group) const { return panels * group / count; }
};

// C (rows×width at group.c) = or += the listed rows times the packed panels of a group. `soon(row, rows)` is called a
// few rows before they are finished.
template <class Soon>
LW_INLINE void multiplyLists(const ZeroLists& lists, int64_t rows, int64_t width, const ZeroGroup& group, Soon soon) {
  const int64_t np = ceilDiv(width, kColumns);
  const bool whole = width == np * kColumns;  // panels of C; else the last lanes do not exist
  for (int64_t step = 0; step < lists.steps; step += lists.atOnce) {
    const bool last = step + lists.atOnce == lists.steps;
    const ZeroTile tile = kZeroTiles[lists.ones][whole && last][np - 1];
    // What is asked for comes while rows are multiplied, so not for all of them at once.
    const int64_t rowsAtOnce = last ? 8 : rows;
    for (int64_t i = 0; i < rows; i += rowsAtOnce) {
      const int64_t n = minOf(rowsAtOnce, rows - i);
      if (last) soon(i, n);
      tile(lists, {i, i + n}, {step, step + lists.atOnce}, group);
    }
  }
  for (int64_t i = 0; i < rows && !whole; i++) {
    const float* const sums = lists.sums + i * kZeroPanels * kColumns;
    float* const ci = group.c + i * group.ldc;
    int64_t x = 0;
    for (; x + W <= width; x += W) store(ci + x, (group.add ? load(ci + x) : zero()) + load(sums + x));
    if (x < width) {
      const VF sum = load(sums + x);
      storePartial(ci + x, (group.add ? loadPartial(ci + x, width - x) : zero()) + sum, width - x);
    }
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
