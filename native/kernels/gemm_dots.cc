// The register tile of dot products, and the loop around it.
#include "gemm_dots.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

LW_INLINE VF loadUpTo(const float* p, int64_t n) { return n < W ? loadPartial(p, n) : load(p); }

// M rows times N columns; a lane has a chain of fma over every W-th term. The only row of a product has two chains, over
// every other one of those: four streams of loads are the fastest from memory (Zen 5: 1.4 times eight), and the hardware
// follows them.
template <int M, int N, bool ONLY>
void dotsTile(int64_t n, const float* __restrict a, const float* __restrict b, int64_t ldb, const float* __restrict next,
              float* const* c) {
  constexpr int kChains = ONLY ? 2 : 1;
  VF acc[kChains][M][N];
#pragma GCC unroll 2
  for (int u = 0; u < kChains; u++) {
#pragma GCC unroll 8
    for (int i = 0; i < M; i++) {
#pragma GCC unroll 8
      for (int j = 0; j < N; j++) acc[u][i][j] = zero();
    }
  }
  for (int64_t step = n / (kChains * W); step > 0; step--) {
#pragma GCC unroll 2
    for (int u = 0; u < kChains; u++) {
      VF av[M];
#pragma GCC unroll 8
      for (int i = 0; i < M; i++) av[i] = load(a + i * n + u * W);
#pragma GCC unroll 8
      for (int j = 0; j < N; j++) {
        const VF bv = load(b + j * ldb + u * W);
        if constexpr (!ONLY) __builtin_prefetch(next + j * ldb);
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) acc[u][i][j] = fma(av[i], bv, acc[u][i][j]);
      }
    }
    a += kChains * W, b += kChains * W, next += kChains * W;
    // A pointer a row would be more than there are registers.
    asm("" : "+r"(a), "+r"(b), "+r"(next));
  }
  for (int64_t rest = n % (kChains * W), lanes; rest > 0; rest -= lanes) {
    lanes = minOf(W, rest);
    VF av[M];
#pragma GCC unroll 8
    for (int i = 0; i < M; i++) av[i] = loadUpTo(a + i * n, lanes);
#pragma GCC unroll 8
    for (int j = 0; j < N; j++) {
      const VF bv = loadUpTo(b + j * ldb, lanes);
#pragma GCC unroll 8
      for (int i = 0; i < M; i++) acc[0][i][j] = fma(av[i], bv, acc[0][i][j]);
    }
    a += lanes, b += lanes;
  }
#pragma GCC unroll 8
  for (int i = 0; i < M; i++) {
    if constexpr (kChains == 2) {
#pragma GCC unroll 8
      for (int j = 0; j < N; j++) acc[0][i][j] = acc[0][i][j] + acc[1][i][j];
    }
    if constexpr (N == kDotColumns) {
      addSums4(c[i], acc[0][i][0], acc[0][i][1], acc[0][i][2], acc[0][i][3]);
    } else {
      float sums[4] = {};
      addSums4(sums, acc[0][i][0], zero(), zero(), zero());
      c[i][0] += sums[0];
    }
  }
}

using DotsTile = void (*)(int64_t n, const float* a, const float* b, int64_t ldb, const float* next, float* const* c);
template <int M, int N>
constexpr DotsTile dotsTileOrNull() {
  if constexpr (M == 0) return dotsTile<1, N, true>;
  else if constexpr (M <= kDotRows) return dotsTile<M, N, false>;
  else return nullptr;
}
#define LW_DOTS_TILES(M) {dotsTileOrNull<M, 1>(), dotsTileOrNull<M, kDotColumns>()}
// By rows, 0 for the only one; of 1 column and of kDotColumns.
constexpr DotsTile kDotsTiles[7][2] = {LW_DOTS_TILES(0), LW_DOTS_TILES(1), LW_DOTS_TILES(2), LW_DOTS_TILES(3),
                                       LW_DOTS_TILES(4), LW_DOTS_TILES(5), LW_DOTS_TILES(6)};
static_assert(kDotRows <= 6, "kDotsTiles has tiles of so many rows");

}  // namespace

void addDots(bool only, int64_t n, const float* rows, int64_t count, const float* matrix, int64_t stride, int64_t columns,
             const float* next, float* const* c) {
  const int64_t tiles = ceilDiv(count, kDotRows);
  for (int64_t j = 0, step; j < columns; j += step) {
    step = columns - j >= kDotColumns ? kDotColumns : 1;
    const float* const own = matrix + j * stride;
    const float* const ahead = j + step < columns ? own + step * stride : next;
    for (int64_t t = 0; t < tiles; t++) {
      const int64_t i = count * t / tiles, m = count * (t + 1) / tiles - i;
      float* to[kDotRows];
      for (int64_t r = 0; r < m; r++) to[r] = c[i + r] + j;
      kDotsTiles[only ? 0 : m][step > 1](n, rows + i * n, own, stride, ahead, to);
    }
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
