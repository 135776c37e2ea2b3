// What the convolutions channel by channel read: source rows, copied block by block of channels with zeros
// for the padding of columns. In the images, a row's pixels lie whole pixels apart, which with many channels
// is the same few L1 sets again and again; in a copy they lie side by side, and every tap of a block reads there.
// All blocks are copied together, so that an image is read as it lies in memory.
//
// Rows are kept in a ring as long as results need them, each block's own, so that a source row is copied once.
#pragma once

#include "ahead.h"
#include "convolution.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// A block: kWide vectors of channels.
constexpr int kWide = 2;
constexpr int64_t kLanes = kWide * W;
// Positions of a row that are computed at a time, and rows at most: both by shape alone, whatever the vectors'
// length. Where three rows of a block fit L1 with their neighbours, more rows share what they read.
constexpr int64_t kSegment = 64, kMostRows = 8, kBlockBytes = 4 * 1024, kRingBytes = 512 * 1024;

// Which source channels a block's lanes are: lane l of plane p is channel (l·times + p) / each.
struct Spread {
  int64_t times, each, planes;
};

// The lanes [lane, lane + lanes) of `pixels` pixels as a block of one plane, whose other lanes are 0.
LW_INLINE void copyBlock(const float* from, int64_t pixels, int64_t pitch, const Spread& s, int64_t plane,
                         int64_t lane, int64_t lanes, float* to) {
  if (s.times == 1 && s.each == 1) {
    from += lane;
    if (lanes == kLanes) {
      for (int64_t x = 0; x < pixels; x++, from += pitch, to += kLanes) {
#pragma GCC unroll 2
        for (int v = 0; v < kWide; v++) store(to + v * W, load(from + v * W));
      }
      return;
    }
    for (int64_t x = 0; x < pixels; x++, from += pitch, to += kLanes) {
      for (int64_t v = 0; v < kLanes; v += W) {
        const int64_t n = minOf(W, lanes - v);
        store(to + v, n == W ? load(from + v) : n > 0 ? loadPartial(from + v, n) : zero());
      }
    }
    return;
  }
  int32_t at[kLanes];
  for (int64_t l = 0; l < lanes; l++) at[l] = (int32_t)(((lane + l) * s.times + plane) / s.each);
  for (int64_t x = 0; x < pixels; x++, from += pitch, to += kLanes) {
    for (int64_t l = 0; l < lanes; l++) to[l] = from[at[l]];
    for (int64_t l = lanes; l < kLanes; l++) to[l] = 0.0f;
  }
}

// Whole blocks of one plane, each `apart` floats from the one before.
LW_INLINE void copyBlocks(const float* from, int64_t pixels, int64_t pitch, int64_t blocks, float* to, int64_t apart) {
  for (int64_t x = 0; x < pixels; x++, from += pitch, to += kLanes) {
    float* at = to;
    for (int64_t b = 0; b < blocks; b++, at += apart) {
#pragma GCC unroll 2
      for (int v = 0; v < kWide; v++) store(at + v * W, load(from + b * kLanes + v * W));
    }
  }
}

// The source's rows in a ring, of some blocks.
struct ChannelRows {
  const float* source;   // of the image
  int64_t height, width, pixel;  // floats of a pixel
  Spread spread;
  int64_t slots, pitch;  // rows, and floats of one plane of one
  int64_t first, columns;        // source columns that are kept, some outside of the image

  LW_MEMBER int64_t perBlock() const { return slots * spread.planes * pitch; }
  // Floats from a block's first to a plane of a row.
  LW_MEMBER int64_t at(int64_t row, int64_t plane) const {
    return (row % slots * spread.planes + plane) * pitch;
  }
  // Rows [rows) of lanes [lane, lane + lanes), which begin a block: at the first block's first float.
  LW_MEMBER void copy(Range rows, int64_t lane, int64_t lanes, float* block) const {
    const int64_t left = minOf(columns, maxOf(0, -first)), begin = maxOf(0, first);
    const int64_t inside = maxOf(0, minOf(columns - left, width - begin)), apart = perBlock();
    const int64_t together = spread.times == 1 && spread.each == 1 ? lanes / kLanes * kLanes : 0;
    for (int64_t row = rows.begin; row < rows.end; row++) {
      const float* const from = source + (row * width + begin) * pixel;
      for (int64_t plane = 0; plane < spread.planes; plane++) {
        float* to = block + at(row, plane);
        copyBlocks(from + lane, inside, pixel, together / kLanes, to + left * kLanes, apart);
        for (int64_t l = 0; l < lanes; l += kLanes, to += apart) {
          zeroFloats(to, left * kLanes);
          if (l >= together) {
            copyBlock(from, inside, pixel, spread, plane, lane + l, minOf(kLanes, lanes - l), to + left * kLanes);
          }
          zeroFloats(to + (left + inside) * kLanes, (columns - left - inside) * kLanes);
        }
      }
    }
  }
};

// Floats of a row's copy: an odd number of lines, so that rows lie on different L1 sets.
LW_INLINE int64_t ringPitch(int64_t columns) { return (ceilDiv(columns * kLanes, 16) | 1) * 16; }
// Rows of the result at once; rowsOf(r) source rows meet r of them.
template <class RowsOf>
LW_INLINE int64_t rowsAtATime(int64_t columns, int64_t most, RowsOf rowsOf) {
  int64_t rows = maxOf(1, minOf(most, kMostRows));
  while (rows > 1 && rowsOf(rows) * columns * 64 > kBlockBytes) rows--;
  return rows;
}
// Near-equal parts of at most `most`: how many the largest has.
LW_INLINE int64_t nearEqual(int64_t all, int64_t most) { return all > 0 ? ceilDiv(all, ceilDiv(all, most)) : 0; }
// Blocks whose rings stay in L2.
LW_INLINE int64_t blocksAtATime(int64_t blocks, int64_t floats) {
  const int64_t most = maxOf(1, kRingBytes / 4 / maxOf(1, floats));
  return nearEqual(blocks, most);
}

// The rows that a ring holds, and which have to be copied for it to hold others: rows ask in order, mostly.
struct Held {
  int64_t slots, begin = 0, end = 0;
  LW_MEMBER explicit Held(int64_t slots) : slots(slots) {}
  LW_MEMBER Range want(Range rows) {
    if (rows.begin >= rows.end) return {0, 0};
    if (begin < end && rows.begin >= maxOf(begin, end - slots) && rows.begin <= end) {
      const Range more = {end, maxOf(end, rows.end)};
      end = more.end;
      return more;
    }
    begin = rows.begin, end = rows.end;
    return rows;
  }
};

// Some rows of the result, in one segment of their columns, of one slice of its blocks: what is computed together.
struct Strip {
  int64_t image, slice, segment;
  Range rows;
};
// The strips of rows [all), all images' rows counted as one, in order.
struct Strips {
  Range all;
  int64_t height, atOnce, segments, slices;
  Range rowsOf(int64_t image) const {
    return {maxOf(0, all.begin - image * height), minOf(height, all.end - image * height)};
  }
  Strip at(int64_t image, int64_t slice, int64_t segment, int64_t row) const {
    return {image, slice, segment, {row, minOf(row + atOnce, rowsOf(image).end)}};
  }
  Strip begin() const { return at(all.begin / height, 0, 0, all.begin % height); }
  Strip after(const Strip& s) const {
    const Range own = rowsOf(s.image);
    if (s.rows.end < own.end) return at(s.image, s.slice, s.segment, s.rows.end);
    if (s.segment + 1 < segments) return at(s.image, s.slice, s.segment + 1, own.begin);
    if (s.slice + 1 < slices) return at(s.image, s.slice + 1, 0, own.begin);
    return at(s.image + 1, 0, 0, 0);
  }
  bool ends(const Strip& s) const { return s.image * height >= all.end; }
};
LW_INLINE bool continues(const Strip& s, const Strip& before) {
  return s.image == before.image && s.slice == before.slice && s.segment == before.segment;
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
