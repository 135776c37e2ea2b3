// The 3×3 sums of a filter's gradient channel by channel, of x and dy that are read where they are: the taps of a pixel
// stay in registers for the next two. The chains of fma are those of convolution_depthwise_filter.cc.
#pragma once

#include "channel_rows.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// Whether registers hold a square of x, its sums, and dy.
#if defined(__AVX512F__) || defined(__aarch64__)
#define LW_HOLDS_SQUARES 1
#else
#define LW_HOLDS_SQUARES 0
#endif

// What comes next of x and of dy.
struct ComingPixels {
  AheadBySteps x, dy;
  LW_MEMBER void step() {
    x.step();
    dy.step();
  }
};
// A few lines of it are asked for every so many pixels.
constexpr int kPixelsPerStep = 4;

// Rows of dy, and the squares of x that meet them. Distances in floats.
struct SquareRows {
  int64_t count, pixels;           // of dy
  int64_t xRow, xPixel, dyRow, dyPixel;
  bool left, right;                // whether the first and the last tap of a row lie in the padding
};

// sums[r][l] += Σ x·dy for R rows of taps, one vector; x at the first tap of the first pixel, sums `kLanes` apart.
template <int R>
void addSquares(const SquareRows& s, const float* x, const float* dy, float* sums, ComingPixels& coming) {
  VF acc[R][3];
#pragma GCC unroll 3
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 3
    for (int l = 0; l < 3; l++) acc[r][l] = zero();
  }
  const int64_t inside = s.pixels - s.right;
  for (int64_t i = 0; i < s.count; i++, x += s.xRow, dy += s.dyRow) {
    VF at[R][3];
    const float *from = x, *d = dy;
#pragma GCC unroll 3
    for (int r = 0; r < R; r++) {
      at[r][0] = s.left ? zero() : load(from + r * s.xRow);
      at[r][1] = load(from + r * s.xRow + s.xPixel);
    }
    from += 2 * s.xPixel;
    const auto add = [&]() __attribute__((always_inline)) {
      const VF dv = load(d);
      d += s.dyPixel;
#pragma GCC unroll 3
      for (int r = 0; r < R; r++) {
#pragma GCC unroll 3
        for (int l = 0; l < 3; l++) acc[r][l] = fma(at[r][l], dv, acc[r][l]);
        at[r][0] = at[r][1];
        at[r][1] = at[r][2];
      }
    };
    for (int64_t p = 0; p < inside;) {
      coming.step();
      const int64_t end = minOf(inside, p + kPixelsPerStep);
      for (; p < end; p++, from += s.xPixel) {
#pragma GCC unroll 3
        for (int r = 0; r < R; r++) at[r][2] = load(from + r * s.xRow);
        add();
      }
    }
    if (s.right) {
#pragma GCC unroll 3
      for (int r = 0; r < R; r++) at[r][2] = zero();
      add();
    }
  }
#pragma GCC unroll 3
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 3
    for (int l = 0; l < 3; l++) {
      float* const to = sums + (r * 3 + l) * kLanes;
      store(to, load(to) + acc[r][l]);
    }
  }
}
using AddSquares = void (*)(const SquareRows& s, const float* x, const float* dy, float* sums, ComingPixels& coming);
// By rows of taps − 2.
constexpr AddSquares kAddSquares[2] = {
#if LW_HOLDS_SQUARES
    addSquares<2>, addSquares<3>,
#endif
};

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
