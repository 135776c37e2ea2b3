// The register tile of the matrix product and the packing of B: the inner pieces of gemm, apart from
// blocking and threads. Every element of C is one fma chain per block of k from zero, whatever the tile,
// so tile shapes and thread splits never change a bit.
//
// Letters: MR×NV·W is the tile (NV vectors of W lanes), kc the length of this block of k, lda/ldb/ldc
// the distance between rows of the stored matrices in elements.
#pragma once

#include "../simd/vec.h"
#include "ahead.h"
#include "blocks_of_k.h"
#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// Register budget: MR·NV accumulators + NV vectors of B + 1 broadcast of A.
#if defined(__AVX512F__)
constexpr int kRows = 14;  // 28 + 2 + 1 of 32
#elif defined(__aarch64__)
constexpr int kRows = 8;  // 16 + 2 + 1 of 32; g++ spills larger tiles
#else
constexpr int kRows = 6;  // 12 + 2 + 1 of 16
#endif
constexpr int kVectors = 2;
// Steps of k in one turn of the loop. With AVX2 a step is 24 instructions for 12 fma, of which 4 are the
// loop's own: 8 % on a core whose front end is shared. A packed A is one stream, and four steps are better still.
#if defined(__AVX2__) && !defined(__AVX512F__)
constexpr int kUnrollK = 2, kUnrollPacked = 4;
#else
constexpr int kUnrollK = 1, kUnrollPacked = 1;
#endif
constexpr int64_t kColumns = kVectors * W;
// Steps of k from asking for one row of C to asking for the next; 0 asks for all before the loop, as rows of 8 lanes are
// few lines.
constexpr int kStepsARow = W == 16 ? 8 : 0;

// Few rows: wider tiles, so that there are still enough chains to hide the latency of fma.
constexpr int maxVectors(int rows) {
#if defined(__AVX512F__) || defined(__aarch64__)
  return rows <= 3 ? 8 : rows == 4 ? 6 : kVectors;
#else
  return rows == 1 ? 8 : rows == 2 ? 4 : rows == 3 ? 3 : kVectors;
#endif
}

// C tile = (add ? C : 0) + A·B, and so never −0: terms that gemm_zeros.h leaves out don't show. TA: A is stored transposed (element (i, k) at a[k·lda + i]).
// TAIL: only `tail` lanes of the last vector exist.
using TileFunction = void (*)(int64_t kc, const float* a, int64_t lda, const float* b, int64_t ldb,
                              float* c, int64_t ldc, bool add, int64_t tail);

// Asks for a row of a tile of C.
template <int NV>
LW_INLINE void askRow(const float* row) {
  __builtin_prefetch(row, 1);
  __builtin_prefetch(row + NV * W - 1, 1);
}

template <int MR, int NV, bool TA, bool TAIL, class Meanwhile>
LW_INLINE void multiplyTile(int64_t kc, const float* __restrict a, int64_t lda, const float* __restrict b, int64_t ldb,
                            float* __restrict c, int64_t ldc, bool add, int64_t tail, Meanwhile meanwhile) {
  VF acc[MR][NV];
  // C is touched only after the loop: ask for its lines now (8 % on a 1024³ product, Zen 3). Many at once hold up what is
  // read first, so where the loop is long enough a row is asked for every few steps.
  constexpr bool kMany = MR >= 8 && kStepsARow > 0;
  const bool rowByRow = TA && kMany && kc > MR * kStepsARow;
  if (!rowByRow) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++) askRow<NV>(c + i * ldc);
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; i++) {
#pragma GCC unroll 8
    for (int j = 0; j < NV; j++) acc[i][j] = zero();
  }
  const auto step = [&]() __attribute__((always_inline)) {
    VF bv[NV];
#pragma GCC unroll 8
    for (int j = 0; j < NV; j++) {
      bv[j] = TAIL && j == NV - 1 ? loadPartial(b + j * W, tail) : load(b + j * W);
    }
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++) {
      const VF av = set1(TA ? a[i] : a[i * lda]);
#pragma GCC unroll 8
      for (int j = 0; j < NV; j++) acc[i][j] = fma(av, bv[j], acc[i][j]);
    }
    a += TA ? lda : 1;
    b += ldb;
    meanwhile();
  };
  if constexpr (TA) {
    int64_t k = 0;
    if (rowByRow) {
      for (const float* row = c; k < MR * kStepsARow; k += kStepsARow, row += ldc) {
        askRow<NV>(row);
#pragma GCC unroll 1
        for (int q = 0; q < kStepsARow; q++) step();  // unrolled, distances of rows take more registers than there are
      }
    }
#pragma GCC unroll kUnrollPacked
    for (; k < kc; k++) step();
  } else {
#pragma GCC unroll kUnrollK
    for (int64_t k = 0; k < kc; k++) step();
  }
  asm("" : "+r"(ldc));  // distances of rows are made anew here, or they would take the loop's registers
#pragma GCC unroll 16
  for (int i = 0; i < MR; i++) {
#pragma GCC unroll 8
    for (int j = 0; j < NV; j++) {
      float* p = c + i * ldc + j * W;
      if (TAIL && j == NV - 1) {
        storePartial(p, (add ? loadPartial(p, tail) : zero()) + acc[i][j], tail);
      } else {
        store(p, (add ? load(p) : zero()) + acc[i][j]);
      }
    }
  }
}

template <int MR, int NV, bool TA, bool TAIL>
void gemmTile(int64_t kc, const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc, bool add,
              int64_t tail) {
  multiplyTile<MR, NV, TA, TAIL>(kc, a, lda, b, ldb, c, ldc, add, tail, []() {});
}

template <int MR, int NV, bool TA, bool TAIL>
constexpr TileFunction tileOrNull() {
  if constexpr (MR <= kRows && NV <= maxVectors(MR)) return gemmTile<MR, NV, TA, TAIL>;
  else return nullptr;
}

#define LW_TILES(MR, TA, TAIL)                                                                 \
  {                                                                                            \
    tileOrNull<MR, 1, TA, TAIL>(), tileOrNull<MR, 2, TA, TAIL>(), tileOrNull<MR, 3, TA, TAIL>(), \
        tileOrNull<MR, 4, TA, TAIL>(), tileOrNull<MR, 5, TA, TAIL>(),                          \
        tileOrNull<MR, 6, TA, TAIL>(), tileOrNull<MR, 7, TA, TAIL>(), tileOrNull<MR, 8, TA, TAIL>() \
  }
#define LW_TILE_ROWS(TA, TAIL)                                                          \
  {                                                                                     \
    LW_TILES(1, TA, TAIL), LW_TILES(2, TA, TAIL), LW_TILES(3, TA, TAIL),                \
        LW_TILES(4, TA, TAIL), LW_TILES(5, TA, TAIL), LW_TILES(6, TA, TAIL),            \
        LW_TILES(7, TA, TAIL), LW_TILES(8, TA, TAIL), LW_TILES(9, TA, TAIL),            \
        LW_TILES(10, TA, TAIL), LW_TILES(11, TA, TAIL), LW_TILES(12, TA, TAIL),         \
        LW_TILES(13, TA, TAIL), LW_TILES(14, TA, TAIL)                                  \
  }
// By transposeA, TAIL, rows − 1, vectors − 1. Compiled once, in matmul.cc.
extern const TileFunction kTiles[2][2][14][8];

// Tiles of a transposed A that ask for a line at every step: where products read so much that they would wait for what
// is asked for between tiles.
using StreamTile = void (*)(int64_t kc, const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc,
                            bool add, int64_t tail, Stream& stream);
template <int MR, int NV, bool TAIL>
void streamTile(int64_t kc, const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc, bool add,
                int64_t tail, Stream& stream) {
  StreamSteps steps(stream);
  multiplyTile<MR, NV, true, TAIL>(kc, a, lda, b, ldb, c, ldc, add, tail,
                                   [&]() __attribute__((always_inline)) { steps.step(); });
  steps.end();
}
template <int MR, int NV, bool TAIL>
constexpr StreamTile streamTileOrNull() {
  if constexpr (MR <= kRows && W == 16) return streamTile<MR, NV, TAIL>;
  else return nullptr;
}
#define LW_STREAM_TILES(MR)                                            \
  {                                                                    \
    {streamTileOrNull<MR, 1, false>(), streamTileOrNull<MR, 1, true>()}, \
        {streamTileOrNull<MR, 2, false>(), streamTileOrNull<MR, 2, true>()} \
  }

// Rows of kc floats are kept so far apart: on different L1 sets.
constexpr int64_t packedStride(int64_t kc) { return kc + 16; }
// Floats of a packed strip of A.
constexpr int64_t stripFloats(int64_t kc) { return kRows * packedStride(kc); }

// Near-equal strips of at most kRows rows.
constexpr int64_t kMaxStrips = 80;
struct Strips {
  int64_t count;
  int16_t at[kMaxStrips + 1];
  explicit Strips(int64_t rows) : count((rows + kRows - 1) / kRows) {
    if (count == 0) return;
    // One division, which takes as long as twenty fma.
    const uint32_t least = (uint32_t)rows / (uint32_t)count, longer = (uint32_t)rows % (uint32_t)count;
    at[0] = 0;
    for (int64_t strip = 0; strip < count; strip++) at[strip + 1] = (int16_t)(at[strip] + least + (strip < longer));
  }
  int64_t rows(int64_t strip) const { return at[strip + 1] - at[strip]; }
};

// Packs rows of a transposed A (element (i, k) at a[k·lda + i]) as strips of kc rows of kRows floats, strips
// `size` floats apart: with a row stride of several KiB their lines would evict each other from L1. Row by
// row of the stored matrix, so that each line is read once.
LW_INLINE void packTransposed(const float* a, int64_t lda, int64_t kc, const Strips& strips, float* dst,
                              int64_t size) {
  for (int64_t k = 0; k < kc; k++, a += lda, dst += kRows) {
    for (int64_t strip = 0; strip < strips.count; strip++) {
      const float* const from = a + strips.at[strip];
      float* const to = dst + strip * size;
      const int64_t mr = strips.rows(strip);
      // Whole vectors: what is too much, the next row overwrites; after the last there is room.
#pragma GCC unroll 4
      for (int64_t i = 0; i < kRows; i += W) {
        const int64_t rest = mr - i;
        if (rest >= W) store(to + i, load(from + i));
        else if (rest > 0) store(to + i, loadPartial(from + i, rest));
      }
    }
  }
}

// The same for mr rows that are not transposed (element (i, k) at a[i·lda + k]): tiles then read one stream of A instead
// of kRows, with constant distances. Rows that a short strip lacks repeat its last.
LW_INLINE void packStrip(const float* a, int64_t lda, int64_t kc, int64_t mr, float* dst) {
  static_assert(kRows % 2 == 0, "rows in fours and a pair");
  const float* rows[kRows];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; i++) rows[i] = a + (i < mr ? i : mr - 1) * lda;
  int64_t k = 0;
#if defined(__AVX512F__)
  for (; k + W <= kc; k += W, dst += W * kRows) {
    transposeRows<kRows>([&](int i) __attribute__((always_inline)) { return rows[i < kRows ? i : kRows - 1] + k; }, dst,
                         kRows);
  }
#endif
  for (; k + 4 <= kc; k += 4, dst += 4 * kRows) {
#pragma GCC unroll 4
    for (int i = 0; i + 4 <= kRows; i += 4) {
      turn4(rows[i] + k, rows[i + 1] + k, rows[i + 2] + k, rows[i + 3] + k, dst + i, kRows);
    }
    if constexpr (kRows % 4 == 2) turn2(rows[kRows - 2] + k, rows[kRows - 1] + k, dst + kRows - 2, kRows);
  }
  for (; k < kc; k++, dst += kRows) {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; i++) dst[i] = rows[i][k];
  }
}

// A B that lasts (Call::lasts) stays packed if so few rows meet it; with more, packing it costs little.
constexpr int64_t kKeptRows = 1024;

// Panels of B that are packed side by side, and that a strip of rows meets before the next strip does: longer runs of each
// row of B and of C, fewer pages open at once.
constexpr int64_t kGroup = 4;
// Rows that are asked for ahead while a B of rows is packed: 1.05 times the Boltzmann machine's step on Zen 4, with AVX2
// no difference.
constexpr int64_t kPackAhead = W == 16 ? 16 : 0;

// Packs kc rows of P panels that lie side by side. With CHECK, `zeros` adds up 0·x of all: 0 where they are numbers. A
// sum for each vector of a row: one for all would make each row wait for the one before.
template <int P, bool CHECK>
LW_INLINE void packPanels(const float* src, int64_t ldb, int64_t kc, float* dst, VF* zeros) {
  for (int64_t k = 0; k < kc; k++, src += ldb, dst += kColumns) {
#pragma GCC unroll 4
    for (int64_t p = 0; p < P; p++) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) {
        const float* const from = src + p * kColumns + v * W;
        const VF x = load(from);
        if constexpr (kPackAhead > 0) __builtin_prefetch(from + kPackAhead * ldb);
        if constexpr (CHECK) zeros[p * kVectors + v] = fma(x, zero(), zeros[p * kVectors + v]);
        store(dst + p * kc * kColumns + v * W, x);
      }
    }
  }
}

#if defined(__AVX512F__)
constexpr int64_t kPackRows = 384, kPackRowsAliased = 128, kAliased = 1024;
#else
constexpr int64_t kPackRows = 48, kPackRowsAliased = 3 * kRows, kAliased = 256;
#endif
// Fewer rows than kPackRows do not pay for packing an untransposed B; where its rows are whole pages
// apart and evict each other, packing pays sooner.
LW_INLINE int64_t packRowsFrom(int64_t ldb) {
  return ldb % kAliased == 0 && kPackRowsAliased < kPackRows ? kPackRowsAliased : kPackRows;
}

// Packs kc×n of B (row k, column j at b[k·ldb + j]) into panels of kColumns: panel p holds rows of
// kColumns floats, zero-padded. With CHECK it says whether all are numbers: 0 times them adds up to 0 then.
// Not inlined, as turnColumns() is not (1.02 times the Boltzmann machine's step, Zen 5).
template <bool CHECK = false>
__attribute__((noinline)) inline bool packRows(const float* b, int64_t ldb, int64_t kc, int64_t n, float* dst) {
  VF zeros[kGroup * kVectors];
  for (VF& sum : zeros) sum = zero();
  int64_t j = 0;
  for (; j + kGroup * kColumns <= n; j += kGroup * kColumns, dst += kGroup * kc * kColumns) {
    packPanels<kGroup, CHECK>(b + j, ldb, kc, dst, zeros);
  }
  for (; j + 2 * kColumns <= n; j += 2 * kColumns, dst += 2 * kc * kColumns) {
    packPanels<2, CHECK>(b + j, ldb, kc, dst, zeros);
  }
  for (; j + kColumns <= n; j += kColumns, dst += kc * kColumns) {
    packPanels<1, CHECK>(b + j, ldb, kc, dst, zeros);
  }
  if (j < n) {
    const float* src = b + j;
    for (int64_t k = 0; k < kc; k++, src += ldb, dst += kColumns) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) {
        const int64_t rest = n - j - v * W;
        const VF x = rest >= W ? load(src + v * W) : rest > 0 ? loadPartial(src + v * W, rest) : zero();
        if constexpr (CHECK) zeros[v] = fma(x, zero(), zeros[v]);
        store(dst + v * W, x);
      }
    }
  }
  if constexpr (!CHECK) return true;
  for (int64_t i = 1; i < kGroup * kVectors; i++) zeros[0] = zeros[0] + zeros[i];
  return !anyLane((VI)(zeros[0] != zero()));
}

// Packs kc terms of W columns of a transposed B as one vector of each row of a panel. Not inlined: inside of a product's
// loops compilers spill what a square is turned in (95 cycles a square rather than 50, Zen 5).
__attribute__((noinline)) inline void turnColumns(const float* src, int64_t ldb, int64_t kc, float* dst) {
  int64_t k = 0;
  for (; k + W <= kc; k += W) transposeSquare(src + k, ldb, dst + k * kColumns, kColumns);
  for (; k + 4 <= kc; k += 4) transpose4(src + k, ldb, dst + k * kColumns, kColumns);
  for (; k < kc; k++) {
    for (int l = 0; l < W; l++) dst[k * kColumns + l] = src[l * ldb + k];
  }
}

// packRows() for a transposed B (row k, column j at b[j·ldb + k]).
LW_INLINE void packColumns(const float* b, int64_t ldb, int64_t kc, int64_t n, float* dst) {
  for (int64_t j = 0; j < n; j += kColumns, dst += kc * kColumns) {
    for (int v = 0; v < kVectors; v++) {
      const int64_t j0 = j + v * W;
      float* d = dst + v * W;
      if (j0 + W <= n) {
        turnColumns(b + j0 * ldb, ldb, kc, d);
      } else if (j0 >= n) {
        for (int64_t k = 0; k < kc; k++) store(d + k * kColumns, zero());
      } else {
        for (int l = 0; l < W; l++) {
          if (j0 + l < n) {
            const float* src = b + (j0 + l) * ldb;
            for (int64_t k = 0; k < kc; k++) d[k * kColumns + l] = src[k];
          } else {
            for (int64_t k = 0; k < kc; k++) d[k * kColumns + l] = 0.0f;
          }
        }
      }
    }
  }
}

// C (rows×cols at c) = or += A·B by tiles, of a B that is packed in panels of kColumns (stepB floats apart) or of `panel`
// of its columns at a time (stepB = panel).
LW_INLINE void multiplyByTiles(bool turnedA, int64_t kc, const float* a, int64_t lda, const float* b, int64_t ldb,
                               int64_t stepB, int64_t panel, float* c, int64_t ldc, bool add, int64_t rows,
                               int64_t cols) {
  const Strips strips(rows);
  for (int64_t j = 0; j < cols; j += panel, b += stepB) {
    const int64_t width = minOf(panel, cols - j), vectors = ceilDiv(width, W), tail = width - (vectors - 1) * W;
    const auto& tiles = kTiles[turnedA][tail != W];
    for (int64_t strip = 0; strip < strips.count; strip++) {
      const int64_t i = strips.at[strip];
      tiles[strips.rows(strip) - 1][vectors - 1](kc, turnedA ? a + i : a + i * lda, lda, b, ldb, c + i * ldc + j, ldc,
                                                 add, tail);
    }
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
