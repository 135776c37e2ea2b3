// Results of few columns: vectors of pixels times single weights, where vectors of columns would be mostly
// empty. Source rows are copied as planes, one per channel, with their padding; strips of pixels read them
// in place. Each element is the chain of fma that gemm_tile.h computes.
#pragma once

#include "convolution.h"
#include "gemm_tile.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// Columns of a tile, and the vectors of pixels that the accumulators of gemm's tile leave for so many.
constexpr int kPlaneColumns = 6, kPlaneVectors = 8;
constexpr int planeVectors(int64_t columns) {
  const int most = kRows * kVectors / (int)columns;
  return most < kPlaneVectors ? most : kPlaneVectors;
}

// Floats of one plane of a row: whole vectors of pixels may be read from any tap.
LW_INLINE int64_t planePitch(const View& v) {
  const int64_t pixels = ceilDiv(v.columns.count, W) * W + (v.columns.taps - 1) * v.columns.spacing;
  return ceilDiv(pixels, 16) * 16;
}

// Copies the source rows that rows [row, row + rows) of patches meet, channel by channel, with zeros for
// padding. For a stride of 1 along the row.
LW_INLINE void padPlanes(const View& v, const float* source, int64_t image, int64_t row, int64_t rows,
                         float* to) {
  const int64_t pitch = planePitch(v), first = v.rows.source(row), n = sourceRows(v, rows);
  const int64_t left = minOf(pitch, maxOf(0, -v.columns.offset)), begin = maxOf(0, v.columns.offset);
  const int64_t inside = maxOf(0, minOf(pitch - left, v.columns.size - begin));
  for (int64_t r = 0; r < n; r++, to += v.depth * pitch) {
    const int64_t y = first + r;
    for (int64_t i = 0; i < v.depth * pitch; i += W) store(to + i, zero());
    if (y < 0 || y >= v.rows.size) continue;
    const float* const from = source + ((image * v.rows.size + y) * v.columns.size + begin) * v.pitch;
    if (v.depth == v.pitch && v.depth == 1) {
      for (int64_t x = 0; x < inside; x++) to[left + x] = from[x];
      continue;
    }
    // The last vector of pixels may overlap the one before.
    for (int64_t next = 0; next < inside; next += W) {
      const int64_t x = maxOf(0, minOf(next, inside - W)), end = minOf(x + W, inside);
      int64_t c = 0;
      for (; end - x == W && c + 4 <= v.depth; c += 4) {
        transpose4(from + x * v.pitch + c, v.pitch, to + c * pitch + left + x, pitch);
      }
      for (; c < v.depth; c++) {
        for (int64_t i = x; i < end; i++) to[c * pitch + left + i] = from[i * v.pitch + c];
      }
    }
  }
}

// MR columns of `pixels` pixels, NV vectors or less of them: column i's weights are at w[k·kColumns + i], the
// pixels' terms at x[offsets[k]].
template <int MR, int NV>
void planeTile(int64_t kc, const int32_t* __restrict offsets, const float* __restrict x,
               const float* __restrict w, float* __restrict c, int64_t ldc, bool add, int64_t pixels) {
  VF acc[MR][NV];
#pragma GCC unroll 8
  for (int i = 0; i < MR; i++) {
#pragma GCC unroll 8
    for (int j = 0; j < NV; j++) acc[i][j] = zero();
  }
#pragma GCC unroll kUnrollK
  for (int64_t k = 0; k < kc; k++, w += kColumns) {
    const float* const xk = x + offsets[k];
    if constexpr (NV <= MR) {
      VF xv[NV];
#pragma GCC unroll 8
      for (int j = 0; j < NV; j++) xv[j] = load(xk + j * W);
#pragma GCC unroll 8
      for (int i = 0; i < MR; i++) {
        const VF wv = set1(w[i]);
#pragma GCC unroll 8
        for (int j = 0; j < NV; j++) acc[i][j] = fma(wv, xv[j], acc[i][j]);
      }
    } else {
      VF wv[MR];
#pragma GCC unroll 8
      for (int i = 0; i < MR; i++) wv[i] = set1(w[i]);
#pragma GCC unroll 8
      for (int j = 0; j < NV; j++) {
        const VF xv = load(xk + j * W);
#pragma GCC unroll 8
        for (int i = 0; i < MR; i++) acc[i][j] = fma(wv[i], xv, acc[i][j]);
      }
    }
  }
  // Turned round, so that a pixel's columns lie side by side.
  constexpr int kHigh = (MR + W - 1) / W;
  float columns[kHigh * W][NV * W], turned[kHigh][4 * W];
#pragma GCC unroll 8
  for (int i = 0; i < MR; i++) {
#pragma GCC unroll 8
    for (int j = 0; j < NV; j++) store(&columns[i][j * W], acc[i][j]);
  }
  for (int64_t p = 0; p < pixels; p += 4) {
    for (int h = 0; h < kHigh; h++) transpose4(&columns[h * W][p], NV * W, turned[h], W);
    for (int64_t q = 0; q < minOf(4, pixels - p); q++) {
#pragma GCC unroll 2
      for (int h = 0; h < kHigh; h++) {
        float* const to = c + (p + q) * ldc + h * W;
        const int64_t n = minOf(W, MR - h * W);
        const VF sum = load(turned[h] + q * W);
        if (n == W) store(to, add ? load(to) + sum : sum);
        else storePartial(to, add ? loadPartial(to, n) + sum : sum, n);
      }
    }
  }
}
using PlaneTile = void (*)(int64_t kc, const int32_t* offsets, const float* x, const float* w, float* c,
                           int64_t ldc, bool add, int64_t pixels);
template <int MR, int NV>
constexpr PlaneTile planeTileOrNull() {
  if constexpr (NV <= planeVectors(MR)) return planeTile<MR, NV>;
  else return nullptr;
}
#define LW_PLANE_TILES(MR)                                                                       \
  {                                                                                              \
    planeTileOrNull<MR, 1>(), planeTileOrNull<MR, 2>(), planeTileOrNull<MR, 3>(),                \
        planeTileOrNull<MR, 4>(), planeTileOrNull<MR, 5>(), planeTileOrNull<MR, 6>(),            \
        planeTileOrNull<MR, 7>(), planeTileOrNull<MR, 8>()                                       \
  }

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
