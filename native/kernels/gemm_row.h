// One row of a matrix product against a B that is read as it is stored.
#pragma once

#include "gemm_tile.h"
#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// How many floats ahead a row that is walked once is fetched: the hardware's prefetcher stops at every page. With AVX-512
// nothing is: 1.15 to 1.3 times as fast on Zen 4 (one row by 4096×4096 and 784×512).
constexpr int64_t kAheadOfRow = W == 16 ? 0 : 96;
// So many columns of a single row at once: their sums stay in L1 while rows of B are read whole and in order.
constexpr int64_t kColumnsOfRow = 4096;

// One row of C: as many columns at once as L1 holds, so that rows of B are read whole and in order.
// Each element is the same chain of fma as in a tile. x[k·strideX] is the row of A.
[[maybe_unused]] static void multiplyRow(int64_t terms, const float* x, int64_t strideX, const float* b,
                                         int64_t ldb, float* c, int64_t cols) {
  constexpr int kStep = 8;
  float sums[kColumnsOfRow];
  const BlocksOfK blocks(maxOf(terms, 1));
  for (int64_t j0 = 0; j0 < cols; j0 += kColumnsOfRow) {
    const int64_t n = minOf(kColumnsOfRow, cols - j0), whole = n / W * W;
    for (int64_t kb = 0; kb < blocks.count; kb++) {
      const int64_t k0 = blocks.begin(kb), end = minOf(terms, blocks.begin(kb + 1));
      for (int64_t j = 0; j < n; j++) sums[j] = 0;
      for (int64_t k = k0; k < end; k += kStep) {
        const int64_t steps = minOf(kStep, end - k);
        const float* const row = b + k * ldb + j0;
        if (steps == kStep) {
          VF xv[kStep];
          for (int t = 0; t < kStep; t++) xv[t] = set1(x[(k + t) * strideX]);
          int64_t j = 0;
          for (; j + 16 <= whole; j += 16) {
            Lanes16 sum = loadLanes16(sums + j);
#pragma GCC unroll 8
            for (int t = 0; t < kStep; t++) {
              if constexpr (kAheadOfRow > 0) __builtin_prefetch(row + t * ldb + j + kAheadOfRow);
#pragma GCC unroll 4
              for (int v = 0; v < 16 / W; v++) {
                sum.v[v] = fma(xv[t], load(row + t * ldb + j + v * W), sum.v[v]);
              }
            }
#pragma GCC unroll 4
            for (int v = 0; v < 16 / W; v++) store(sums + j + v * W, sum.v[v]);
          }
          for (; j < whole; j += W) {
            VF sum = load(sums + j);
#pragma GCC unroll 8
            for (int t = 0; t < kStep; t++) sum = fma(xv[t], load(row + t * ldb + j), sum);
            store(sums + j, sum);
          }
        }
        for (int64_t t = 0; t < steps; t++) {
          const VF xv = set1(x[(k + t) * strideX]);
          for (int64_t j = steps == kStep ? whole : 0; j < whole; j += W) {
            store(sums + j, fma(xv, load(row + t * ldb + j), load(sums + j)));
          }
          if (whole < n) {
            const VF last = loadPartial(row + t * ldb + whole, n - whole);
            storePartial(sums + whole, fma(xv, last, loadPartial(sums + whole, n - whole)), n - whole);
          }
        }
      }
      // 0 + …: never −0, as in a tile.
      for (int64_t j = 0; j < n; j++) c[j0 + j] = (k0 > 0 ? c[j0 + j] : 0.0f) + sums[j];
    }
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
