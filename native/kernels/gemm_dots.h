// Vector products: rows that are contiguous in k, times one vector.
#pragma once

#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// y[r·step] = Σ rows[r·stride + i]·x[i] for R rows: 16 lanes of fma over chunks of 256 terms, chunks added
// in double. Several rows at once keep more loads in flight; each sum is the same.
template <int R>
LW_INLINE void dots(const float* rows, int64_t stride, const float* x, int64_t n, float* y,
                    int64_t step) {
  double total[R] = {};
  for (int64_t at = 0; at < n; at += 256) {
    const int64_t end = minOf(n, at + 256);
    Lanes16 acc[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) acc[r] = lanes16(0.0f);
    int64_t i = at;
    for (; i + 16 <= end; i += 16) {
      const Lanes16 b = loadLanes16(x + i);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
        for (int j = 0; j < 16 / W; j++) {
          acc[r].v[j] = fma(load(rows + r * stride + i + j * W), b.v[j], acc[r].v[j]);
        }
      }
    }
    if (i < end) {
      const Lanes16 b = loadLanes16(x + i, end - i, 0.0f);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        const Lanes16 a = loadLanes16(rows + r * stride + i, end - i, 0.0f);
#pragma GCC unroll 4
        for (int j = 0; j < 16 / W; j++) acc[r].v[j] = fma(a.v[j], b.v[j], acc[r].v[j]);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) total[r] += sumLanes(acc[r]);
  }
  for (int r = 0; r < R; r++) y[r * step] = (float)total[r];
}

// Rows at once: 1.33 times as fast as four of them on Zen 4 where a row of chains is one register.
constexpr int kDotRows = W == 16 ? 8 : 4;

// y[r·step] for `count` rows of n floats that follow each other.
LW_INLINE void dotsOfRows(const float* rows, int64_t n, const float* x, int64_t count, float* y, int64_t step) {
  int64_t r = 0;
  for (; r + kDotRows <= count; r += kDotRows) dots<kDotRows>(rows + r * n, n, x, n, y + r * step, step);
  if constexpr (kDotRows > 4) {
    for (; r + 4 <= count; r += 4) dots<4>(rows + r * n, n, x, n, y + r * step, step);
  }
  for (; r < count; r++) dots<1>(rows + r * n, n, x, n, y + r * step, step);
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
