// Convolutions in which every channel is a group of its own: no products of matrices, but vectors of
// channels, pixel by pixel. conv2d and the input's gradient differ in their views only; each element is
// one chain of fma over its taps in order. The filter's gradient sums rows of pixels: a chain along each
// row, rows added in order, chunks of rows (whose number follows from the shape) added in order.
#include "convolution.h"
#include "epilogue.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

// Register budget: kPixels·kWide accumulators + kWide vectors of the filter + 1 of x.
constexpr int kPixels = 4, kWide = 2;

// Distances in elements.
struct Steps {
  int64_t sourceRow, sourceColumn, sourcePixel, filterRow, filterColumn, resultPixel;
  int64_t newRows, newPixels;  // of the source, per row and pixel of the result, as far as they are worth it
};

// P pixels × V vectors of channels: sums over rows × columns taps. TAIL: of the last vector, `tail` lanes.
template <int P, int V, bool TAIL>
LW_INLINE void sumTaps(int64_t rows, int64_t columns, const float* x, const float* w, float* y,
                       const Steps& s, int64_t tail) {
  VF acc[P][V];
#pragma GCC unroll 4
  for (int p = 0; p < P; p++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) acc[p][v] = zero();
  }
  for (int64_t k = 0; k < rows; k++, x += s.sourceRow, w += s.filterRow) {
    const float* xk = x;
    const float* wk = w;
    for (int64_t l = 0; l < columns; l++, xk += s.sourceColumn, wk += s.filterColumn) {
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) {
        const VF wv = TAIL && v == V - 1 ? loadPartial(wk + v * W, tail) : load(wk + v * W);
#pragma GCC unroll 4
        for (int p = 0; p < P; p++) {
          const float* at = xk + p * s.sourcePixel + v * W;
          acc[p][v] = fma(TAIL && v == V - 1 ? loadPartial(at, tail) : load(at), wv, acc[p][v]);
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < P; p++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
      float* at = y + p * s.resultPixel + v * W;
      if (TAIL && v == V - 1) storePartial(at, acc[p][v], tail);
      else store(at, acc[p][v]);
    }
  }
}

// The same where a row's taps are three neighbours and the pixels too: each vector of x is read once a row.
template <int P, int V>
LW_INLINE void sumNeighbours(int64_t rows, const float* x, const float* w, float* y, const Steps& s) {
  VF acc[P][V];
#pragma GCC unroll 4
  for (int p = 0; p < P; p++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) acc[p][v] = zero();
  }
  for (int64_t k = 0; k < rows; k++, x += s.sourceRow, w += s.filterRow) {
    VF wv[3][V];
#pragma GCC unroll 3
    for (int l = 0; l < 3; l++) {
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) wv[l][v] = load(w + l * s.filterColumn + v * W);
    }
#pragma GCC unroll 8
    for (int q = 0; q < P + 2; q++) {
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) {
        const VF xv = load(x + q * s.sourcePixel + v * W);
#pragma GCC unroll 3
        for (int l = 0; l < 3; l++) {
          if (q - l >= 0 && q - l < P) acc[q - l][v] = fma(xv, wv[l][v], acc[q - l][v]);
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < P; p++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) store(y + p * s.resultPixel + v * W, acc[p][v]);
  }
}

// All channels of P pixels.
template <int P>
LW_INLINE void sumPixels(int64_t channels, int64_t rows, int64_t columns, const float* x, const float* w,
                         float* y, const Steps& s) {
  const bool neighbours = P > 1 && columns == 3 && s.sourceColumn == s.sourcePixel;
  int64_t c = 0;
  for (; c + kWide * W <= channels; c += kWide * W) {
    // What the next row of results reads for the first time, and the pixels that come next in this one: the
    // hardware's prefetcher does not follow from channel to channel over the pixels of a row.
    for (int64_t r = 0; r < s.newRows; r++) {
      const float* const below = x + (rows + r) * s.sourceRow + c;
      for (int64_t p = 0; p < P * s.newPixels; p++) __builtin_prefetch(below + p * channels);
    }
#pragma GCC unroll 4
    for (int p = P; p < 2 * P; p++) __builtin_prefetch(y + p * s.resultPixel + c, 1);
    if (neighbours) sumNeighbours<P, kWide>(rows, x + c, w + c, y + c, s);
    else sumTaps<P, kWide, false>(rows, columns, x + c, w + c, y + c, s, 0);
  }
  for (; c + W <= channels; c += W) sumTaps<P, 1, false>(rows, columns, x + c, w + c, y + c, s, 0);
  if (c < channels) sumTaps<P, 1, true>(rows, columns, x + c, w + c, y + c, s, channels - c);
}

// The positions of one view in row `row` of image `image`; the row of the result begins at y.
void sumRow(const Geometry& g, const View& v, const float* x, const float* w, int64_t image, int64_t row,
            float* y) {
  const int64_t from = v.rows.source(row), channels = v.pitch;
  const Range rows = tapsInside(v.rows, from);
  const Steps s = {v.rows.spacing * v.columns.size * channels, v.columns.spacing * channels,
                   v.columns.stride * channels, v.rows.step * g.kernelWidth * channels,
                   v.columns.step * channels, v.columns.every * channels,
                   minOf(2, v.rows.stride), minOf(2, v.columns.stride)};
  const float* const source =
      x + (image * v.rows.size + from + rows.begin * v.rows.spacing) * v.columns.size * channels;
  const int64_t filterRow = v.rows.tap(rows.begin) * g.kernelWidth;
  for (int64_t p = 0; p < v.columns.count;) {
    const int64_t first = v.columns.source(p);
    float* const to = y + (v.columns.at + p * v.columns.every) * channels;
    const bool many = p + kPixels <= v.columns.count && v.columns.inside(first) &&
                      v.columns.inside(v.columns.source(p + kPixels - 1));
    const Range columns = tapsInside(v.columns, first);
    const float* const at = source + (first + columns.begin * v.columns.spacing) * channels;
    const float* const filter = w + (filterRow + v.columns.tap(columns.begin)) * channels;
    const int64_t nRows = maxOf(0, rows.end - rows.begin), nColumns = maxOf(0, columns.end - columns.begin);
    if (many) sumPixels<kPixels>(channels, nRows, nColumns, at, filter, to, s);
    else sumPixels<1>(channels, nRows, nColumns, at, filter, to, s);
    p += many ? kPixels : 1;
  }
}

// Rows of the result [rows), all images' rows counted as one.
void sumRows(const Call& call, const Run& run, Range rows, Epilogue* epilogue) {
  const Geometry g(call);
  const bool backward = call.kernel == k_conv2dInputGradient;
  const float* const x = (const float*)run.ptr[call.inputs[0]];
  const float* const w = (const float*)run.ptr[call.inputs[1]];
  float* const stored = call.custom[0] >= 0 ? (float*)run.ptr[call.custom[0]] : nullptr;
  const int64_t height = backward ? g.height : g.outHeight, width = backward ? g.width : g.outWidth;
  const int64_t across = backward ? minOf(g.strideWidth, g.width) : 1;
  const int64_t down = backward ? minOf(g.strideHeight, g.height) : 1;
  for (int64_t r = rows.begin; r < rows.end; r++) {
    const int64_t image = r / height, y = r % height;
    float* const c = stored ? stored + r * width * g.channels : (float*)(run.scratch + call.custom[1]);
    for (int64_t i = 0; i < across; i++) {
      const View v = backward ? backwardView(g, y % down * across + i) : forwardView(g);
      sumRow(g, v, x, w, image, y / down, c);
    }
    if (epilogue) epilogue->apply(c, g.channels, r * width, width, 0, g.channels);
  }
}

// Where the sums along a row of dy are taken: distances in elements.
struct RowSteps {
  int64_t tap, pixel, channels;
  int64_t below, dyBelow, newPixels;  // from a row to the next, for prefetching
};

// sum[t] += Σ over columns of x[t]·dy for T neighbouring taps of one row, for V vectors of channels.
template <int T, int V, bool TAIL>
LW_INLINE void sumColumns(int64_t count, const float* x, const float* dy, float* sums, const RowSteps& s,
                          int64_t tail) {
  VF acc[T][V];
#pragma GCC unroll 4
  for (int t = 0; t < T; t++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) acc[t][v] = zero();
  }
  for (int64_t j = 0; j < count; j++, x += s.pixel, dy += s.channels) {
    if (V == kWide) {
      for (int64_t p = 0; p < s.newPixels; p++) __builtin_prefetch(x + s.below + p * s.channels);
      __builtin_prefetch(dy + s.dyBelow);
    }
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
      const VF d = TAIL ? loadPartial(dy + v * W, tail) : load(dy + v * W);
#pragma GCC unroll 4
      for (int t = 0; t < T; t++) {
        const float* const at = x + t * s.tap + v * W;
        acc[t][v] = fma(TAIL ? loadPartial(at, tail) : load(at), d, acc[t][v]);
      }
    }
  }
#pragma GCC unroll 4
  for (int t = 0; t < T; t++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
      float* const to = sums + t * s.channels + v * W;
      if (TAIL) storePartial(to, loadPartial(to, tail) + acc[t][v], tail);
      else store(to, load(to) + acc[t][v]);
    }
  }
}

template <int T>
LW_INLINE void sumTapColumns(int64_t count, const float* x, const float* dy, float* sums,
                             const RowSteps& s) {
  if (count <= 0) return;
  int64_t c = 0;
  for (; c + kWide * W <= s.channels; c += kWide * W) {
    sumColumns<T, kWide, false>(count, x + c, dy + c, sums + c, s, 0);
  }
  for (; c + W <= s.channels; c += W) sumColumns<T, 1, false>(count, x + c, dy + c, sums + c, s, 0);
  if (c < s.channels) sumColumns<T, 1, true>(count, x + c, dy + c, sums + c, s, s.channels - c);
}

// Positions of an axis at which tap t lies inside: [begin, end).
LW_INLINE Range positionsInside(const Axis& a, int64_t t) {
  const int64_t from = a.offset + t * a.spacing, last = a.size - 1 - from;
  const int64_t begin = from >= 0 ? 0 : (-from + a.stride - 1) / a.stride;
  const int64_t end = last < 0 ? 0 : last / a.stride + 1;
  return {begin, maxOf(begin, minOf(end, a.count))};
}

// sums [taps, channels] = the sum over rows [rows) of dy.
void filterRows(const Geometry& g, const float* x, const float* dy, Range rows, float* sums) {
  const View v = forwardView(g);
  const int64_t channels = g.channels, pixelStep = v.columns.stride * channels;
  const RowSteps s = {v.columns.spacing * channels, pixelStep, channels,
                      v.rows.stride * v.columns.size * channels, g.outWidth * channels,
                      minOf(2, v.columns.stride)};
  for (int64_t i = 0; i < g.terms() * channels; i++) sums[i] = 0.0f;
  for (int64_t r = rows.begin; r < rows.end; r++) {
    const int64_t image = r / g.outHeight, row = r % g.outHeight, from = v.rows.source(row);
    const Range taps = tapsInside(v.rows, from);
    const float* const dyRow = dy + r * g.outWidth * channels;
    for (int64_t k = taps.begin; k < taps.end; k++) {
      const float* const source =
          x + (image * v.rows.size + from + k * v.rows.spacing) * v.columns.size * channels;
      constexpr int kTaps = 3;
      for (int64_t l = 0; l < g.kernelWidth;) {
        // Positions that all of some neighbouring taps have, then those that only one has.
        const int64_t n = l + kTaps <= g.kernelWidth ? kTaps : 1;
        Range common = positionsInside(v.columns, l);
        for (int64_t t = 1; t < n; t++) {
          const Range own = positionsInside(v.columns, l + t);
          common = {maxOf(common.begin, own.begin), minOf(common.end, own.end)};
        }
        const auto at = [&](int64_t t, int64_t p) {
          return source + (v.columns.source(p) + t * v.columns.spacing) * channels;
        };
        float* const to = sums + (k * g.kernelWidth + l) * channels;
        const bool together = n == kTaps && common.begin < common.end;
        if (together) {
          sumTapColumns<kTaps>(common.end - common.begin, at(l, common.begin),
                               dyRow + common.begin * channels, to, s);
        }
        for (int64_t t = 0; t < n; t++) {
          const Range own = positionsInside(v.columns, l + t);
          const int64_t split = together ? common.begin : own.end;
          sumTapColumns<1>(split - own.begin, at(l + t, own.begin), dyRow + own.begin * channels,
                           to + t * channels, s);
          if (!together) continue;
          sumTapColumns<1>(own.end - common.end, at(l + t, common.end), dyRow + common.end * channels,
                           to + t * channels, s);
        }
        l += n;
      }
    }
  }
}

int64_t chunksOf(const Geometry& g) {
  constexpr int64_t kRowsEach = 8, kMost = 64, kMostFloats = 1 << 20;
  const int64_t most = minOf(kMost, kMostFloats / maxOf(1, g.terms() * g.channels));
  return maxOf(1, minOf(most, g.batch * g.outHeight / kRowsEach));
}

}  // namespace

// custom[0]: tensor that holds the result for the epilogue, −1 for scratch (or shared) memory; [1]: byte
// offset of a row of the result in scratch.
void planDepthwise(Call& call) {
  const Geometry g(call);
  const TilePlan* tile = call.tile;
  const bool filter = call.kernel == k_conv2dFilterGradient;
  const bool backward = call.kernel == k_conv2dInputGradient;
  call.custom[0] = tile ? tile->blockTensor : call.outputs[0];
  call.custom[1] = tile ? (tile->scratchBytes + 63) & ~(int64_t)63 : 0;
  const int64_t rows = g.batch * (backward ? g.height : filter ? g.outHeight : g.outHeight);
  const int64_t width = backward ? g.width : g.outWidth;
  const int64_t result = filter ? g.terms() * g.channels : rows * width * g.channels;
  const int64_t chunks = filter ? chunksOf(g) : 0;
  call.custom[2] = chunks;
  call.scratchBytes = call.custom[1];
  if (!filter && call.custom[0] < 0) call.scratchBytes += width * g.channels * 4;
  call.sharedBytes = chunks * g.terms() * g.channels * 4;
  call.phases = filter ? 2 : 1;
  const int64_t lanes = result * (tile ? 2 + tile->nOps + tile->nInputs : 1);
  call.work = g.multiplications() / (2 * W) + lanes / 12;
  call.maxParts = maxOf(1, filter ? maxOf(chunks, g.terms()) : rows);
}

void runDepthwise(const Call& call, const Run& run, int phase, int64_t part, int64_t parts) {
  const Geometry g(call);
  if (g.channels == 0) return;
  if (call.kernel == k_conv2dFilterGradient) {
    float* const sums = (float*)run.shared;
    const int64_t chunks = call.custom[2];
    if (phase == 1) {
      addChunks(call, run, sums, chunks, g.terms(), g.channels, part, parts);
      return;
    }
    const Range own = split(chunks, 1, part, parts);
    for (int64_t chunk = own.begin; chunk < own.end; chunk++) {
      filterRows(g, (const float*)run.ptr[call.inputs[0]], (const float*)run.ptr[call.inputs[1]],
                 split(g.batch * g.outHeight, 1, chunk, chunks), sums + chunk * g.terms() * g.channels);
    }
    return;
  }
  const bool backward = call.kernel == k_conv2dInputGradient;
  const int64_t width = backward ? g.width : g.outWidth;
  const Range rows = split(g.batch * (backward ? g.height : g.outHeight), 1, part, parts);
  if (rows.begin >= rows.end || width == 0) return;
  if (!call.tile) {
    sumRows(call, run, rows, nullptr);
    return;
  }
  const int64_t n = g.channels;
  const bool wholeRows = n <= kTileLanes / 2;
  const int64_t lanes = wholeRows ? minOf(kTileLanes / n, (rows.end - rows.begin) * width) * n
                                  : minOf(kTileLanes, n);
  Epilogue epilogue(call, run, lanes, wholeRows, n);
  sumRows(call, run, rows, &epilogue);
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
