// Sums of 3×3 neighbouring taps, channel by channel, that march down an image: every row of x is read where it is, once
// for a few columns of the result, and adds to the three rows of the result that meet it. The chains of fma are those
// of convolution_depthwise.cc.
#pragma once

#include "channel_rows.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// Register budget: 3 rows of columns, 9 vectors of the filter, one of x. Sides of images are often multiples of 7.
constexpr int kSquareColumns = 7;
#if defined(__AVX512F__)
#define LW_MARCHES 1
#else
#define LW_MARCHES 0  // too few registers
#endif

// Some rows of the result. Distances in floats.
struct Squares {
  int64_t rows;                   // of the result
  Range inside;                   // those of the rows + 2 of x that exist
  int64_t sourceRow, sourcePixel;
  int64_t row, pixel;             // of the result
  int64_t filter[3][3];           // of each tap
  const float* padding;           // a vector of zeros
  bool around;                    // the caches
};

// P columns of one vector; x at the first tap of the first. `left`: that lies in the padding; `right`: the last tap of
// the last column does.
template <int P>
void marchSquares(const Squares& t, bool left, bool right, const float* x, const float* w, float* y, AheadBySteps& reads,
                AheadBySteps& writes) {
  VF wv[3][3];
  VF acc[3][P];  // of the result's row that meets this row of x by its row k of taps
#pragma GCC unroll 3
  for (int k = 0; k < 3; k++) {
#pragma GCC unroll 3
    for (int l = 0; l < 3; l++) wv[k][l] = load(w + t.filter[k][l]);
#pragma GCC unroll 7
    for (int p = 0; p < P; p++) acc[k][p] = zero();
  }
  const int64_t rows = t.rows;
  for (int64_t r = 0; r < rows + 2; r++, x += t.sourceRow) {
    reads.step();
    writes.step();
    const float *const first = left ? t.padding : x, *const last = right ? t.padding : x + (P + 1) * t.sourcePixel;
    // Adds rows [k0, k1] of taps.
    const auto add = [&](int k0, int k1) __attribute__((always_inline)) {
#pragma GCC unroll 9
      for (int q = 0; q < P + 2; q++) {
        const VF xv = load(q == 0 ? first : q == P + 1 ? last : x + q * t.sourcePixel);
#pragma GCC unroll 3
        for (int l = 0; l < 3; l++) {
          const int p = q - l;
          if (p < 0 || p >= P) continue;
#pragma GCC unroll 3
          for (int k = k0; k <= k1; k++) acc[k][p] = fma(xv, wv[k][l], acc[k][p]);
        }
      }
    };
    if (r >= t.inside.begin && r < t.inside.end) {
      if (r >= 2 && r < rows) {
        add(0, 2);
      } else {
        // Some of the taps belong to rows that are not asked for.
        if (r < rows) add(0, 0);
        if (r >= 1 && r <= rows) add(1, 1);
        if (r >= 2) add(2, 2);
      }
    }
    if (r >= 2) {
#pragma GCC unroll 7
      for (int p = 0; p < P; p++) {
        if (t.around) storeAround(y + p * t.pixel, acc[2][p]);
        else store(y + p * t.pixel, acc[2][p]);
      }
      y += t.row;
    }
#pragma GCC unroll 7
    for (int p = 0; p < P; p++) {
      acc[2][p] = acc[1][p];
      acc[1][p] = acc[0][p];
      acc[0][p] = zero();
    }
  }
}
using MarchSquares = void (*)(const Squares& t, bool left, bool right, const float* x, const float* w, float* y,
                            AheadBySteps& reads, AheadBySteps& writes);
// By columns − 1.
constexpr MarchSquares kMarchSquares[kSquareColumns] = {
#if LW_MARCHES
    marchSquares<1>, marchSquares<2>, marchSquares<3>, marchSquares<4>, marchSquares<5>, marchSquares<6>, marchSquares<7>,
#endif
};

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
