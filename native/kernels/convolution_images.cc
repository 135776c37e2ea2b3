// conv2d and conv2dInputGradient whose results have few channels, over batches of W images and more: every lane of
// a vector is an image of its own. No lane is empty, whatever the sizes, and taps in the padding are left out. The
// accumulation is that of convolution_patches.cc: blocks of View::blockTerms() from zero, in order (row, column, channel)
// of the taps.
#include "epilogue.h"
#include "gemm_tile.h"
#include "image_lanes.h"
#include "scratch.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

constexpr int64_t kResultFloats = 24 * 1024;  // of a strip of images at once: with their source in L2

struct Problem {
  Geometry g;
  bool backward;
  View v;
  int64_t columns;

  explicit Problem(const Call& call)
      : g(call), backward(call.kernel == k_conv2dInputGradient),
        v(backward ? backwardView(g, 0) : forwardView(g)), columns(backward ? g.channels : g.filters) {}

  int64_t strips() const { return ceilDiv(g.batch, W); }
  int64_t pixels() const { return v.rows.count * v.columns.count; }
  int64_t sourceRow() const { return v.columns.size * v.depth; }
  int64_t resultRow() const { return v.columns.count * columns; }
  // Floats of the source that so many rows of the result meet in a strip.
  int64_t sourceFloats(int64_t rows) const { return minOf(sourceRows(v, rows), v.rows.size) * sourceRow() * W; }
  // Rows of the result at once.
  int64_t rowsAtOnce() const {
    int64_t rows = maxOf((int64_t)1, minOf(v.rows.count, kResultFloats / (resultRow() * W)));
    while (rows > 1 && sourceFloats(rows) > kTurnedFloats) rows = ceilDiv(rows, 2);
    return rows;
  }
  int64_t chunks() const { return ceilDiv(v.rows.count, rowsAtOnce()); }

  bool possible() const {
    if (g.groups != 1 || g.batch < W || columns == 0 || columns > kImageColumns) return false;
    if (backward && (g.strideHeight > 1 || g.strideWidth > 1)) return false;
    if (v.terms() == 0 || v.patches() == 0) return false;
    return sourceFloats(rowsAtOnce()) <= kTurnedFloats;
  }
  // In multiplications of vectors for all images: here, and where vectors hold channels or a row's pixels.
  int64_t cost() const {
    const int64_t products = allTapsInside(v.rows) * allTapsInside(v.columns) * v.depth * columns;
    const int64_t turned = v.rows.size * sourceRow() + pixels() * columns;
    return strips() * (products + kTurnCost * turned / 4) + (backward ? v.terms() * columns : 0);
  }
  int64_t otherCost() const {
    const int64_t taps = allTapsInside(v.rows) * v.columns.taps * v.depth;
    const int64_t byColumns = v.columns.count * ceilDiv(columns, W);
    if (v.columns.stride != 1) return g.batch * taps * byColumns;
    const int64_t byPixels = columns * ceilDiv(v.columns.count, W);
    const int64_t turned = (v.depth > 1 ? v.rows.size * sourceRow() : 0) + pixels() * columns;
    return g.batch * minOf(taps * byColumns, taps * byPixels + turned / 2);
  }
};

// The filter term by term, in the view's order: `columns` floats each.
void turnFilter(const Problem& p, const float* w, float* to) {
  for (int64_t r = 0; r < p.v.rows.taps; r++) {
    for (int64_t t = 0; t < p.v.columns.taps; t++) {
      const int64_t tap = p.v.rows.tap(r) * p.g.kernelWidth + p.v.columns.tap(t);
      for (int64_t d = 0; d < p.v.depth; d++) {
        for (int64_t c = 0; c < p.columns; c++) *to++ = w[(tap * p.g.channels + c) * p.g.filters + d];
      }
    }
  }
}

// What pixels side by side share: the source, which begins with the image's row `top`, their taps inside of it, and the
// filter's columns from `column` on.
struct Pixels {
  const Problem& p;
  const float* source;
  const float* filter;
  int64_t column;
  int64_t row, pixel;  // of the source, at the first tap; the row counts from `top`
  Range rows, taps;
};

// Columns of `count` pixels, P at a time, of which the same taps lie inside.
template <int C, int P>
void sumPixels(const Pixels& at, int64_t count, float* to) {
  const View& v = at.p.v;
  const int64_t apart = v.columns.stride * v.depth * W, n = at.p.columns, rowFloats = v.columns.size * v.depth * W;
  // A run of terms has its elements of the source side by side.
  const bool joined = v.columns.spacing == 1;
  const int64_t runs = joined ? 1 : at.taps.end - at.taps.begin;
  const int64_t length = (joined ? at.taps.end - at.taps.begin : 1) * v.depth;
  const int64_t lastRow = runs > 0 && length > 0 ? at.rows.end : at.rows.begin;
  int64_t first = (at.pixel + at.taps.begin * v.columns.spacing) * v.depth * W;  // from the row's first
  for (int64_t x = 0; x < count; x += P, first += P * apart, to += P * n * W) {
    VF acc[P][C];
#pragma GCC unroll 8
    for (int i = 0; i < P; i++) {
#pragma GCC unroll 8
      for (int j = 0; j < C; j++) acc[i][j] = zero();
    }
    bool add = false;
    const auto put = [&]() __attribute__((always_inline)) {
#pragma GCC unroll 8
      for (int i = 0; i < P; i++) {
#pragma GCC unroll 8
        for (int j = 0; j < C; j++) {
          float* const c = to + (i * n + at.column + j) * W;
          store(c, add ? load(c) + acc[i][j] : acc[i][j]);
          acc[i][j] = zero();
        }
      }
    };
    const int64_t blockK = v.blockTerms();
    int64_t block = blockK;  // where the block of terms ends
    for (int64_t r = at.rows.begin; r < lastRow; r++) {
      const float* run = at.source + (at.row + r * v.rows.spacing) * rowFloats + first;
      int64_t k = (r * v.columns.taps + at.taps.begin) * v.depth;
      for (int64_t i = 0; i < runs; i++, run += v.columns.spacing * v.depth * W) {
        const float* s = run;
        const float* w = at.filter + k * n + at.column;
        for (const int64_t end = k + length; k < end;) {
          if (k >= block) {
            put();
            add = true;
            block = (k / blockK + 1) * blockK;
          }
          for (const int64_t stop = minOf(end, block); k < stop; k++, s += W, w += n) {
            VF xv[P];
#pragma GCC unroll 8
            for (int i = 0; i < P; i++) xv[i] = load(s + i * apart);
#pragma GCC unroll 8
            for (int j = 0; j < C; j++) {
              const VF wv = set1(w[j]);
#pragma GCC unroll 8
              for (int i = 0; i < P; i++) acc[i][j] = fma(wv, xv[i], acc[i][j]);
            }
          }
        }
      }
    }
    put();
  }
}

using SumPixels = void (*)(const Pixels& at, int64_t count, float* to);
// Pixels at once: enough chains of fma to hide their latency, if registers hold them.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int pixelsAtOnce(int columns) { return columns <= 3 ? 4 : 2; }
#else
constexpr int pixelsAtOnce(int columns) { return columns <= 2 ? 4 : columns == 3 ? 3 : 2; }
#endif
// By columns − 1: pixel by pixel, and several at once.
#define LW_SUM_PIXELS(C) {sumPixels<C, 1>, sumPixels<C, pixelsAtOnce(C)>}
constexpr SumPixels kSumPixels[kColumnsAtOnce][2] = {LW_SUM_PIXELS(1), LW_SUM_PIXELS(2), LW_SUM_PIXELS(3),
                                                     LW_SUM_PIXELS(4), LW_SUM_PIXELS(5), LW_SUM_PIXELS(6)};

// Row `y` of W images' results, at `to`; at pixels `whole` all taps of a row lie inside.
void sumRow(const Problem& p, const float* source, int64_t top, const float* filter, Range whole, int64_t y, float* to) {
  const View& v = p.v;
  const int64_t row = v.rows.source(y), parts = ceilDiv(p.columns, kColumnsAtOnce);
  Pixels at = {p, source, filter, 0, row - top, 0, tapsInside(v.rows, row), {0, 0}};
  for (int64_t part = 0; part < parts; part++) {
    const Range columns = split(p.columns, 1, part, parts);
    const int n = (int)(columns.end - columns.begin), many = pixelsAtOnce(n);
    const auto sum = kSumPixels[n - 1];
    at.column = columns.begin;
    for (int64_t x = 0; x < v.columns.count;) {
      at.pixel = v.columns.source(x);
      int64_t count = 1;
      if (x == whole.begin && whole.end - x >= many) {
        count = (whole.end - x) / many * many;
        at.taps = {0, v.columns.taps};
      } else {
        at.taps = tapsInside(v.columns, at.pixel);
      }
      sum[count > 1](at, count, to + x * p.columns * W);
      x += count;
    }
  }
}

// Units: pieces of strip 0, of strip 1 …
void convolve(const Problem& p, const Call& call, const Run& run, Range units, Epilogue* epilogue) {
  const View& v = p.v;
  const float* const source = (const float*)run.ptr[call.inputs[0]];
  const float* filter = (const float*)run.ptr[call.inputs[1]];
  float* const turned = (float*)(run.scratch + call.custom[1]);
  float* const result = (float*)(run.scratch + call.custom[3]);
  if (p.backward) {
    float* const to = (float*)(run.scratch + call.custom[2]);
    turnFilter(p, filter, to);
    filter = to;
  }
  float* const stored = call.custom[0] >= 0 ? (float*)run.ptr[call.custom[0]] : nullptr;
  const Range whole = wholePositions(v.columns);
  for (int64_t unit = units.begin; unit < units.end; unit++) {
    const int64_t image = unit / p.chunks() * W, images = minOf((int64_t)W, p.g.batch - image);
    const Range rows = split(v.rows.count, 1, unit % p.chunks(), p.chunks());
    // Source rows that they meet.
    const int64_t last = v.rows.source(rows.end - 1) + (v.rows.taps - 1) * v.rows.spacing + 1;
    const int64_t top = minOf(v.rows.size, maxOf((int64_t)0, v.rows.source(rows.begin)));
    const int64_t bottom = maxOf(top, minOf(v.rows.size, last));
    turnIn(source + (image * v.rows.size + top) * p.sourceRow(), v.rows.size * p.sourceRow(), images,
           (bottom - top) * p.sourceRow(), turned);
    for (int64_t y = rows.begin; y < rows.end; y++) {
      sumRow(p, turned, top, filter, whole, y, result + (y - rows.begin) * p.resultRow() * W);
    }
    const int64_t count = (rows.end - rows.begin) * p.resultRow(), first = rows.begin * v.columns.count;
    float* const c = stored ? stored + (image * p.pixels() + first) * p.columns
                            : (float*)(run.scratch + call.custom[4]);
    const int64_t apart = stored ? p.pixels() * p.columns : count;
    turnOut(result, count, images, c, apart);
    for (int64_t l = 0; l < images && epilogue; l++) {
      epilogue->apply(c + l * apart, p.columns, (image + l) * p.pixels() + first, count / p.columns, 0, p.columns);
    }
  }
}

}  // namespace

// custom[0]: tensor that holds the result meanwhile, −1 for scratch; byte offsets in scratch of [1] the turned source,
// [2] the turned filter, [3] the result before it is turned back, [4] a block of the result. False where it would not
// pay.
bool planImages(Call& call) {
  const Problem p(call);
  if (!p.possible() || p.cost() >= p.otherCost()) return false;
  const TilePlan* tile = call.tile;
  call.custom[0] = tile ? tile->blockTensor : call.outputs[0];
  ScratchLayout take;
  if (tile) take(tile->scratchBytes);
  const int64_t rows = p.rowsAtOnce(), result = rows * p.resultRow() * W;
  call.custom[1] = take(p.sourceFloats(rows) * 4);
  call.custom[2] = take(p.backward ? p.v.terms() * p.columns * 4 : 0);
  call.custom[3] = take(result * 4);
  call.custom[4] = take(call.custom[0] < 0 ? result * 4 : 0);
  call.scratchBytes = take.bytes;
  call.phases = 1;
  const int64_t lanes = p.g.batch * p.pixels() * p.columns * (tile ? 2 + tile->nOps + tile->nInputs : 1);
  call.work = p.cost() / 5 + lanes / 12;
  call.maxParts = p.strips() * p.chunks();
  return true;
}

void runImages(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const Problem p(call);
  const Range units = split(p.strips() * p.chunks(), 1, part, parts);
  if (units.begin >= units.end) return;
  if (!call.tile) {
    convolve(p, call, run, units, nullptr);
    return;
  }
  Epilogue epilogue(call, run, kTileLanes / p.columns * p.columns, true, p.columns);
  convolve(p, call, run, units, &epilogue);
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
