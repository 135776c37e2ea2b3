// Vectors of images: element i of W images side by side, for convolutions of few channels, whose vectors of
// channels or of pixels would be mostly empty. What a strip of W images holds is turned round when it is brought in,
// and turned back when it is done.
#pragma once

#include "convolution.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// Channels of a result whose vectors hold images, and how many of them are added up at once.
constexpr int64_t kImageColumns = 28;
constexpr int kColumnsAtOnce = 6;
// Floats of a strip of images that are turned round at once: in L2.
constexpr int64_t kTurnedFloats = 96 * 1024;
// Turning an element round, in or out, in multiplications of a vector.
constexpr int64_t kTurnCost = 8;

// n floats of each of `images` ≤ W images, `apart` floats from one image to the next: element i of all of them at
// to[i·W]. Lanes without an image are zeros.
LW_INLINE void turnIn(const float* from, int64_t apart, int64_t images, int64_t n, float* to) {
  constexpr float kNone[4] = {0, 0, 0, 0};
  int64_t i = 0;
  if (images == W) {
    for (; i + W <= n; i += W) transposeSquare(from + i, apart, to + i * W, W);
    for (; i + 4 <= n; i += 4) transpose4(from + i, apart, to + i * W, W);
  }
  for (; i + 4 <= n; i += 4) {
    const auto image = [&](int64_t l) { return l < images ? from + l * apart + i : kNone; };
    for (int64_t l = 0; l < W; l += 4) {
      turn4(image(l), image(l + 1), image(l + 2), image(l + 3), to + i * W + l, W);
    }
  }
  for (; i < n; i++) {
    for (int64_t l = 0; l < W; l++) to[i * W + l] = l < images ? from[l * apart + i] : 0.0f;
  }
}

// The way back.
LW_INLINE void turnOut(const float* from, int64_t n, int64_t images, float* to, int64_t apart) {
  const int64_t whole = n < W ? 0 : images / 4 * 4;
  // The last vector may overlap the one before.
  for (int64_t next = 0; whole > 0 && next < n; next += W) {
    const int64_t i = minOf(next, n - W);
    if (images == W) transposeSquare(from + i * W, W, to + i, apart);
    else for (int64_t l = 0; l < whole; l += 4) transpose4(from + i * W + l, W, to + l * apart + i, apart);
  }
  for (int64_t l = whole; l < images; l++) {
    for (int64_t i = 0; i < n; i++) to[l * apart + i] = from[i * W + l];
  }
}

// Positions [begin, end) of an axis whose taps all lie inside of the source.
LW_INLINE Range wholePositions(const Axis& axis) {
  int64_t begin = 0, end = axis.count;
  while (begin < end && axis.source(begin) < 0) begin++;
  while (end > begin && !axis.inside(axis.source(end - 1))) end--;
  return {begin, end};
}

// Taps that lie inside of the source, over all positions of an axis.
LW_INLINE int64_t allTapsInside(const Axis& axis) {
  int64_t sum = 0;
  for (int64_t p = 0; p < axis.count; p++) {
    const Range taps = tapsInside(axis, axis.source(p));
    sum += maxOf((int64_t)0, taps.end - taps.begin);
  }
  return sum;
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
