// Patches that are read where they are: source rows copied once with their padding, so that every patch of
// them is whole, and the register tile over offsets into them.
#pragma once

#include "convolution.h"
#include "gemm_tile.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

constexpr int64_t kSourceFloats = 48 * 1024;  // of padded rows, if they can be so few: in L2

// Floats from one padded row to the next: an odd number of lines, so that rows lie on different L1 sets.
LW_INLINE int64_t sourcePitch(const View& v) { return (ceilDiv(sourceWidth(v) * v.depth, 16) | 1) * 16; }
// Copies the source rows that rows [row, row + rows) of patches meet, with zeros for padding; may write
// up to W − 1 floats more.
LW_INLINE void padRows(const View& v, const float* source, int64_t image, int64_t row, int64_t rows,
                       float* to) {
  const int64_t width = sourceWidth(v), first = v.rows.source(row), n = sourceRows(v, rows);
  const int64_t left = minOf(width, maxOf(0, -v.columns.offset));
  const int64_t begin = maxOf(0, v.columns.offset);
  const int64_t inside = maxOf(0, minOf(width - left, v.columns.size - begin));
  const int64_t pitch = sourcePitch(v);
  for (int64_t r = 0; r < n; r++, to += pitch) {
    const int64_t y = first + r;
    if (y < 0 || y >= v.rows.size) {
      zeroFloats(to, width * v.depth);
      continue;
    }
    zeroFloats(to, left * v.depth);
    float* at = to + left * v.depth;
    const float* from = source + ((image * v.rows.size + y) * v.columns.size + begin) * v.pitch;
    if (v.depth == v.pitch) {
      if (inside > 0) copyFloats(at, from, inside * v.depth);
    } else {
      for (int64_t x = 0; x < inside; x++) copyFloats(at + x * v.depth, from + x * v.pitch, v.depth);
    }
    zeroFloats(at + inside * v.depth, (width - left - inside) * v.depth);
  }
}

// The tile of gemm_tile.h over strips that are read in place: element (i, k) is at a[offsets[k] + row(i)].
// The same chain of fma.
template <int MR, int NV, bool TAIL, class Row, class Meanwhile>
LW_INLINE void multiplyStrip(int64_t kc, const int32_t* __restrict offsets, const float* __restrict a, Row row,
                             const float* __restrict b, int64_t ldb, float* __restrict c, int64_t ldc, bool add,
                             int64_t tail, Meanwhile meanwhile) {
  VF acc[MR][NV];
#pragma GCC unroll 28
  for (int i = 0; i < MR; i++) {
    __builtin_prefetch(c + i * ldc, 1);
#pragma GCC unroll 8
    for (int j = 0; j < NV; j++) acc[i][j] = zero();
  }
#pragma GCC unroll kUnrollK
  for (int64_t k = 0; k < kc; k++) {
    VF bv[NV];
#pragma GCC unroll 8
    for (int j = 0; j < NV; j++) bv[j] = load(b + j * W);
    const float* const ak = a + offsets[k];
#pragma GCC unroll 28
    for (int i = 0; i < MR; i++) {
      const VF av = set1(ak[row(i)]);
#pragma GCC unroll 8
      for (int j = 0; j < NV; j++) acc[i][j] = fma(av, bv[j], acc[i][j]);
    }
    b += ldb;
    meanwhile();
  }
  asm("" : "+r"(ldc));  // as in multiplyTile()
#pragma GCC unroll 28
  for (int i = 0; i < MR; i++) {
#pragma GCC unroll 8
    for (int j = 0; j < NV; j++) {
      float* p = c + i * ldc + j * W;
      if (TAIL && j == NV - 1) {
        storePartial(p, add ? loadPartial(p, tail) + acc[i][j] : acc[i][j], tail);
      } else {
        store(p, add ? load(p) + acc[i][j] : acc[i][j]);
      }
    }
  }
}
// Rows that lie lda apart.
template <int MR, int NV, bool TAIL>
void offsetTile(int64_t kc, const int32_t* offsets, const float* a, int64_t lda, const float* b, int64_t ldb, float* c,
                int64_t ldc, bool add, int64_t tail) {
  multiplyStrip<MR, NV, TAIL>(
      kc, offsets, a, [=](int64_t i) __attribute__((always_inline)) { return i * lda; }, b, ldb, c, ldc, add, tail,
      []() {});
}
using OffsetTile = void (*)(int64_t kc, const int32_t* offsets, const float* a, int64_t lda, const float* b,
                            int64_t ldb, float* c, int64_t ldc, bool add, int64_t tail);
// One vector of columns alone leaves room for twice the rows, and needs them to hide the latency of fma.
constexpr int64_t rowsOfTile(int64_t columns) { return columns <= W ? 2 * kRows : kRows; }
template <int MR, int NV, bool TAIL>
constexpr OffsetTile offsetTileOrNull() {
  if constexpr (MR <= rowsOfTile(NV * W)) return offsetTile<MR, NV, TAIL>;
  else return nullptr;
}
#define LW_OFFSET_TILES(MR)                                                 \
  {                                                                         \
    {offsetTileOrNull<MR, 1, false>(), offsetTileOrNull<MR, 1, true>()},    \
        {offsetTileOrNull<MR, 2, false>(), offsetTileOrNull<MR, 2, true>()} \
  }
// By rows − 1, vectors − 1, TAIL. Compiled once, in convolution_patches.cc.
constexpr int kTallest = 28;
static_assert(2 * kRows <= kTallest, "kOffsetTiles has a row for each");
extern const OffsetTile kOffsetTiles[kTallest][2][2];

// Tiles of two vectors that ask for a line at every step: where a filter is packed as it is used, for few pixels.
template <int MR, bool TAIL>
void streamOffsetTile(int64_t kc, const int32_t* offsets, const float* a, int64_t lda, const float* b, int64_t ldb,
                      float* c, int64_t ldc, bool add, int64_t tail, Stream& stream) {
  StreamSteps steps(stream);
  multiplyStrip<MR, kVectors, TAIL>(
      kc, offsets, a, [=](int64_t i) __attribute__((always_inline)) { return i * lda; }, b, ldb, c, ldc, add, tail,
      [&]() __attribute__((always_inline)) { steps.step(); });
  steps.end();
}
using StreamOffsetTile = void (*)(int64_t kc, const int32_t* offsets, const float* a, int64_t lda, const float* b,
                                  int64_t ldb, float* c, int64_t ldc, bool add, int64_t tail, Stream& stream);
template <int MR, bool TAIL>
constexpr StreamOffsetTile streamOffsetTileOrNull() {
  if constexpr (MR <= kRows && W == 16) return streamOffsetTile<MR, TAIL>;
  else return nullptr;
}
#define LW_STREAM_OFFSET_TILES(MR) {streamOffsetTileOrNull<MR, false>(), streamOffsetTileOrNull<MR, true>()}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
