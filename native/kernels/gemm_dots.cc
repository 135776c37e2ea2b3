// The register tile of dot products, and the loop around it.
#include "gemm_dots.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

// M rows times N columns; a lane has a chain of fma over every W-th term.
template <int M, int N>
void dotsTile(int64_t n, const float* __restrict a, const float* __restrict b, int64_t ldb, const float* __restrict next,
              float* const* c) {
  VF acc[M][N];
#pragma GCC unroll 8
  for (int i = 0; i < M; i++) {
#pragma GCC unroll 8
    for (int j = 0; j < N; j++) acc[i][j] = zero();
  }
  for (int64_t step = n / W; step > 0; step--) {
    VF av[M];
#pragma GCC unroll 8
    for (int i = 0; i < M; i++) av[i] = load(a + i * n);
#pragma GCC unroll 8
    for (int j = 0; j < N; j++) {
      const VF bv = load(b + j * ldb);
      __builtin_prefetch(next + j * ldb);
#pragma GCC unroll 8
      for (int i = 0; i < M; i++) acc[i][j] = fma(av[i], bv, acc[i][j]);
    }
    a += W, b += W, next += W;
    // A pointer a row would be more than there are registers.
    asm("" : "+r"(a), "+r"(b), "+r"(next));
  }
  if (n % W != 0) {
    const int64_t rest = n % W;
    VF av[M];
#pragma GCC unroll 8
    for (int i = 0; i < M; i++) av[i] = loadPartial(a + i * n, rest);
#pragma GCC unroll 8
    for (int j = 0; j < N; j++) {
      const VF bv = loadPartial(b + j * ldb, rest);
#pragma GCC unroll 8
      for (int i = 0; i < M; i++) acc[i][j] = fma(av[i], bv, acc[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < M; i++) {
    if constexpr (N % 4 == 0) {
#pragma GCC unroll 2
      for (int j = 0; j < N; j += 4) addSums4(c[i] + j, acc[i][j], acc[i][j + 1], acc[i][j + 2], acc[i][j + 3]);
    } else {
      float sums[4] = {};
      addSums4(sums, acc[i][0], zero(), zero(), zero());
      c[i][0] += sums[0];
    }
  }
}

using DotsTile = void (*)(int64_t n, const float* a, const float* b, int64_t ldb, const float* next, float* const* c);
template <int M, int N>
constexpr DotsTile dotsTileOrNull() {
  if constexpr (M <= kDotRows && (N <= kDotColumns || M == 1)) return dotsTile<M, N>;
  else return nullptr;
}
#define LW_DOTS_TILES(M) {dotsTileOrNull<M, 1>(), dotsTileOrNull<M, kDotColumns>(), dotsTileOrNull<M, 2 * kDotColumns>()}
// By rows − 1; of 1 column, of kDotColumns, and, of a single row, of twice as many, which keeps more loads in flight.
constexpr DotsTile kDotsTiles[6][3] = {LW_DOTS_TILES(1), LW_DOTS_TILES(2), LW_DOTS_TILES(3),
                                       LW_DOTS_TILES(4), LW_DOTS_TILES(5), LW_DOTS_TILES(6)};
static_assert(kDotRows <= 6, "kDotsTiles has tiles of so many rows");

}  // namespace

void addDots(int64_t n, const float* rows, int64_t count, const float* matrix, int64_t stride, int64_t columns,
             const float* next, float* const* c) {
  const int64_t width = count == 1 ? 2 * kDotColumns : kDotColumns, tiles = ceilDiv(count, kDotRows);
  for (int64_t j = 0, step; j < columns; j += step) {
    step = columns - j >= width ? width : columns - j >= kDotColumns ? kDotColumns : 1;
    const float* const own = matrix + j * stride;
    const float* const ahead = j + step < columns ? own + step * stride : next;
    for (int64_t t = 0; t < tiles; t++) {
      const int64_t i = count * t / tiles, m = count * (t + 1) / tiles - i;
      float* to[kDotRows];
      for (int64_t r = 0; r < m; r++) to[r] = c[i + r] + j;
      kDotsTiles[m - 1][step == 1 ? 0 : step == kDotColumns ? 1 : 2](n, rows + i * n, own, stride, ahead, to);
    }
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
