// How the filter of a convolution is read as a product's second operand.
#include "convolution.h"
#include "gemm_tile.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// Row j of a tap's matrix [groupChannels, filters]; taps are numbered as the view has them.
const float* tapRow(const Geometry& g, const View& v, const float* w, int64_t tap, int64_t j) {
  const int64_t kh = v.rows.tap(tap / v.columns.taps), kw = v.columns.tap(tap % v.columns.taps);
  return w + ((kh * g.kernelWidth + kw) * g.groupChannels() + j) * g.filters;
}

// The rows of a filter [taps, groupChannels, filters] for a view's terms [k0, k0 + kc), columns [j, j + width)
// of a group (`w` at the group's first): panels of kColumns, as packRows has them; backward one panel.
void packFilter(const Geometry& g, bool backward, const View& v, const float* w, int64_t k0, int64_t kc,
                int64_t j, int64_t width, float* to) {
  if (!backward) {
    packRows(w + k0 * g.filters + j, g.filters, kc, width, to);
    return;
  }
  for (int64_t k = k0; k < k0 + kc;) {
    const int64_t tap = k / v.depth, in = k % v.depth, n = minOf(v.depth - in, k0 + kc - k);
    const float* const from = tapRow(g, v, w, tap, j) + in;
    packColumns(from, g.filters, n, width, to + (k - k0) * kColumns);
    // The next terms of these rows, far apart, are mostly wanted next.
    if (in + n < v.depth) {
      for (int64_t r = 0; r < width; r++) __builtin_prefetch(from + r * g.filters + n);
    }
    k += n;
  }
}

// What packFilter() reads first for a panel of a view's block of terms from k0 on, of which the view may have none.
Ahead aheadOfFilter(const Geometry& g, bool backward, const View& v, const float* w, int64_t k0, int64_t j,
                    int64_t width) {
  if (k0 >= v.terms()) return {w, 0, 0, 0};
  const int64_t terms = minOf(v.blockTerms(), v.terms() - k0);
  if (!backward) return {w + k0 * g.filters + j, g.filters, terms, width};
  const int64_t in = k0 % v.depth;
  return {tapRow(g, v, w, k0 / v.depth, j) + in, g.filters, width, minOf(v.depth - in, terms)};
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
