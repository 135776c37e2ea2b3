// The 3×3 sums of a filter's gradient channel by channel, that march down an image: every row of x is read where it is,
// once for a few columns of dy, and meets the three rows of dy that registers hold.
#pragma once

#include "channel_rows.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// What comes next of x and of dy.
struct ComingPixels {
  AheadBySteps x, dy;
  template <int LOCALITY = 2>
  LW_MEMBER void step() {
    x.step<LOCALITY>();
    dy.step<LOCALITY>();
  }
};

// Register budget: 3 rows of columns, 9 sums, one vector of x. Sides of images are often multiples of 7.
constexpr int kFilterColumns = 7;
#if defined(__AVX512F__) || defined(__aarch64__)
#define LW_MARCHES_FILTERS 1
#else
#define LW_MARCHES_FILTERS 0  // too few registers
#endif

// Some rows of dy, one vector. Distances in floats.
struct FilterSquares {
  int64_t rows;      // of dy
  bool top, bottom;  // whether the first row of taps of the first row lies in the padding, and the last one's last
  int64_t xRow, xPixel, dyRow, dyPixel;
};
// Columns of them: whether the first one's first tap lies in the padding, and the last one's last.
struct FilterColumns {
  int64_t groups;
  bool left, right;
};

// sums[k][l] += Σ x·dy over groups of P columns, one after the other; x at the first tap of the first pixel, sums
// `kLanes` apart.
template <int P>
void addSquares(const FilterSquares& s, const FilterColumns& c, const float* x, const float* dy, float* sums,
                ComingPixels& coming) {
  VF acc[3][3];
#pragma GCC unroll 3
  for (int k = 0; k < 3; k++) {
#pragma GCC unroll 3
    for (int l = 0; l < 3; l++) acc[k][l] = zero();
  }
  for (int64_t g = 0; g < c.groups; g++, x += P * s.xPixel, dy += P * s.dyPixel) {
    const bool left = g == 0 && c.left, right = g == c.groups - 1 && c.right;
    const float *from = x, *d = dy;
    VF held[3][P];  // row k: of dy, the one that meets x's by row k of taps
    // The next row of x, for rows [k0, k1] of taps: the others meet rows of dy that are not asked for. dy's new row is read
    // as late as it can, so that registers hold the rest.
    const auto add = [&](int k0, int k1) __attribute__((always_inline)) {
#pragma GCC unroll 9
      for (int q = 0; q < P + 2; q++) {
        if (k0 == 0 && q < P) held[0][q] = load(d + q * s.dyPixel);
        if ((q == 0 && left) || (q == P + 1 && right)) continue;
        const VF xv = load(from + q * s.xPixel);
#pragma GCC unroll 3
        for (int l = 0; l < 3; l++) {
          const int p = q - l;
          if (p < 0 || p >= P) continue;
#pragma GCC unroll 3
          for (int k = k0; k <= k1; k++) acc[k][l] = fma(xv, held[k][p], acc[k][l]);
        }
      }
    };
    const auto turn = [&]() __attribute__((always_inline)) {
      coming.step<3>();
      from += s.xRow;
      d += s.dyRow;
#pragma GCC unroll 7
      for (int p = 0; p < P; p++) {
        held[2][p] = held[1][p];
        held[1][p] = held[0][p];
      }
    };
    coming.step<3>();
    if (s.top) {
#pragma GCC unroll 7
      for (int p = 0; p < P; p++) held[0][p] = load(d + p * s.dyPixel);
    } else {
      add(0, 0);
    }
    turn();
    if (s.rows == 1) {
      add(1, 1);
    } else {
      add(0, 1);
      turn();
      for (int64_t r = 2; r < s.rows; r++) {
        add(0, 2);
        turn();
      }
      add(1, 2);
    }
    turn();
    if (!s.bottom) add(2, 2);
  }
#pragma GCC unroll 3
  for (int k = 0; k < 3; k++) {
#pragma GCC unroll 3
    for (int l = 0; l < 3; l++) {
      float* const to = sums + (k * 3 + l) * kLanes;
      store(to, load(to) + acc[k][l]);
    }
  }
}
using AddSquares = void (*)(const FilterSquares& s, const FilterColumns& c, const float* x, const float* dy, float* sums,
                            ComingPixels& coming);
// By columns − 1.
constexpr AddSquares kAddSquares[kFilterColumns] = {
#if LW_MARCHES_FILTERS
    addSquares<1>, addSquares<2>, addSquares<3>, addSquares<4>, addSquares<5>, addSquares<6>, addSquares<7>,
#endif
};

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
