// conv2d and conv2dInputGradient in which every input channel is a group of its own: no products of matrices,
// but vectors of channels, pixel by pixel. The two differ in their views only; each element is one chain of fma
// over its taps in order (of a gradient of several results per channel, for each row of taps over these).
//
// A few rows of the result at a time, all blocks of channels one after the other: channel_rows.h has what they read,
// depthwise_square.h what reads 3×3 neighbouring taps in place. What the next rows will read and write is asked for meanwhile.
#include "channel_rows.h"
#include "convolution.h"
#include "depthwise_square.h"
#include "epilogue.h"
#include "scratch.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

// Register budget: pixels·kWide accumulators + 1 of the filter, or 3 of its neighbours and 1 of x. Three neighbours
// have one accumulator too many, and are faster so (Zen 3): sides of images are often multiples of 7.
constexpr int kPixels = 7;
// Floats of x that a march down some rows meets: with what comes next in L2.
constexpr int64_t kMarchFloats = 64 * 1024;
alignas(64) constexpr float kPadding[W] = {};
constexpr int pixelsOf(int vectors, int columns, int stride) {
  return vectors == 1 || (columns == 3 && stride == 1) ? kPixels : stride > 0 ? 5 : 4;
}

// The positions of one view in one row of the result. Distances in floats of a block's source and filter; in the
// result from the row's first pixel.
struct Line {
  int64_t rows, columns;             // taps
  const int32_t *source, *filter;    // of each row of taps
  int64_t first, column, pixel, filterColumn;
  int64_t count, to, toPixel;
};

// Where sums go: `lanes` of a pixel.
struct Sink {
  float* at;
  int64_t lanes;
  bool around;  // the caches
};
template <int P, int V, class Store>
LW_INLINE void eachVector(const VF acc[P][V], float* y, int64_t pixel, Store storeVector) {
#pragma GCC unroll 8
  for (int p = 0; p < P; p++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) storeVector(y + p * pixel + v * W, acc[p][v], v);
  }
}

// P pixels × V vectors. ROWS × COLUMNS taps, 0 for any number; pixels STRIDE blocks apart and neighbouring taps, 0 for
// any distances.
template <int P, int V, int ROWS, int COLUMNS, int STRIDE>
LW_INLINE void sumTaps(const Line& t, const float* x, const float* w, float* y, const Sink& sink) {
  VF acc[P][V];
#pragma GCC unroll 8
  for (int p = 0; p < P; p++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) acc[p][v] = zero();
  }
  const int64_t pixel = STRIDE > 0 ? STRIDE * kLanes : t.pixel, column = STRIDE > 0 ? kLanes : t.column;
  const int64_t columns = COLUMNS > 0 ? COLUMNS : t.columns;
  const int64_t rows = ROWS > 0 ? ROWS : t.rows;
#pragma GCC unroll 3
  for (int64_t k = 0; k < rows; k++) {
    const float* xk = x + t.source[k];
    const float* wk = w + t.filter[k];
    if constexpr (STRIDE == 1 && COLUMNS == 3) {
      // Each vector of x is read once.
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) {
        VF wv[3];
#pragma GCC unroll 3
        for (int l = 0; l < 3; l++) wv[l] = load(wk + l * t.filterColumn + v * W);
#pragma GCC unroll 9
        for (int q = 0; q < P + 2; q++) {
          const VF xv = load(xk + q * kLanes + v * W);
#pragma GCC unroll 3
          for (int l = 0; l < 3; l++) {
            if (q - l >= 0 && q - l < P) acc[q - l][v] = fma(xv, wv[l], acc[q - l][v]);
          }
        }
      }
    } else {
#pragma GCC unroll 3
      for (int64_t l = 0; l < columns; l++, xk += column, wk += t.filterColumn) {
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
          const VF wv = load(wk + v * W);
#pragma GCC unroll 8
          for (int p = 0; p < P; p++) acc[p][v] = fma(load(xk + p * pixel + v * W), wv, acc[p][v]);
        }
      }
    }
  }
  if (sink.around) {
    eachVector<P, V>(acc, y, t.toPixel, [](float* to, VF sum, int) { storeAround(to, sum); });
  } else if (sink.lanes >= V * W) {
    eachVector<P, V>(acc, y, t.toPixel, [](float* to, VF sum, int) { store(to, sum); });
  } else {
    eachVector<P, V>(acc, y, t.toPixel, [&](float* to, VF sum, int v) __attribute__((always_inline)) {
      if (v < V - 1) store(to, sum);
      else storePartial(to, sum, sink.lanes - v * W);
    });
  }
}

// One block of a line.
template <int V, int ROWS, int COLUMNS, int STRIDE>
void sumLine(const Line& t, const float* x, const float* w, const Sink& sink, AheadBySteps& reads, AheadBySteps& writes) {
  constexpr int kMost = pixelsOf(V, COLUMNS, STRIDE);
  const int64_t groups = ceilDiv(t.count, kMost);
  x += t.first;
  float* y = sink.at + t.to;
  // Near-equal groups.
  const int64_t few = t.count / maxOf(1, groups), larger = t.count - few * groups;
  for (int64_t group = 0; group < groups; group++) {
    const int64_t n = few + (group < larger);
    reads.step();
    writes.step();
    switch (n) {
#define LW_PIXELS(P) \
  case P:            \
    if constexpr (P <= kMost) sumTaps<P, V, ROWS, COLUMNS, STRIDE>(t, x, w, y, sink); \
    break;
      LW_PIXELS(1)
      LW_PIXELS(2)
      LW_PIXELS(3)
      LW_PIXELS(4)
      LW_PIXELS(5)
      LW_PIXELS(6)
      LW_PIXELS(7)
#undef LW_PIXELS
    }
    x += n * t.pixel;
    y += n * t.toPixel;
  }
}
using SumLine = void (*)(const Line& t, const float* x, const float* w, const Sink& sink, AheadBySteps& reads,
                         AheadBySteps& writes);
SumLine sumLineOf(const Line& t, int64_t lanes) {
  const bool near = t.column == kLanes;
  if (lanes <= W) return near && t.pixel == kLanes ? sumLine<1, 0, 0, 1> : sumLine<1, 0, 0, 0>;
  if (near && t.columns == 3 && t.pixel == kLanes) return t.rows == 3 ? sumLine<kWide, 3, 3, 1> : sumLine<kWide, 0, 3, 1>;
  if (near && t.columns == 3 && t.pixel == 2 * kLanes) return t.rows == 3 ? sumLine<kWide, 3, 3, 2> : sumLine<kWide, 0, 3, 2>;
  if (t.columns == 3 && t.rows == 3) return sumLine<kWide, 3, 3, 0>;
  return near && t.pixel == kLanes ? sumLine<kWide, 0, 0, 1> : sumLine<kWide, 0, 0, 0>;
}

// How a call is cut up, by its shape alone.
struct Problem {
  Geometry g;
  bool backward;
  int64_t across, down;            // views along a row and a column
  int64_t height, width, lanes;    // of the result, and a pixel's channels
  int64_t sourceHeight, sourceWidth, sourceLanes;
  int64_t positions, segments;     // of a row's views, at a time
  int64_t rows;                    // of the result, at a time
  int64_t offset, columns, slots;  // of the source: from a segment's first position, and what a ring holds
  int64_t blocks, atOnce;
  Spread spread;
  bool inPlace;  // x is read where it is
  bool squares;  // so are its squares of taps, by sums that march down

  explicit Problem(const Call& call)
      : g(call), backward(call.kernel == k_conv2dInputGradient),
        across(backward ? maxOf(1, minOf(g.strideWidth, g.width)) : 1),
        down(backward ? maxOf(1, minOf(g.strideHeight, g.height)) : 1),
        height(backward ? g.height : g.outHeight), width(backward ? g.width : g.outWidth),
        lanes(backward ? g.channels : g.filters), sourceHeight(backward ? g.outHeight : g.height),
        sourceWidth(backward ? g.outWidth : g.width), sourceLanes(backward ? g.filters : g.channels) {
    const int64_t each = maxOf(1, g.groupFilters());
    spread = backward ? Spread{each, 1, each} : Spread{1, each, 1};
    // Over strides, an element of x is in two or three sums: copying it would cost as much. Whole vectors are read.
    inPlace = !backward && each == 1 && g.strideHeight * g.strideWidth >= 4 && lanes % kLanes == 0;
    squares = marches();
    const int64_t all = ceilDiv(width, across);
    segments = maxOf(1, ceilDiv(all, kSegment));
    positions = ceilDiv(all, segments);
    // The widest and the tallest reach of any view.
    int64_t end = 0, from = 0, tall = 0, top = 0;
    bool any = false;
    for (int64_t i = 0; i < across * down; i++) {
      const View v = view(i);
      const int64_t right = v.columns.offset + (v.columns.taps - 1) * v.columns.spacing + 1;
      const int64_t bottom = v.rows.offset + (v.rows.taps - 1) * v.rows.spacing + 1;
      if (v.columns.taps == 0 || v.rows.taps == 0) continue;
      from = any ? minOf(from, v.columns.offset) : v.columns.offset, end = any ? maxOf(end, right) : right;
      top = any ? minOf(top, v.rows.offset) : v.rows.offset, tall = any ? maxOf(tall, bottom) : bottom;
      any = true;
    }
    offset = from;
    columns = any && positions > 0 ? (positions - 1) * stride(g.strideWidth) + end - from : 0;
    const auto rowsOf = [&](int64_t r) {
      return minOf(maxOf(1, sourceHeight), ceilDiv(r - 1, down) * stride(g.strideHeight) + tall - top);
    };
    rows = rowsAtATime(columns, height, rowsOf);
    if (squares) {
      const int64_t most = maxOf(2, kMarchFloats / maxOf(1, columns * lanes));
      rows = maxOf(1, nearEqual(height, most));
    }
    slots = maxOf(1, rowsOf(rows));
    blocks = ceilDiv(lanes, kLanes);
    atOnce = blocksAtATime(maxOf(1, blocks), slots * spread.planes * ringPitch(columns));
  }
  // 3×3 neighbouring taps of whole vectors.
  bool marches() const {
    const View v = view(0);
    return LW_MARCHES && spread.each == 1 && lanes % W == 0 && across * down == 1 && v.neighbours() &&
           v.columns.mostlyInside();
  }
  View view(int64_t i) const { return backward ? backwardView(g, i) : forwardView(g); }
  int64_t stride(int64_t forward) const { return backward ? 1 : forward; }
  int64_t taps() const { return g.kernelHeight * g.kernelWidth * spread.planes; }  // per lane
  int64_t ringFloats() const { return inPlace || squares ? 0 : atOnce * slots * spread.planes * ringPitch(columns); }
  int64_t filterFloats() const { return blocks * taps() * kLanes; }
  // Lines of a few rows, and the rows of taps of all of them.
  int64_t lines() const { return squares ? 0 : rows * (inPlace ? maxOf(1, positions) : across); }
  int64_t lineTaps() const { return lines() * g.kernelHeight * spread.planes; }
  int64_t resultFloats() const { return rows * minOf(width, positions * across) * lanes; }
};

// What one thread works with.
struct Work {
  const Problem& p;
  const float *x, *w;
  float *ring, *filter;
  Line* lines;
  int32_t* offsets;

  // Source rows that a strip meets.
  Range sourceRows(const Strip& s) const {
    Range all = {0, 0};
    for (int64_t y = s.rows.begin; y < s.rows.end; y++) {
      const Axis rows = p.view(y % p.down * p.across).rows;
      const int64_t from = rows.source(y / p.down);
      const Range taps = tapsInside(rows, from);
      if (taps.begin >= taps.end) continue;
      const Range own = {from + taps.begin * rows.spacing, from + (taps.end - 1) * rows.spacing + 1};
      all = all.begin >= all.end ? own : Range{minOf(all.begin, own.begin), maxOf(all.end, own.end)};
    }
    return all;
  }
  // The source's image and columns of a strip.
  ChannelRows sourceOf(const Strip& s) const {
    const int64_t first = s.segment * p.positions * p.stride(p.g.strideWidth) + p.offset;
    return {x + s.image * p.sourceHeight * p.sourceWidth * p.sourceLanes, p.sourceHeight, p.sourceWidth,
            p.sourceLanes, p.spread, p.slots, ringPitch(p.columns), first, p.columns};
  }
  Range blocksOf(const Strip& s) const {
    return {s.slice * p.atOnce, minOf(p.blocks, (s.slice + 1) * p.atOnce)};
  }
  // The columns of the result.
  Range columnsOf(const Strip& s) const {
    const int64_t begin = s.segment * p.positions * p.across;
    return {minOf(p.width, begin), minOf(p.width, begin + p.positions * p.across)};
  }

  // The filter, block by block: [blocks][planes][taps][kLanes], lanes that don't exist as 0.
  void packFilter() const {
    const int64_t taps = p.g.kernelHeight * p.g.kernelWidth, planes = p.spread.planes;
    for (int64_t b = 0; b < p.blocks; b++) {
      const int64_t lane = b * kLanes, n = minOf(kLanes, p.lanes - lane);
      // As rows of one pixel each; of several planes, the same lanes of the filter as of the source.
      const Spread s = p.backward ? p.spread : Spread{1, 1, 1};
      for (int64_t plane = 0; plane < planes; plane++) {
        copyBlock(w, taps, p.g.filters, s, plane, lane, n, filter + (b * planes + plane) * taps * kLanes);
      }
    }
  }

  // The rows of taps of line `index`, whose first column of taps is `column`, for row `row` of its view; row r of
  // the source is at(r, plane).
  template <class At>
  void fillTaps(int64_t index, const View& v, int64_t row, int64_t column, At at) const {
    Line& line = lines[index];
    int32_t *const rows = offsets + index * 2 * p.g.kernelHeight * p.spread.planes;
    int32_t *const filters = rows + p.g.kernelHeight * p.spread.planes;
    const int64_t from = v.rows.source(row), taps = p.g.kernelHeight * p.g.kernelWidth;
    const Range inside = tapsInside(v.rows, from);
    line.source = rows, line.filter = filters, line.rows = 0;
    if (line.columns <= 0) return;
    for (int64_t k = inside.begin; k < inside.end; k++) {
      const int64_t tap = v.rows.tap(k) * p.g.kernelWidth + column;
      for (int64_t plane = 0; plane < p.spread.planes; plane++) {
        rows[line.rows] = (int32_t)at(from + k * v.rows.spacing, plane);
        filters[line.rows++] = (int32_t)((plane * taps + tap) * kLanes);
      }
    }
  }
  // The lines of a strip, and how many of them there are; toRow floats from row to row of the result.
  int64_t cut(const Strip& s, const ChannelRows& source, int64_t toRow) const {
    int64_t n = 0;
    for (int64_t y = s.rows.begin; y < s.rows.end; y++) {
      for (int64_t i = 0; i < p.across; i++, n++) {
        const View v = p.view(y % p.down * p.across + i);
        const int64_t begin = minOf(v.columns.count, s.segment * p.positions);
        Line& line = lines[n];
        line.count = minOf(v.columns.count, begin + p.positions) - begin;
        line.to = (y - s.rows.begin) * toRow + v.columns.at * p.lanes;
        line.toPixel = v.columns.every * p.lanes;
        line.columns = v.columns.taps;
        line.column = v.columns.spacing * kLanes;
        line.pixel = v.columns.stride * kLanes;
        line.filterColumn = v.columns.step * kLanes;
        line.first = v.columns.taps == 0 ? 0 : (v.columns.source(begin) - source.first) * kLanes;
        fillTaps(n, v, y / p.down, v.columns.tap(0),
                 [&](int64_t row, int64_t plane) { return source.at(row, plane); });
      }
    }
    return n;
  }
  // The same where x is read in place, from row `top` on: the positions all of whose taps lie inside of it together,
  // each other one with those that do.
  int64_t cutInPlace(const Strip& s, int64_t top, int64_t toRow) const {
    const View v = p.view(0);
    const int64_t begin = s.segment * p.positions, end = minOf(v.columns.count, begin + p.positions);
    int64_t n = 0;
    for (int64_t y = s.rows.begin; y < s.rows.end; y++) {
      for (int64_t at = begin; at < end; at += lines[n++].count) {
        const int64_t from = v.columns.source(at);
        const Range taps = tapsInside(v.columns, from);
        Line& line = lines[n];
        line.count = 1;
        while (v.columns.inside(from) && at + line.count < end &&
               v.columns.inside(v.columns.source(at + line.count))) {
          line.count++;
        }
        line.to = (y - s.rows.begin) * toRow + (at - begin) * p.lanes;
        line.toPixel = p.lanes;
        line.columns = taps.end - taps.begin;
        line.column = v.columns.spacing * p.sourceLanes;
        line.pixel = v.columns.stride * p.sourceLanes;
        line.filterColumn = kLanes;
        line.first = line.columns > 0 ? (from + taps.begin * v.columns.spacing) * p.sourceLanes : 0;
        fillTaps(n, v, y, taps.begin,
                 [&](int64_t row, int64_t) { return (row - top) * p.sourceWidth * p.sourceLanes; });
      }
    }
    return n;
  }
  // The sums of a strip where p.squares, into the lanes of `sink`.
  void march(const Strip& s, int64_t toRow, const float* w, const Sink& sink, AheadBySteps& reads,
             AheadBySteps& writes) const {
    const View v = p.view(0);
    const Range columns = columnsOf(s);
    const int64_t width = columns.end - columns.begin, groups = ceilDiv(width, kSquareColumns);
    const int64_t row = v.rows.source(s.rows.begin), count = s.rows.end - s.rows.begin;
    const Range inside = {maxOf(0, -row), minOf(count + 2, v.rows.size - row)};
    Squares t = {count, inside, p.sourceWidth * p.sourceLanes, p.sourceLanes, toRow, p.lanes, {}, kPadding,
                 sink.around};
    for (int k = 0; k < 3; k++) {
      for (int l = 0; l < 3; l++) t.filter[k][l] = (v.rows.tap(k) * 3 + v.columns.tap(l)) * kLanes;
    }
    const float* const from = x + (s.image * p.sourceHeight + row) * t.sourceRow + blocksOf(s).begin * kLanes;
    for (int64_t lane = 0; lane < sink.lanes; lane += W) {
      const float* const filter = w + lane / kLanes * p.taps() * kLanes + lane % kLanes;
      for (int64_t group = 0; group < groups; group++) {
        const int64_t at = width * group / groups, n = width * (group + 1) / groups - at;
        const int64_t first = v.columns.source(columns.begin + at);
        kMarchSquares[n - 1](t, first < 0, first + n + 2 > v.columns.size, from + first * p.sourceLanes + lane, filter,
                             sink.at + at * p.lanes + lane, reads, writes);
      }
    }
  }
};

// Rows of the result [rows), all images' rows counted as one.
void sumRows(const Call& call, const Run& run, const Problem& p, Range rows, Epilogue* epilogue,
             bool wholeRows) {
  char* const scratch = run.scratch;
  const Work work = {p, (const float*)run.ptr[call.inputs[0]], (const float*)run.ptr[call.inputs[1]],
                     (float*)(scratch + call.custom[2]), (float*)(scratch + call.custom[3]),
                     (Line*)(scratch + call.custom[4]), (int32_t*)(scratch + call.custom[5])};
  work.packFilter();
  float* const stored = call.custom[0] >= 0 ? (float*)run.ptr[call.custom[0]] : nullptr;
  const bool around = call.custom[6] && ((uintptr_t)stored & (kLanes * 4 - 1)) == 0;
  const Strips strips = {rows, p.height, p.rows, p.segments, ceilDiv(p.blocks, p.atOnce)};
  Strip s = strips.begin();
  Held held(p.slots);
  Range fresh = held.want(work.sourceRows(s));
  while (!strips.ends(s)) {
    const Strip next = strips.after(s);
    const bool last = strips.ends(next);
    if (!continues(next, s)) held = Held(p.slots);
    const Range nextFresh = last ? Range{0, 0} : held.want(work.sourceRows(next));

    const ChannelRows source = work.sourceOf(s);
    const Range blocks = work.blocksOf(s), columns = work.columnsOf(s);
    const int64_t count = s.rows.end - s.rows.begin, width = columns.end - columns.begin;
    const int64_t pixel = (s.image * p.height + s.rows.begin) * p.width + columns.begin;
    const int64_t toRow = (stored ? p.width : width) * p.lanes;
    float* const c = stored ? stored + pixel * p.lanes : (float*)(scratch + call.custom[1]);
    const int64_t top = p.inPlace ? work.sourceRows(s).begin : 0;
    const int64_t nLines = p.squares ? 0 : p.inPlace ? work.cutInPlace(s, top, toRow) : work.cut(s, source, toRow);
    AheadBySteps reads, writes;
    if (!last) {
      int64_t steps = p.squares ? ceilDiv(width, kSquareColumns) * (count + 2) * (kLanes / W) : 0;
      for (int64_t i = 0; i < nLines; i++) steps += ceilDiv(work.lines[i].count, kPixels);
      steps *= blocks.end - blocks.begin;
      const ChannelRows coming = work.sourceOf(next);
      const Range own = work.blocksOf(next), to = work.columnsOf(next);
      const int64_t begin = maxOf(0, coming.first), end = minOf(p.sourceWidth, coming.first + p.columns);
      const int64_t lane = own.begin * kLanes * p.spread.times / p.spread.each;
      const int64_t behind =
          minOf(p.sourceLanes, own.end * kLanes * p.spread.times / p.spread.each);
      reads = AheadBySteps(coming.source + (nextFresh.begin * p.sourceWidth + begin) * p.sourceLanes + lane,
                    behind - lane, p.sourceLanes, maxOf(0, end - begin), p.sourceWidth,
                    nextFresh.end - nextFresh.begin, steps);
      if (stored && !around) {
        const int64_t first = own.begin * kLanes;
        writes = AheadBySteps(stored + ((next.image * p.height + next.rows.begin) * p.width + to.begin) * p.lanes + first,
                       minOf(p.lanes, own.end * kLanes) - first, p.lanes, to.end - to.begin, p.width,
                       next.rows.end - next.rows.begin, steps);
      }
    }
    const int64_t firstLane = blocks.begin * kLanes, laneEnd = minOf(p.lanes, blocks.end * kLanes);
    if (p.squares) {
      const Sink sink = {c + firstLane, laneEnd - firstLane, around};
      work.march(s, toRow, work.filter + blocks.begin * p.taps() * kLanes, sink, reads, writes);
    } else {
      if (!p.inPlace) source.copy(fresh, firstLane, laneEnd - firstLane, work.ring);
      for (int64_t b = blocks.begin; b < blocks.end; b++) {
        const int64_t lane = b * kLanes, n = minOf(kLanes, p.lanes - lane);
        const float* const filter = work.filter + b * p.taps() * kLanes;
        const float* const from = p.inPlace ? source.source + top * p.sourceWidth * p.sourceLanes + lane
                                            : work.ring + (b - blocks.begin) * source.perBlock();
        const Sink sink = {c + lane, n, around};
        for (int64_t i = 0; i < nLines; i++) {
          sumLineOf(work.lines[i], n)(work.lines[i], from, filter, sink, reads, writes);
        }
      }
    }
    if (epilogue) {
      const int64_t first = wholeRows ? 0 : firstLane, n = wholeRows ? p.lanes : laneEnd - firstLane;
      const bool joined = width == p.width;  // rows are one piece
      for (int64_t r = 0; r < (joined ? 1 : count); r++) {
        epilogue->apply(c + r * toRow + first, p.lanes, pixel + r * p.width, joined ? count * width : width, first, n);
      }
    }
    s = next;
    fresh = nextFresh;
  }
  if (around) storesDone();
}

}  // namespace

// custom[0]: tensor that holds the result for the epilogue, −1 for scratch memory; byte offsets in scratch of [1] rows
// of the result, [2] the rings, [3] the filter, [4] lines, [5] their taps; [6]: whether the result is stored around
// the caches.
void planDepthwise(Call& call) {
  const Problem p(call);
  const TilePlan* tile = call.tile;
  ScratchLayout take;
  if (tile) take(tile->scratchBytes);
  call.custom[0] = tile ? tile->blockTensor : call.outputs[0];
  call.custom[1] = take(call.custom[0] < 0 ? p.resultFloats() * 4 : 0);
  call.custom[2] = take(p.ringFloats() * 4);
  call.custom[3] = take(p.filterFloats() * 4);
  call.custom[4] = take(p.lines() * (int64_t)sizeof(Line));
  call.custom[5] = take(p.lineTaps() * 2 * 4);
  const int64_t rows = p.g.batch * p.height, result = rows * p.width * p.lanes;
  // (Zen 3: of 26 MB, half as fast around the caches; of 51 MB, 1.4 times as fast.)
  call.custom[6] = !tile && result >= 2 * kAroundFrom && p.lanes % kLanes == 0 && kLanes * 4 >= 64;
  call.scratchBytes = take.bytes;
  call.sharedBytes = 0;
  call.phases = 1;
  const int64_t lanes = result * (tile ? 2 + tile->nOps + tile->nInputs : 1);
  call.work = p.g.multiplications() / (2 * W) + lanes / 12;
  call.maxParts = maxOf(1, rows);
}

void runDepthwise(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const Problem p(call);
  if (p.lanes == 0 || p.width == 0) return;
  const Range rows = split(p.g.batch * p.height, 1, part, parts);
  if (rows.begin >= rows.end) return;
  if (!call.tile) {
    sumRows(call, run, p, rows, nullptr, false);
    return;
  }
  const int64_t n = p.lanes;
  const bool wholeRows = n <= kTileLanes / 2 && p.atOnce >= p.blocks;
  const int64_t lanes = wholeRows ? minOf(kTileLanes / n, (rows.end - rows.begin) * p.width) * n
                                  : minOf(kTileLanes, n);
  Epilogue epilogue(call, run, lanes, wholeRows, n);
  sumRows(call, run, p, rows, &epilogue, wholeRows);
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
