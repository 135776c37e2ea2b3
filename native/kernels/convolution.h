// What the convolutions share: their sizes, and how the patch of x that belongs to one pixel is read.
//
// One dimension of a patch is an arithmetic progression, forward and backward: position p of the result
// meets source elements p·stride + offset + t·spacing for taps t = 0 … taps−1, which are the filter's
// taps first + t·step. A convolution with a stride of s gives back to its input in s phases, one for the
// positions at, at + s, at + 2s … each: every phase is a convolution with stride 1 over the taps of that
// remainder, turned round.
#pragma once

#include "ahead.h"
#include "blocks_of_k.h"
#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

struct Geometry {
  int64_t batch, height, width, channels, outHeight, outWidth, filters, kernelHeight, kernelWidth,
      strideHeight, strideWidth, padTop, padLeft, dilationHeight, dilationWidth, groups;
  bool winograd;
  explicit Geometry(const Call& call)
      : batch(call.ints[0]), height(call.ints[1]), width(call.ints[2]), channels(call.ints[3]),
        outHeight(call.ints[4]), outWidth(call.ints[5]), filters(call.ints[6]),
        kernelHeight(call.ints[7]), kernelWidth(call.ints[8]), strideHeight(call.ints[9]),
        strideWidth(call.ints[10]), padTop(call.ints[11]), padLeft(call.ints[12]),
        dilationHeight(call.ints[13]), dilationWidth(call.ints[14]), groups(call.ints[15]),
        winograd(call.ints[16] != 0) {}
  int64_t groupChannels() const { return channels / groups; }
  int64_t groupFilters() const { return filters / groups; }
  int64_t terms() const { return kernelHeight * kernelWidth * groupChannels(); }
  // Every channel is a group, of one result or of several.
  // Without filters there is nothing to copy channel by channel.
  bool depthwise() const { return groups > 1 && groups == channels && filters > 0; }
  int64_t multiplications() const { return batch * outHeight * outWidth * filters * terms(); }
};

struct Axis {
  int64_t taps, first, step;
  int64_t stride, offset, spacing, size;  // of the source
  int64_t count, at, every;               // positions of the result: at + p·every

  int64_t tap(int64_t t) const { return first + t * step; }
  int64_t source(int64_t p) const { return p * stride + offset; }
  // Whether no position has more than one tap in the padding of a side, at a stride and a spacing of 1.
  bool mostlyInside() const { return offset >= -1 && offset <= 0 && count + offset + taps - 2 <= size; }
  // Whether every tap of a position lies inside of the source, given its first.
  bool inside(int64_t from) const { return from >= 0 && from + (taps - 1) * spacing < size; }
  bool inside(int64_t from, int64_t t) const {
    const int64_t s = from + t * spacing;
    return s >= 0 && s < size;
  }
};

LW_INLINE Axis forwardAxis(int64_t size, int64_t count, int64_t taps, int64_t stride, int64_t pad,
                           int64_t dilation) {
  return {taps, 0, 1, stride, -pad, dilation, size, count, 0, 1};
}

LW_INLINE int64_t modulo(int64_t a, int64_t n) { return ((a % n) + n) % n; }
LW_INLINE int64_t commonDivisor(int64_t a, int64_t b) {
  while (b != 0) {
    const int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

// The phase of positions at, at + stride, … of the input: i·stride = position + pad − tap·dilation.
LW_INLINE Axis backwardAxis(int64_t size, int64_t count, int64_t taps, int64_t stride, int64_t pad,
                            int64_t dilation, int64_t at) {
  const int64_t positions = at < size ? (size - at + stride - 1) / stride : 0;
  Axis axis = {0, 0, 0, 1, 0, 1, count, positions, at, stride};
  // Taps of the right remainder: one in `period`, from the first below it.
  const int64_t period = stride / commonDivisor(stride, dilation), most = minOf(period, taps);
  int64_t first = 0;
  while (first < most && modulo(at + pad - first * dilation, stride) != 0) first++;
  if (first == most) return axis;
  axis.taps = (taps - 1 - first) / period + 1;
  axis.first = first + (axis.taps - 1) * period;
  axis.step = -period;
  axis.spacing = period * dilation / stride;
  axis.offset = (at + pad - axis.first * dilation) / stride;
  return axis;
}

// Taps of an axis that lie inside for a position whose first tap meets source element `from`: [begin, end).
LW_INLINE Range tapsInside(const Axis& axis, int64_t from) {
  const int64_t begin = from >= 0 ? 0 : (-from + axis.spacing - 1) / axis.spacing;
  const int64_t last = axis.size - 1 - from;
  const int64_t end = last < 0 ? 0 : last / axis.spacing + 1;
  return {minOf(begin, axis.taps), minOf(end, axis.taps)};
}

// Positions whose tap t lies inside of the source.
LW_INLINE Range positionsInside(const Axis& axis, int64_t t) {
  const int64_t from = -(axis.offset + t * axis.spacing), last = axis.size - 1 + from;
  const int64_t begin = from <= 0 ? 0 : ceilDiv(from, axis.stride), end = last < 0 ? 0 : last / axis.stride + 1;
  return {minOf(begin, axis.count), minOf(end, axis.count)};
}

// All patches of a convolution or of one phase of its input's gradient.
struct View {
  Axis rows, columns;
  int64_t batch, pitch, depth;  // elements of a source pixel, and those of one group
  int64_t patches() const { return batch * rows.count * columns.count; }
  int64_t terms() const { return rows.taps * columns.taps * depth; }
  // Terms of a block of products: of many channels those of one tap or equal parts of them, so that pixels can be left out.
  int64_t blockTerms() const {
    const int64_t perTap = ceilDiv(maxOf(1, depth), kBlockK);
    return 2 * depth > kBlockK && depth % perTap == 0 ? depth / perTap : kBlockK;
  }
  // 3×3 taps that lie side by side, at stride 1.
  bool neighbours() const {
    const auto three = [](const Axis& a) { return a.taps == 3 && a.stride == 1 && a.spacing == 1; };
    return three(rows) && three(columns) && dense();
  }
  // Patches follow each other in the result.
  bool dense() const { return rows.every == 1 && columns.every == 1; }
};

// Source rows that `rows` rows of patches meet, and the length of one with its padding, in pixels.
LW_INLINE int64_t sourceRows(const View& v, int64_t rows) {
  return (rows - 1) * v.rows.stride + (v.rows.taps - 1) * v.rows.spacing + 1;
}
LW_INLINE int64_t sourceWidth(const View& v) {
  return (v.columns.count - 1) * v.columns.stride + (v.columns.taps - 1) * v.columns.spacing + 1;
}

LW_INLINE View forwardView(const Geometry& g) {
  return {forwardAxis(g.height, g.outHeight, g.kernelHeight, g.strideHeight, g.padTop, g.dilationHeight),
          forwardAxis(g.width, g.outWidth, g.kernelWidth, g.strideWidth, g.padLeft, g.dilationWidth),
          g.batch, g.channels, g.groupChannels()};
}
LW_INLINE int64_t backwardViews(const Geometry& g) {
  return minOf(g.strideHeight, g.height) * minOf(g.strideWidth, g.width);
}
// Of an image without pixels, which has no phases, phase 0 is a view without patches.
LW_INLINE View backwardView(const Geometry& g, int64_t phase) {
  const int64_t across = maxOf(1, minOf(g.strideWidth, g.width));
  return {backwardAxis(g.height, g.outHeight, g.kernelHeight, g.strideHeight, g.padTop, g.dilationHeight,
                       phase / across),
          backwardAxis(g.width, g.outWidth, g.kernelWidth, g.strideWidth, g.padLeft, g.dilationWidth,
                       phase % across),
          g.batch, g.filters, g.groupFilters()};
}

// A position in the batch's images, moved from patch to patch.
struct Position {
  int64_t image, row, column;
  Position(const View& v, int64_t patch)
      : image(patch / (v.rows.count * v.columns.count)),
        row(patch / v.columns.count % v.rows.count), column(patch % v.columns.count) {}
  LW_MEMBER void next(const View& v) {
    if (++column < v.columns.count) return;
    column = 0;
    if (++row < v.rows.count) return;
    row = 0;
    image++;
  }
};

// Copies n floats; may write up to W − 1 floats more.
LW_INLINE void copyFloats(float* to, const float* from, int64_t n) {
  if (n < W) {
    store(to, loadPartial(from, n));
    return;
  }
  int64_t i = 0;
  for (; i + W <= n; i += W) store(to + i, load(from + i));
  if (i < n) store(to + n - W, load(from + n - W));
}
LW_INLINE void zeroFloats(float* to, int64_t n) {
  for (int64_t i = 0; i < n; i += W) store(to + i, zero());
}

// The terms [begin, begin + count) of a patch as stretches of memory: one per tap, and one per row of
// taps where pixels lie side by side, which is how patches inside of the source are read.
struct Stretch {
  int64_t at, count, offset;  // from term `at` of these; elements behind the patch's first
  int64_t row, column;        // tap
};
constexpr int64_t kMostTerms = 288;
struct Stretches {
  int64_t taps = 0, runs = 0;
  Stretch byTap[kMostTerms], byRun[kMostTerms];

  LW_MEMBER Stretches(const View& v, int64_t begin, int64_t count) {
    const bool joined = v.columns.spacing == 1 && v.depth == v.pitch;
    const int64_t rowPitch = v.columns.size * v.pitch;
    for (int64_t k = begin; k < begin + count;) {
      const int64_t tap = k / v.depth, in = k % v.depth;
      const int64_t n = minOf(v.depth - in, begin + count - k);
      const int64_t row = tap / v.columns.taps, column = tap % v.columns.taps;
      const int64_t offset =
          row * v.rows.spacing * rowPitch + column * v.columns.spacing * v.pitch + in;
      byTap[taps++] = {k - begin, n, offset, row, column};
      if (joined && runs > 0 && byRun[runs - 1].row == row) byRun[runs - 1].count += n;
      else byRun[runs++] = byTap[taps - 1];
      k += n;
    }
  }
};

// Where a patch lies in the source, and whether all of it does.
struct Patch {
  const float* first;
  int64_t row, column;
  bool inside;
  LW_MEMBER Patch(const View& v, const float* source, const Position& p)
      : row(v.rows.source(p.row)), column(v.columns.source(p.column)) {
    first = source + ((p.image * v.rows.size + row) * v.columns.size + column) * v.pitch;
    inside = v.rows.inside(row) && v.columns.inside(column);
  }
};

// The terms of one patch, 0 where it leaves the source; writes up to W − 1 floats more.
LW_INLINE void cutPatch(const View& v, const Stretches& s, const Patch& patch, float* to) {
  if (patch.inside) {
    for (int64_t r = 0; r < s.runs; r++) {
      const Stretch& run = s.byRun[r];
      copyFloats(to + run.at, patch.first + run.offset, run.count);
    }
    return;
  }
  for (int64_t t = 0; t < s.taps; t++) {
    const Stretch& tap = s.byTap[t];
    if (v.rows.inside(patch.row, tap.row) && v.columns.inside(patch.column, tap.column)) {
      copyFloats(to + tap.at, patch.first + tap.offset, tap.count);
    } else {
      zeroFloats(to + tap.at, tap.count);
    }
  }
}

// One line per algorithm: chosen by shape alone, planned, run.
#define LW_ALGORITHM(name)                                        \
  void plan##name(Call& call);                                    \
  void run##name(const Call& call, const Run& run, int phase, int64_t part, int64_t parts);
LW_ALGORITHM(Patches)         // conv2d and conv2dInputGradient as products of patches
LW_ALGORITHM(FilterGradient)  // conv2dFilterGradient
LW_ALGORITHM(Depthwise)       // conv2d and conv2dInputGradient where every channel is a group
LW_ALGORITHM(DepthwiseFilter) // conv2dFilterGradient of such
#undef LW_ALGORITHM
// 3×3 at stride 1 by fewer multiplications; false where it would not pay.
bool planWinograd(Call& call);
void runWinograd(const Call& call, const Run& run, int phase, int64_t part, int64_t parts);
bool planWinogradFilter(Call& call);
void runWinogradFilter(const Call& call, const Run& run, int phase, int64_t part, int64_t parts);
// Few channels of the result, with an image in each lane; false where it would not pay.
bool planImages(Call& call);
void runImages(const Call& call, const Run& run, int phase, int64_t part, int64_t parts);
bool planImagesFilter(Call& call);
void runImagesFilter(const Call& call, const Run& run, int phase, int64_t part, int64_t parts);

const float* tapRow(const Geometry& g, const View& v, const float* w, int64_t tap, int64_t j);
void packFilter(const Geometry& g, bool backward, const View& v, const float* w, int64_t k0, int64_t kc,
                int64_t j, int64_t width, float* to);
Ahead aheadOfFilter(const Geometry& g, bool backward, const View& v, const float* w, int64_t k0, int64_t j,
                    int64_t width);
// All patches of a view of few (dotsPay()), columns [cols), where the filter is read where it is; `pixels` has room for
// dotFloats().
bool dotsPay(const View& v);
int64_t dotFloats(const View& v);
void multiplyByDots(const Geometry& g, const View& v, const float* dy, const float* w, Range cols, float* pixels,
                    float* c, int64_t ldc);
void addChunks(const Call& call, const Run& run, float* sums, int64_t chunks, int64_t terms,
               int64_t columns, int64_t part, int64_t parts);

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
