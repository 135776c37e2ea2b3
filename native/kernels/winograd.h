// Minimal filtering (Winograd 1980; Lavin & Gray 2016) of 3×3 filters at stride 1: the transforms, and the
// problem that the three directions share. F(M, 3) makes M×M results of a tile of (M+2)×(M+2) source pixels
// by (M+2)² products instead of 9·M². F(4, 3) has the points 0, 1, −1, 1/2, −2, ∞: half the error of the usual
// 0, ±1, ±2, ∞. F(2, 3) has 0, 1, −1, ∞.
//
//   y  = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A      d source, g filter, y result
//   dg = Gᵀ[Σ over tiles (A dy Aᵀ) ⊙ (Bᵀ d B)]G
#pragma once

#include "convolution.h"
#include "gemm_tile.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

template <int M>
constexpr int kSide = M + 2;

LW_INLINE VF times(float a, VF x) { return set1(a) * x; }
LW_INLINE VF plus(VF x, float a, VF y) { return fma(set1(a), y, x); }

// Bᵀd: row i holds the coefficients of the product of (x − point) over all points but the i-th.
template <int M>
LW_INLINE void transformSource(const VF* d, VF* t) {
  if constexpr (M == 4) {
    const VF u = d[4] - d[2], v = d[3] - d[1];
    t[0] = plus(plus(d[0] + d[4], -2.0f, d[2]), 1.5f, v);
    t[1] = plus(plus(d[4] - d[1], 0.5f, d[2]), 2.5f, d[3]);
    t[2] = plus(plus(d[4] + d[1], -2.5f, d[2]), 0.5f, d[3]);
    t[3] = plus(u, 2.0f, v);
    t[4] = plus(u, -0.5f, v);
    t[5] = plus(plus(d[1] + d[5], -2.0f, d[3]), 1.5f, u);
  } else {
    t[0] = d[0] - d[2];
    t[1] = d[1] + d[2];
    t[2] = d[2] - d[1];
    t[3] = d[3] - d[1];
  }
}

// Gg: the filter at each point, over the product of the point's distances to the others.
template <int M>
LW_INLINE void transformFilter(const VF* g, VF* t) {
  if constexpr (M == 4) {
    const VF s = g[0] + g[2];
    t[0] = g[0];
    t[1] = times(1.0f / 3, s + g[1]);
    t[2] = times(-1.0f / 3, s - g[1]);
    t[3] = times(-16.0f / 15, plus(plus(g[0], 0.5f, g[1]), 0.25f, g[2]));
    t[4] = times(1.0f / 15, plus(plus(g[0], -2.0f, g[1]), 4.0f, g[2]));
    t[5] = g[2];
  } else {
    const VF s = g[0] + g[2];
    t[0] = g[0];
    t[1] = times(0.5f, s + g[1]);
    t[2] = times(0.5f, s - g[1]);
    t[3] = g[2];
  }
}

// Aᵀm: powers of the points.
template <int M>
LW_INLINE void transformResult(const VF* m, VF* y) {
  const VF s = m[1] + m[2], d = m[1] - m[2];
  if constexpr (M == 4) {
    y[0] = (m[0] + s) + (m[3] + m[4]);
    y[1] = plus(plus(d, 0.5f, m[3]), -2.0f, m[4]);
    y[2] = plus(plus(s, 0.25f, m[3]), 4.0f, m[4]);
    y[3] = plus(plus(d + m[5], 0.125f, m[3]), -8.0f, m[4]);
  } else {
    y[0] = m[0] + s;
    y[1] = d + m[3];
  }
}

// A dy, the transpose of the above: dy as a polynomial at each point.
template <int M>
LW_INLINE void transformResultGradient(const VF* y, VF* t) {
  if constexpr (M == 4) {
    const VF even = y[0] + y[2], odd = y[1] + y[3];
    t[0] = y[0];
    t[1] = even + odd;
    t[2] = even - odd;
    t[3] = plus(y[0], 0.5f, plus(y[1], 0.5f, plus(y[2], 0.5f, y[3])));
    t[4] = plus(y[0], -2.0f, plus(y[1], -2.0f, plus(y[2], -2.0f, y[3])));
    t[5] = y[3];
  } else {
    t[0] = y[0];
    t[1] = y[0] + y[1];
    t[2] = y[0] - y[1];
    t[3] = y[1];
  }
}

// Gᵀt, the transpose of the filter's transform.
template <int M>
LW_INLINE void transformFilterGradient(const VF* t, VF* g) {
  const VF s = t[1] + t[2], d = t[1] - t[2];
  if constexpr (M == 4) {
    const VF near = times(16.0f / 15, t[3]), far = times(1.0f / 15, t[4]);
    const VF third = times(1.0f / 3, d);
    g[0] = (t[0] + third) + (far - near);
    g[1] = plus(plus(times(1.0f / 3, s), -0.5f, near), -2.0f, far);
    g[2] = plus(plus(t[5] + third, -0.25f, near), 4.0f, far);
  } else {
    const VF half = times(0.5f, s);
    g[0] = t[0] + half;
    g[1] = times(0.5f, d);
    g[2] = t[3] + half;
  }
}

// At least n floats in an odd number of lines, so that what is written side by side lies on different L1
// sets.
LW_INLINE int64_t oddLines(int64_t n) { return (ceilDiv(n, 16) | 1) * 16; }

// Transformed filters of more floats come from beyond L2.
constexpr int64_t kNearFilters = 256 * 1024;

struct WinogradProblem {
  Geometry g;
  bool backward;
  View v;
  int64_t depth, columns;  // of source pixels and of result pixels
  int64_t height, width;   // of the result

  explicit WinogradProblem(const Call& call) : g(call), backward(call.kernel == k_conv2dInputGradient) {
    v = backward ? backwardView(g, 0) : forwardView(g);
    depth = backward ? g.filters : g.channels;
    columns = backward ? g.channels : g.filters;
    height = backward ? g.height : g.outHeight;
    width = backward ? g.width : g.outWidth;
  }
  bool fits() const {
    return g.winograd && g.kernelHeight == 3 && g.kernelWidth == 3 && g.groups == 1 &&
           g.strideHeight * g.strideWidth * g.dilationHeight * g.dilationWidth == 1;
  }
  int64_t tiles(int64_t m) const { return g.batch * ceilDiv(height, m) * ceilDiv(width, m); }
  // Floats of one product's transformed filter.
  int64_t filterSize() const { return oddLines(depth * ceilDiv(columns, kColumns) * kColumns); }

  // Side of the result's tiles, 0 for none: the same for all instruction sets, as bits depend on it. In cycles per
  // channel and column, as measured with AVX2: a product takes 1/16, transforms a share that shrinks with the channels
  // they serve.
  int64_t side() const {
    constexpr int64_t kFewestChannels = 16;
    if (!fits() || minOf(depth, columns) < kFewestChannels) return 0;
    const double shared = 16.0 / (double)minOf(depth, columns);
    const auto filter = [&](int64_t products) {
      return (double)products * (products * depth * columns > kNearFilters ? 32 : 10);
    };
    const double direct = (double)(g.batch * height * width) * 9;
    const double four = (double)tiles(4) * 36 * (1.15 + 2.5 * shared) + filter(36);
    const double two = (double)tiles(2) * 16 * (1.15 + 2.5 * shared) + filter(16);
    if (four < direct && four <= two) return 4;
    return two < direct ? 2 : 0;
  }
};

// Where a tile of M×M results is: its first pixel, and how many tiles of its row are left with it.
struct Place {
  int64_t image, row, column, left;
};
template <int M>
LW_INLINE Place placeOf(const WinogradProblem& p, int64_t tile) {
  const int64_t down = ceilDiv(p.height, M), across = ceilDiv(p.width, M), at = tile % across;
  return {tile / (down * across), tile / across % down * M, at * M, across - at};
}

// What of a tile lies inside of the source.
struct Inside {
  Range rows, columns;
  bool all;
};

alignas(64) inline constexpr float kZeros[W] = {};

template <int M, bool ALL, bool TAIL>
LW_INLINE void transformChannels(const float* x, int64_t rowPitch, int64_t pitch, const Inside& inside,
                                 float* to, int64_t product, int64_t tail) {
  constexpr int S = kSide<M>;
  VF columns[S][S];
#pragma GCC unroll 1
  for (int l = 0; l < S; l++) {
    VF d[S];
    const bool column = ALL || ((l >= inside.columns.begin) & (l < inside.columns.end));
#pragma GCC unroll 6
    for (int k = 0; k < S; k++) {
      // Pixels outside are read from zeros: a branch for each would be mispredicted.
      const bool there = ALL || (column & (k >= inside.rows.begin) & (k < inside.rows.end));
      const float* const at = there ? x + k * rowPitch + l * pitch : kZeros;
      d[k] = TAIL ? loadPartial(at, tail) : load(at);
    }
    VF t[S];
    transformSource<M>(d, t);
#pragma GCC unroll 6
    for (int k = 0; k < S; k++) columns[k][l] = t[k];
  }
#pragma GCC unroll 1
  for (int k = 0; k < S; k++) {
    VF t[S];
    transformSource<M>(columns[k], t);
#pragma GCC unroll 6
    for (int l = 0; l < S; l++) store(to + (k * S + l) * product, t[l]);
  }
}

// A tile's transform: to[product][channel].
template <int M>
LW_INLINE void transformTile(const WinogradProblem& p, const float* x, const Place& at, float* to, int64_t product) {
  constexpr int S = kSide<M>;
  const int64_t y = p.v.rows.source(at.row), z = p.v.columns.source(at.column);
  const int64_t height = p.v.rows.size, width = p.v.columns.size, pitch = p.depth;
  Inside inside = {{maxOf(0, -y), minOf(S, height - y)}, {maxOf(0, -z), minOf(S, width - z)}, false};
  inside.all = y >= 0 && z >= 0 && y + S <= height && z + S <= width;
  const float* const from = x + ((at.image * height + y) * width + z) * pitch;
  int64_t c = 0;
  if (inside.all) {
    for (; c + W <= pitch; c += W) {
      transformChannels<M, true, false>(from + c, width * pitch, pitch, inside, to + c, product, 0);
    }
  } else {
    for (; c + W <= pitch; c += W) {
      transformChannels<M, false, false>(from + c, width * pitch, pitch, inside, to + c, product, 0);
    }
  }
  if (c < pitch) {
    transformChannels<M, false, true>(from + c, width * pitch, pitch, inside, to + c, product, pitch - c);
  }
}

// Asks for the pixels of a tile, of the result or of a source of height × width pixels of `channels` floats (less their
// seam, which tiles beside it ask for).
template <int M, bool WRITE>
LW_INLINE void askForTile(const float* x, const WinogradProblem& p, int64_t height, int64_t width, int64_t channels,
                          int64_t tile) {
  const Place at = placeOf<M>(p, tile);
  const float* from = x + ((at.image * height + at.row) * width + at.column) * channels;
  const int64_t rows = minOf(M, height - at.row), floats = minOf(M, width - at.column) * channels;
  for (int64_t r = 0; r < rows; r++, from += width * channels) {
    for (int64_t i = 0; i < floats; i += 16) __builtin_prefetch(from + i, WRITE, 2);
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
