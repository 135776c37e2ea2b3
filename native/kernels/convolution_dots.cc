// conv2dInputGradient of few pixels. Of every tap the filter is a matrix [groupChannels, filters] whose rows are as long as
// the pixels of dy: it is read once, where it is, and multiplied by those pixels that the tap meets.
#include "convolution.h"
#include "gemm_dots.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// Sooner than for a product alone, as not every pixel meets every tap (Zen 5: 49 pixels of 512 filters 1.05 times as fast as by
// tiles, with AVX2 1.2 times).
bool dotsPay(const View& v) {
  return v.patches() <= kMostDotRows && v.depth >= maxOf(kDotTerms, 2 * v.patches());
}
int64_t dotFloats(const View& v) { return dotFloats(v.patches(), v.depth) + W; }

void multiplyByDots(const Geometry& g, const View& v, const float* dy, const float* w, Range cols, float* pixels,
                    float* c, int64_t ldc) {
  const int64_t patches = v.patches(), width = cols.end - cols.begin;
  for (int64_t i = 0; i < patches; i++) {
    for (int64_t j = cols.begin; j < cols.end; j++) c[i * ldc + j] = 0.0f;
  }
  if (v.rows.size == 0 || v.columns.size == 0) return;
  const int64_t taps = v.rows.taps * v.columns.taps, blocks = ceilDiv(v.depth, dotBlock(patches));
  for (int64_t tap = 0; tap < taps; tap++) {
    const int64_t row = tap / v.columns.taps, column = tap % v.columns.taps;
    const int64_t offset = (row * v.rows.spacing * v.columns.size + column * v.columns.spacing) * v.pitch;
    for (int64_t block = 0; block < blocks; block++) {
      const Range k = split(v.depth, 16, block, blocks);
      const int64_t n = k.end - k.begin;
      float* to[kMostDotRows];
      int64_t count = 0;
      Position position(v, 0);
      for (int64_t i = 0; i < patches; i++, position.next(v)) {
        const Patch patch(v, dy, position);
        if (!v.rows.inside(patch.row, row) || !v.columns.inside(patch.column, column)) continue;
        copyFloats(pixels + count * n, patch.first + offset + k.begin, n);
        to[count++] = c + i * ldc + cols.begin;
      }
      if (count == 0) continue;
      const float* const matrix = tapRow(g, v, w, tap, cols.begin) + k.begin;
      const float* const next = block + 1 < blocks ? matrix + n
                                : tap + 1 < taps   ? tapRow(g, v, w, tap + 1, cols.begin)
                                                   : matrix;
      addDots(patches == 1, n, pixels, count, matrix, g.filters, width, next, to);
    }
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
