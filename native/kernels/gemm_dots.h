// Dot products: few rows times a matrix that is transposed, both contiguous in k. The matrix is read once, where it is:
// packing, which turns it, would take longer than to multiply it by so few rows.
#pragma once

#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// Rows of a tile: their sums with kDotColumns columns stay in registers.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kDotRows = 6;
#elif defined(__AVX2__)
constexpr int kDotRows = 3;
#else
constexpr int kDotRows = 2;
#endif
constexpr int kDotColumns = 4;
// More rows than kDotRowsOfProduct are faster by tiles, and so are few terms, as every sum's lanes are added up at the end.
constexpr int64_t kDotRowsOfProduct = 32, kDotTerms = 64;
constexpr int64_t kMostDotRows = 64;  // of convolutions
LW_INLINE bool dotsPay(int64_t rows, int64_t terms) {
  return rows <= kDotRowsOfProduct && terms >= maxOf(rows > 1 ? 2 * kDotTerms : kDotTerms, 16 * rows);
}
// Terms of a block, so that up to 16 rows stay in L1; a lane's chain of fma is 256 long at most.
LW_INLINE int64_t dotBlock(int64_t rows) { return minOf(256 * W, maxOf(512, 8192 / maxOf(1, rows) / 16 * 16)); }
// Floats that the rows of a block take.
LW_INLINE int64_t dotFloats(int64_t rows, int64_t terms) { return rows * minOf(terms, dotBlock(rows)); }

// c[i][j] += Σ rows[i·n + k]·matrix[j·stride + k] over n terms, for i < count, j < columns. Meanwhile what lies at `next`
// as the matrix does is asked for. `only` says that the whole product has one row: its chains of fma are others, and nothing
// is asked for.
void addDots(bool only, int64_t n, const float* rows, int64_t count, const float* matrix, int64_t stride, int64_t columns,
             const float* next, float* const* c);

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
