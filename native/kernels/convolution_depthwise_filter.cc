// conv2dFilterGradient in which every input channel is a group of its own: for each tap the sum of x·dy over all
// pixels, vectors of channels. A chain along some rows of one image, such chains added in order, chunks of rows
// (whose number follows from the shape) added in order. channel_rows.h has how x and dy are read, and
// depthwise_filter_square.h what reads them in place for 3×3 neighbouring taps.
#include "channel_rows.h"
#include "convolution.h"
#include "depthwise_filter_square.h"
#include "epilogue.h"
#include "scratch.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

// Vectors of 3×3 sums that the registers hold.
constexpr int kSquareVectors = LW_MARCHES_FILTERS ? 2 : 1;
// Neighbouring taps of one row, otherwise.
constexpr int kTaps = 4;

// Times that a pixel of dy is read, at least.
constexpr int64_t kPasses = kWide / kSquareVectors;

// Of what is read where it is: floats of x and dy in a strip, so that L2 has them and those that come next; rows, of fewer
// channels if need be (one row, however long); terms of a chain.
constexpr int64_t kStripFloats = 72 * 1024, kFewestRows = 4, kMostTerms = 256;

// A few lines of it are asked for every so many pixels.
constexpr int kPixelsPerStep = 4;

// One row of dy in a segment.
struct Line {
  Range taps;             // rows of taps that lie inside of x
  const int32_t* source;  // floats from the block's first to the first pixel of each row of taps
  int64_t dy;             // and of dy
};

// A strip of them. Distances in floats.
struct Lines {
  const Line* lines;
  int64_t count, pixels;      // lines, and each one's pixels
  int64_t tap, pixel;
};

// U pixels' terms of R rows of T taps, V vectors. Neighbouring taps, pixels STRIDE blocks apart, or any if 0.
template <int U, int R, int T, int V, int STRIDE>
LW_INLINE void addPixels(VF acc[R][T][V], const Lines& s, const float* const at[R], const float* dy) {
  const int64_t pixel = STRIDE > 0 ? STRIDE * kLanes : s.pixel, tap = STRIDE > 0 ? kLanes : s.tap;
#pragma GCC unroll 4
  for (int p = 0; p < U; p++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
      const VF d = load(dy + p * kLanes + v * W);
#pragma GCC unroll 3
      for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) {
          acc[r][t][v] = fma(load(at[r] + p * pixel + t * tap + v * W), d, acc[r][t][v]);
        }
      }
    }
  }
}

// sums[r][t] += Σ x·dy over lines [range), for R rows of taps from row k on, T of their taps from column l on, V
// vectors; the sums of a row of taps are `width` blocks.
template <int R, int T, int V, int STRIDE>
void sumTaps(const Lines& s, Range range, int64_t k, int64_t l, const float* x, const float* dy, int64_t width,
             float* sums, ComingPixels& coming) {
  VF acc[R][T][V];
#pragma GCC unroll 3
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) {
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) acc[r][t][v] = zero();
    }
  }
  for (int64_t i = range.begin; i < range.end; i++) {
    const float* at[R];
#pragma GCC unroll 3
    for (int r = 0; r < R; r++) at[r] = x + s.lines[i].source[k + r] + l * s.tap;
    const float* d = dy + s.lines[i].dy;
    const auto advance = [&](int64_t n) __attribute__((always_inline)) {
      d += n * kLanes;
#pragma GCC unroll 3
      for (int r = 0; r < R; r++) at[r] += n * s.pixel;
    };
    int64_t p = 0;
    for (; p + kPixelsPerStep <= s.pixels; p += kPixelsPerStep) {
      coming.step();
      if constexpr (STRIDE > 0) {
        addPixels<kPixelsPerStep, R, T, V, STRIDE>(acc, s, at, d);
        advance(kPixelsPerStep);
      } else {
        for (int j = 0; j < kPixelsPerStep; j++, advance(1)) addPixels<1, R, T, V, STRIDE>(acc, s, at, d);
      }
    }
    for (; p < s.pixels; p++, advance(1)) addPixels<1, R, T, V, STRIDE>(acc, s, at, d);
  }
#pragma GCC unroll 3
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) {
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) {
        float* const to = sums + ((k + r) * width + l + t) * kLanes + v * W;
        store(to, load(to) + acc[r][t][v]);
      }
    }
  }
}
using SumTaps = void (*)(const Lines& s, Range range, int64_t k, int64_t l, const float* x, const float* dy,
                         int64_t width, float* sums, ComingPixels& coming);
// By taps − 1, vectors − 1.
#define LW_SUM_TAPS(T) {sumTaps<1, T, 1, 0>, sumTaps<1, T, kWide, 0>}
constexpr SumTaps kSumTaps[kTaps][kWide] = {LW_SUM_TAPS(1), LW_SUM_TAPS(2), LW_SUM_TAPS(3), LW_SUM_TAPS(4)};
// Of 3×3 taps and neighbouring pixels, pixels one apart or two, and any others.
constexpr SumTaps kSumSquares[3] = {sumTaps<3, 3, kSquareVectors, 0>, sumTaps<3, 3, kSquareVectors, 1>,
                                    sumTaps<3, 3, kSquareVectors, 2>};

// All taps of one block, of which `lanes` are asked for.
void sumBlock(const Lines& s, int64_t height, int64_t width, const float* x, const float* dy, int64_t lanes,
              float* sums, ComingPixels& coming) {
  // The lines that meet all rows of taps of a square.
  Range whole = {0, 0};
  if (height == 3 && width == 3) {
    while (whole.begin < s.count && s.lines[whole.begin].taps.end - s.lines[whole.begin].taps.begin < 3) whole.begin++;
    whole.end = whole.begin;
    while (whole.end < s.count && s.lines[whole.end].taps.end - s.lines[whole.end].taps.begin == 3) whole.end++;
    const int64_t stride = s.tap != kLanes || s.pixel > 2 * kLanes ? 0 : s.pixel / kLanes;
    const SumTaps sum = kSumSquares[stride];
    if (whole.begin < whole.end) {
      for (int64_t v = 0; v < lanes; v += kSquareVectors * W) {
        sum(s, whole, 0, 0, x + v, dy + v, width, sums + v, coming);
      }
    }
  }
  const int vectors = lanes > W ? kWide : 1;
  const auto sumRows = [&](Range some) {
    for (int64_t k = 0; k < height; k++) {
      // The lines that row k of taps lies inside of x for.
      Range own = some;
      const auto meets = [&](int64_t i) { return s.lines[i].taps.begin <= k && k < s.lines[i].taps.end; };
      while (own.begin < own.end && !meets(own.begin)) own.begin++;
      while (own.begin < own.end && !meets(own.end - 1)) own.end--;
      if (own.begin == own.end) continue;
      for (int64_t l = 0; l < width;) {
        const int64_t left = width - l, n = left / ceilDiv(left, kTaps);
        kSumTaps[n - 1][vectors - 1](s, own, k, l, x, dy, width, sums, coming);
        l += n;
      }
    }
  };
  sumRows({0, whole.begin});
  sumRows({whole.end, s.count});
}

// How a call is cut up, by its shape alone.
struct Problem {
  Geometry g;
  View v;
  int64_t positions, segments;  // of a row of dy, at a time
  int64_t rows;                 // of dy, at a time
  int64_t columns, slots;       // of x: what a ring holds
  int64_t blocks, atOnce, chunks;
  Spread spread;
  bool squares;  // x and dy are read where they are, by sums that march down

  explicit Problem(const Call& call)
      : g(call), v(forwardView(g)), spread{1, maxOf(1, g.groupFilters()), 1} {
    squares = LW_MARCHES_FILTERS && spread.each == 1 && g.filters % W == 0 && v.neighbours() && v.rows.mostlyInside() &&
              v.columns.mostlyInside();
    segments = squares ? 1 : maxOf(1, ceilDiv(g.outWidth, kSegment));
    positions = ceilDiv(g.outWidth, segments);
    columns = positions > 0 ? (positions - 1) * v.columns.stride + (v.columns.taps - 1) * v.columns.spacing + 1 : 0;
    blocks = ceilDiv(g.filters, kLanes);
    const auto rowsOf = [&](int64_t r) {
      return minOf(maxOf(1, g.height), (r - 1) * v.rows.stride + (v.rows.taps - 1) * v.rows.spacing + 1);
    };
    if (squares) {
      // Of as many channels as leave some rows.
      const int64_t row = maxOf(1, g.width + g.outWidth) * kLanes, most = maxOf(1, kStripFloats / kFewestRows / row);
      atOnce = nearEqual(blocks, most);
      const int64_t fit = minOf(kStripFloats / (row * maxOf(1, atOnce)), kMostTerms / kFilterColumns);
      rows = nearEqual(g.outHeight, maxOf(1, fit));
    } else {
      rows = rowsAtATime(columns, g.outHeight, rowsOf);
    }
    slots = maxOf(1, rowsOf(rows));
    if (!squares) atOnce = blocksAtATime(maxOf(1, blocks), perBlock() + dyPerBlock());
    // Parts are chunks of rows and blocks of channels: few chunks where there are many channels.
    constexpr int64_t kRowsEach = 8, kMost = 64;
    chunks = maxOf(1, minOf(ceilDiv(kMost, ceilDiv(maxOf(1, g.filters), 16)), g.batch * g.outHeight / kRowsEach));
  }
  int64_t terms() const { return g.kernelHeight * g.kernelWidth; }
  int64_t sumFloats() const { return terms() * kLanes; }  // of a block in a chunk
  int64_t perBlock() const { return slots * ringPitch(columns); }
  int64_t dyPerBlock() const { return rows * ringPitch(positions); }
  int64_t groups() const { return ceilDiv(g.outWidth, kFilterColumns); }  // of columns that march down
};

// Adds what a strip adds to the sums of `lanes` lanes, from x and dy where they are; x and dy at the first lane of the
// images, sums at its block's.
void sumInPlace(const Problem& p, const Strip& s, int64_t lanes, const float* x, const float* dy, float* sums,
                ComingPixels& coming) {
  const Geometry& g = p.g;
  const View& v = p.v;
  const int64_t first = v.rows.source(s.rows.begin), from = v.columns.source(0), count = s.rows.end - s.rows.begin;
  const FilterSquares squares = {count, first < 0, first + count + 2 > g.height, g.width * g.channels, g.channels,
                                 g.outWidth * g.filters, g.filters};
  // Near-equal groups of columns: some of `most`, then some of one less.
  const int64_t groups = p.groups(), most = ceilDiv(g.outWidth, groups), fewer = groups * most - g.outWidth;
  const int64_t last = from + g.outWidth + 2;  // behind the columns of x
  x += ((s.image * g.height + first) * g.width + from) * g.channels;
  dy += (s.image * g.outHeight + s.rows.begin) * g.outWidth * g.filters;
  for (int64_t lane = 0; lane < lanes; lane += W) {
    float* const to = sums + lane / kLanes * p.sumFloats() + lane % kLanes;
    for (int64_t group = 0, column = 0; group < groups;) {
      const bool whole = group < groups - fewer;
      const int64_t wide = most - !whole, left = (whole ? groups - fewer : groups) - group;
      const int64_t n = minOf(left, maxOf(1, kMostTerms / (wide * count)));
      const FilterColumns columns = {n, group == 0 && from < 0, group + n == groups && last > g.width};
      kAddSquares[wide - 1](squares, columns, x + column * g.channels + lane, dy + column * g.filters + lane, to, coming);
      group += n;
      column += n * wide;
    }
  }
}

// sums [blocks][terms][kLanes] = those of rows [rows) of dy, for blocks [blocks).
void sumChunk(const Call& call, const Run& run, const Problem& p, Range rows, Range blocks, float* sums) {
  const float *const x = (const float*)run.ptr[call.inputs[0]], *const dy = (const float*)run.ptr[call.inputs[1]];
  float *const rings = (float*)(run.scratch + call.custom[1]), *const copied = (float*)(run.scratch + call.custom[4]);
  Line* const lines = (Line*)(run.scratch + call.custom[2]);
  int32_t* const offsets = (int32_t*)(run.scratch + call.custom[3]);
  const Geometry& g = p.g;
  const View& v = p.v;
  for (int64_t i = 0; i < (blocks.end - blocks.begin) * p.sumFloats(); i += W) store(sums + i, zero());
  if (rows.begin >= rows.end || p.positions == 0) return;

  const Strips strips = {rows, g.outHeight, p.rows, p.segments, ceilDiv(blocks.end - blocks.begin, p.atOnce)};
  const auto blocksOf = [&](const Strip& s) {
    const int64_t begin = blocks.begin + s.slice * p.atOnce;
    return Range{begin, minOf(blocks.end, begin + p.atOnce)};
  };
  const auto columnsOf = [&](const Strip& s) {
    return Range{s.segment * p.positions, minOf(g.outWidth, (s.segment + 1) * p.positions)};
  };
  const auto sourceOf = [&](const Strip& s) {
    return ChannelRows{x + s.image * g.height * g.width * g.channels, g.height, g.width, g.channels, p.spread,
                       p.slots, ringPitch(p.columns), v.columns.source(columnsOf(s).begin), p.columns};
  };
  const auto sourceRows = [&](const Strip& s) {
    const int64_t first = v.rows.source(s.rows.begin), last = v.rows.source(s.rows.end - 1);
    return Range{maxOf(0, first), minOf(g.height, last + (v.rows.taps - 1) * v.rows.spacing + 1)};
  };
  const auto dyOf = [&](const Strip& s) {
    return ChannelRows{dy + s.image * g.outHeight * g.outWidth * g.filters, g.outHeight, g.outWidth, g.filters,
                       Spread{1, 1, 1}, p.rows, ringPitch(p.positions), columnsOf(s).begin, p.positions};
  };
  const auto pixelOf = [&](const Strip& s, int64_t row) {
    return dy + ((s.image * g.outHeight + row) * g.outWidth + columnsOf(s).begin) * g.filters;
  };
  Strip s = strips.begin();
  Held held(p.slots);
  Range fresh = held.want(sourceRows(s));
  while (!strips.ends(s)) {
    const Strip next = strips.after(s);
    const bool last = strips.ends(next);
    if (!continues(next, s)) held = Held(p.slots);
    const Range nextFresh = last ? Range{0, 0} : held.want(sourceRows(next));
    const ChannelRows source = sourceOf(s), result = dyOf(s);
    const Range own = blocksOf(s), columns = columnsOf(s);
    Lines all = {lines, s.rows.end - s.rows.begin, columns.end - columns.begin, v.columns.spacing * kLanes,
                 v.columns.stride * kLanes};
    ComingPixels coming;
    if (!last) {
      const int64_t steps = (own.end - own.begin) *
                            (p.squares ? (all.count + 2) * p.groups() * kWide
                                       : all.count * maxOf(1, all.pixels / kPixelsPerStep) * kPasses);
      const Range theirs = blocksOf(next), to = columnsOf(next);
      const ChannelRows more = sourceOf(next);
      const int64_t begin = maxOf(0, more.first), end = minOf(g.width, more.first + p.columns);
      const int64_t lane = theirs.begin * kLanes, laneEnd = minOf(g.filters, theirs.end * kLanes);
      coming.x = AheadBySteps(more.source + (nextFresh.begin * g.width + begin) * g.channels + lane / p.spread.each,
                       (laneEnd - lane) / p.spread.each, g.channels, maxOf(0, end - begin), g.width,
                       nextFresh.end - nextFresh.begin, steps);
      coming.dy = AheadBySteps(pixelOf(next, next.rows.begin) + lane, laneEnd - lane, g.filters, to.end - to.begin,
                        g.outWidth, next.rows.end - next.rows.begin, steps);
    }
    const int64_t firstLane = own.begin * kLanes, allLanes = minOf(g.filters, own.end * kLanes) - firstLane;
    if (p.squares) {
      sumInPlace(p, s, allLanes, x + firstLane, dy + firstLane, sums + (own.begin - blocks.begin) * p.sumFloats(), coming);
    } else {
      for (int64_t i = 0; i < all.count; i++) {
        const int64_t from = v.rows.source(s.rows.begin + i);
        int32_t* const at = offsets + i * g.kernelHeight;
        lines[i] = {tapsInside(v.rows, from), at, result.at(s.rows.begin + i, 0)};
        for (int64_t k = lines[i].taps.begin; k < lines[i].taps.end; k++) {
          at[k] = (int32_t)source.at(from + k * v.rows.spacing, 0);
        }
      }
      source.copy(fresh, firstLane, allLanes, rings);
      result.copy(s.rows, firstLane, allLanes, copied);
      for (int64_t b = own.begin; b < own.end; b++) {
        const int64_t in = b - own.begin, n = minOf(kLanes, allLanes - in * kLanes);
        sumBlock(all, g.kernelHeight, g.kernelWidth, rings + in * p.perBlock(), copied + in * p.dyPerBlock(), n,
                 sums + (b - blocks.begin) * p.sumFloats(), coming);
      }
    }
    s = next;
    fresh = nextFresh;
  }
}

// Adds the chunks' sums and runs the epilogue, some taps in each part.
void addSums(const Call& call, const Run& run, const Problem& p, const float* sums, float* result, int64_t part,
             int64_t parts) {
  const Range taps = split(p.terms(), 1, part, parts);
  const int64_t n = p.g.filters;
  if (taps.begin >= taps.end) return;
  for (int64_t tap = taps.begin; tap < taps.end; tap++) {
    for (int64_t b = 0; b < p.blocks; b++) {
      for (int64_t v = 0; v < kLanes && b * kLanes + v < n; v += W) {
        const float* from = sums + b * p.sumFloats() + tap * kLanes + v;
        VF sum = load(from);
        for (int64_t chunk = 1; chunk < p.chunks; chunk++) {
          from += p.blocks * p.sumFloats();
          sum += load(from);
        }
        const int64_t lane = b * kLanes + v;
        float* const to = result + tap * n + lane;
        if (n - lane >= W) store(to, sum);
        else storePartial(to, sum, n - lane);
      }
    }
  }
  if (!call.tile) return;
  const int64_t count = taps.end - taps.begin;
  const bool wholeRows = n <= kTileLanes / 2;
  const int64_t lanes = wholeRows ? minOf(kTileLanes / n, count) * n : minOf(kTileLanes, n);
  Epilogue epilogue(call, run, lanes, wholeRows, n);
  epilogue.apply(result + taps.begin * n, n, taps.begin, count, 0, n);
}

}  // namespace

// custom[0]: tensor that holds the result for the epilogue, −1 for shared memory; byte offsets in scratch of [1] the
// rings, [2] lines, [3] their rows of taps, [4] the copy of dy.
void planDepthwiseFilter(Call& call) {
  const Problem p(call);
  const TilePlan* tile = call.tile;
  ScratchLayout take;
  if (tile) take(tile->scratchBytes);
  call.custom[0] = tile ? tile->blockTensor : call.outputs[0];
  call.custom[1] = take(p.squares ? 0 : p.atOnce * p.perBlock() * 4);
  call.custom[2] = take(p.rows * (int64_t)sizeof(Line));
  call.custom[3] = take(p.rows * p.g.kernelHeight * 4);
  call.custom[4] = take(p.squares ? 0 : p.atOnce * p.dyPerBlock() * 4);
  call.scratchBytes = take.bytes;
  const int64_t result = p.terms() * p.g.filters;
  call.sharedBytes = (p.chunks * p.blocks * p.sumFloats() + (call.custom[0] < 0 ? result : 0)) * 4;
  call.phases = 2;
  const int64_t lanes = result * (tile ? 2 + tile->nOps + tile->nInputs : 1);
  call.work = p.g.multiplications() / (2 * W) + lanes / 12;
  call.maxParts = maxOf(1, maxOf(p.chunks * p.blocks, p.terms()));
}

void runDepthwiseFilter(const Call& call, const Run& run, int phase, int64_t part, int64_t parts) {
  const Problem p(call);
  if (p.g.filters == 0) return;
  float* const sums = (float*)run.shared;
  if (phase == 1) {
    float* const result = call.custom[0] >= 0 ? (float*)run.ptr[call.custom[0]]
                                              : sums + p.chunks * p.blocks * p.sumFloats();
    addSums(call, run, p, sums, result, part, parts);
    return;
  }
  // Units: blocks of chunk 0, of chunk 1 …
  Range units = split(p.blocks * p.chunks, 1, part, parts);
  while (units.begin < units.end) {
    const int64_t chunk = units.begin / p.blocks, first = units.begin % p.blocks;
    const int64_t count = minOf(p.blocks - first, units.end - units.begin);
    sumChunk(call, run, p, split(p.g.batch * p.g.outHeight, 1, chunk, p.chunks), {first, first + count},
             sums + (chunk * p.blocks + first) * p.sumFloats());
    units.begin += count;
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
