// conv2d and conv2dInputGradient as products: rows of patches times the filter. Patches never exist as a
// whole. Mostly source rows are copied with their padding and strips of patches read them in place; where that would
// be too much, or rows of the result are tiny, patches are cut block by block into packed strips, which may run on from
// row to row. The filter is packed once per call, and the accumulation is gemm's either way: blocks of
// View::blockTerms() from zero, in order (row, column, channel) of the taps. Few pixels are left to convolution_dots.cc.
#include "convolution.h"
#include "epilogue.h"
#include "offset_tile.h"
#include "plane_tile.h"
#include "scratch.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
// By rows − 1, vectors − 1, TAIL.
const OffsetTile kOffsetTiles[kTallest][2][2] = {
    LW_OFFSET_TILES(1),  LW_OFFSET_TILES(2),  LW_OFFSET_TILES(3),  LW_OFFSET_TILES(4),
    LW_OFFSET_TILES(5),  LW_OFFSET_TILES(6),  LW_OFFSET_TILES(7),  LW_OFFSET_TILES(8),
    LW_OFFSET_TILES(9),  LW_OFFSET_TILES(10), LW_OFFSET_TILES(11), LW_OFFSET_TILES(12),
    LW_OFFSET_TILES(13), LW_OFFSET_TILES(14), LW_OFFSET_TILES(15), LW_OFFSET_TILES(16),
    LW_OFFSET_TILES(17), LW_OFFSET_TILES(18), LW_OFFSET_TILES(19), LW_OFFSET_TILES(20),
    LW_OFFSET_TILES(21), LW_OFFSET_TILES(22), LW_OFFSET_TILES(23), LW_OFFSET_TILES(24),
    LW_OFFSET_TILES(25), LW_OFFSET_TILES(26), LW_OFFSET_TILES(27), LW_OFFSET_TILES(28),
};

namespace {

// By rows − 1, TAIL.
constexpr StreamOffsetTile kStreamOffsetTiles[14][2] = {
    LW_STREAM_OFFSET_TILES(1),  LW_STREAM_OFFSET_TILES(2),  LW_STREAM_OFFSET_TILES(3),  LW_STREAM_OFFSET_TILES(4),
    LW_STREAM_OFFSET_TILES(5),  LW_STREAM_OFFSET_TILES(6),  LW_STREAM_OFFSET_TILES(7),  LW_STREAM_OFFSET_TILES(8),
    LW_STREAM_OFFSET_TILES(9),  LW_STREAM_OFFSET_TILES(10), LW_STREAM_OFFSET_TILES(11), LW_STREAM_OFFSET_TILES(12),
    LW_STREAM_OFFSET_TILES(13), LW_STREAM_OFFSET_TILES(14),
};

static_assert(kBlockK <= kMostTerms, "Stretches has room for a block of terms");

// By columns − 1, vectors − 1.
constexpr PlaneTile kPlaneTiles[kPlaneColumns][kPlaneVectors] = {
    LW_PLANE_TILES(1), LW_PLANE_TILES(2), LW_PLANE_TILES(3),
    LW_PLANE_TILES(4), LW_PLANE_TILES(5), LW_PLANE_TILES(6),
};

// Patches are turned for so many columns. Over strides they then beat rows that are read in place, if a row of taps is a
// run of so many floats (Zen 3; 7×7 taps of three channels 1.1 to 1.2 times; 3×3 of three would be a quarter slower), but
// not with AVX-512 (Zen 4: 7×7 taps 0.8 times).
#if defined(__AVX512F__)
constexpr int64_t kTurnColumns = INT64_MAX;
#else
constexpr int64_t kTurnColumns = 64;
#endif
constexpr int64_t kTurnRun = 20;
constexpr int64_t kBlockRows = 34 * kRows;  // × kBlockK floats of patches: in L2
// Floats of a block of the result in scratch.
constexpr int64_t kScratchFloats = 96 * 1024;

// Results of fewer pixels in a row are not cut into strips row by row: so short strips leave the units for fma idle.
constexpr int64_t kShortestRow = 3;
// Pixels so many floats apart share a set of L1, which holds so many lines.
constexpr int64_t kSameSet = 1024, kWays = 8;
// The only row of a result is computed in segments of about so many pixels, to be shared out.
constexpr int64_t kSegment = 8 * kRows;
// No more of the source is copied for one row of the result.
constexpr int64_t kMostCopied = 4 * kSourceFloats;
constexpr int64_t kFilterFloats = 4 * 1024;
// Columns of a part of dot products: whole lines.
constexpr int64_t kDotGrain = 16;

// A direction's problem: views, and the filter as the product's second operand.
struct Problem {
  Geometry g;
  bool backward;
  int64_t views, columns, pitch;  // columns of one group, and of the result
  // A row of the one view is computed in so many segments; the longest.
  int64_t segments;
  View longest;
  bool byDots;  // whether the filter is read where it is
  bool byRows;  // whether strips are cut row by row, from padded source rows

  explicit Problem(const Call& call)
      : g(call), backward(call.kernel == k_conv2dInputGradient),
        views(backward ? backwardViews(g) : 1),
        columns(backward ? g.groupChannels() : g.groupFilters()),
        pitch(backward ? g.channels : g.filters) {
    const View v = view(0);
    segments = v.rows.count == 1 ? maxOf(1, v.columns.count / kSegment) : 1;
    longest = segment(segments - 1, segments);
    byDots = backward && !scattered() && g.groups == 1 && dotsPay(v);
    byRows = scattered() || (!byDots && readsInPlace());
  }
  View view(int64_t i) const { return backward ? backwardView(g, i) : forwardView(g); }
  int64_t rows() const {
    return g.batch * (backward ? g.height * g.width : g.outHeight * g.outWidth);
  }
  // Backward over a stride: views write every so many pixels of the result. All of them make a group of rows,
  // one row in each of `down` views, before the next.
  bool scattered() const { return backward && (g.strideHeight > 1 || g.strideWidth > 1); }
  int64_t down() const { return minOf(g.strideHeight, g.height); }
  int64_t groups() const { return g.height == 0 ? 0 : g.batch * ceilDiv(g.height, g.strideHeight); }
  int64_t paddedColumns() const { return ceilDiv(columns, kColumns) * kColumns; }
  // A filter's first row and column of a group.
  const float* ofGroup(const float* w, const View& v, int64_t group) const {
    return w + group * (backward ? v.depth : columns);
  }
  // Floats of one view's packed filter.
  int64_t packedSize(const View& v) const { return g.groups * v.terms() * paddedColumns(); }
  int64_t blockRows(bool inScratch) const {
    if (byDots) return maxOf(1, rows());
    return inScratch ? maxOf(2 * kRows, minOf(kBlockRows, kScratchFloats / maxOf(1, pitch)))
                     : kBlockRows;
  }
  // Whether cut patches are turned as gemm's packed rows are, which tiles read faster.
  bool turnsPatches() const { return columns >= kTurnColumns; }
  // Whether padded source rows are read where they are, if the result's rows follow each other.
  bool readsInPlace() const {
    const bool longRuns = g.kernelWidth * g.groupChannels() >= kTurnRun;
    if (!backward && g.strideWidth > 1 && turnsPatches() && longRuns) return false;
    const int64_t width = longest.columns.count, apart = longest.columns.stride * longest.depth;
    return width >= kShortestRow && (apart % kSameSet != 0 || minOf(width, kRows) <= kWays) &&
           sourceRows(longest, 1) * sourceWidth(longest) * longest.depth <= kMostCopied;
  }
  // Segment i of a row; its first pixel is at `columns.at`.
  View segment(int64_t i, int64_t count) const {
    View v = view(0);
    const Range range = split(v.columns.count, 1, i, count);
    v.columns.at = range.begin;
    v.columns.offset += range.begin * v.columns.stride;
    v.columns.count = range.end - range.begin;
    return v;
  }
  // Whether vectors hold a row's pixels instead of columns: where they multiply fewer empty lanes, turning the
  // pixels round included (which takes two instructions an element).
  bool byPlanes(const View& v) const {
    if (!byRows || v.columns.stride != 1 || columns > 2 * kPlaneColumns) return false;
    const int64_t turned = v.depth > 1 ? 2 * v.depth * v.columns.count : 0;
    return v.terms() * columns * ceilDiv(v.columns.count, W) + turned <
           v.terms() * v.columns.count * ceilDiv(columns, W);
  }
  // Floats of a source row's copy.
  int64_t copiedPitch(const View& v) const { return byPlanes(v) ? v.depth * planePitch(v) : sourcePitch(v); }
  // Every view is one block of rows: each panel of the filter is packed where it is used, into scratch.
  bool once(bool inScratch) const;
  int64_t panelsAtOnce() const { return backward ? 1 : kGroup; }
  // What a part takes together or not at all: a group of rows, a segment of a row, or a patch.
  int64_t units() const {
    if (scattered()) return groups();
    const View v = view(0);
    return byRows ? v.batch * v.rows.count * segments : v.patches();
  }
};

// Rows of the result in a block.
int64_t rowsAtOnce(const Problem& p, const View& v, bool inScratch) {
  const int64_t most = maxOf(1, p.blockRows(inScratch) / maxOf(1, v.columns.count));
  int64_t rows = minOf(most, maxOf(1, v.rows.count));
  while (rows > 1 && sourceRows(v, rows) * p.copiedPitch(v) > kSourceFloats) rows--;
  return rows;
}

// Groups of rows of a scattered result in a block.
int64_t groupsAtOnce(const Problem& p, bool inScratch) {
  const int64_t most = maxOf(1, p.blockRows(inScratch) / maxOf(1, p.down() * p.g.width));
  int64_t groups = minOf(most, maxOf(1, ceilDiv(p.g.height, maxOf(1, p.g.strideHeight))));
  for (int64_t i = 0; i < p.views; i++) {
    const View v = p.view(i);
    while (groups > 1 && sourceRows(v, groups) * p.copiedPitch(v) > kSourceFloats) groups--;
  }
  return groups;
}

bool Problem::once(bool inScratch) const {
  if (rows() > blockRows(inScratch)) return false;
  if (!byRows) return true;
  if (g.batch > 1 || (!scattered() && segments > 1)) return false;
  if (scattered() ? groupsAtOnce(*this, inScratch) < groups()
                  : rowsAtOnce(*this, view(0), inScratch) < view(0).rows.count) {
    return false;
  }
  for (int64_t i = 0; i < views; i++) {
    if (byPlanes(view(i))) return false;
  }
  return true;
}

void packFilters(const Problem& p, const float* w, float* packed, int64_t part, int64_t parts) {
  // Groups of panels, so that rows of the filter are read in longer runs.
  const int64_t panels = ceilDiv(p.columns, kColumns);
  const int64_t atOnce = p.panelsAtOnce(), perBlock = ceilDiv(panels, atOnce);
  int64_t units = 0;
  for (int64_t i = 0; i < p.views; i++) {
    units += ceilDiv(p.view(i).terms(), p.view(i).blockTerms()) * p.g.groups * perBlock;
  }
  const Range range = split(units, 1, part, parts);
  int64_t unit = 0;
  for (int64_t i = 0; i < p.views; i++) {
    const View v = p.view(i);
    const int64_t blockK = v.blockTerms();
    for (int64_t group = 0; group < p.g.groups; group++) {
      float* const own = packed + group * v.terms() * p.paddedColumns();
      for (int64_t k0 = 0; k0 < v.terms(); k0 += blockK) {
        const int64_t kc = minOf(blockK, v.terms() - k0);
        for (int64_t u = 0; u < perBlock; u++, unit++) {
          if (unit < range.begin || unit >= range.end) continue;
          const int64_t j = u * atOnce * kColumns;
          packFilter(p.g, p.backward, v, p.ofGroup(w, v, group), k0, kc, j,
                     minOf(atOnce * kColumns, p.columns - j), own + k0 * p.paddedColumns() + j * kc);
        }
      }
    }
    packed += p.packedSize(v);
  }
}

// What a part computes: units [rows), columns [cols) of the result.
struct Piece {
  Range rows, cols;
};
Piece pieceOf(const Problem& p, int64_t part, int64_t parts) {
  const int64_t units = p.units();
  Piece piece = {{0, units}, {0, p.pitch}};
  const int64_t panels = ceilDiv(p.columns, kColumns);
  if (p.byDots) {
    piece.cols = split(p.pitch, kDotGrain, part, parts);
    return piece;
  }
  const bool fewRows = p.rows() < 4 * kRows * parts || p.once(false);
  if (p.g.groups == 1 && fewRows && panels >= 2 * parts) {
    piece.cols = split(p.pitch, kColumns, part, parts);
  } else {
    piece.rows = split(units, 1, part, parts);
  }
  return piece;
}

struct Target {
  float* stored;    // the tensor that holds the result meanwhile, or null
  float* scratch;   // a block of rows
  Epilogue* epilogue;
};

// Where a block reads and writes.
struct Block {
  const float *source, *packed;
  const float* filter;  // not packed, or null
  float *panels, *strips;  // scratch: panels of the filter, and packed strips or padded rows
  float* c;
  int64_t ldc, rowPitch;  // from pixel to pixel of the result, and from row to row
  Range cols;
};

// Those of a block's terms [k0, k0 + kc) whose taps lie inside of the source for row `row` of patches, from k0
// on: the others would add zeros.
Range termsInside(const View& v, int64_t row, int64_t k0, int64_t kc) {
  const Range taps = tapsInside(v.rows, v.rows.source(row));
  const int64_t perRow = v.columns.taps * v.depth;
  const int64_t begin = minOf(kc, maxOf(0, taps.begin * perRow - k0));
  return {begin, maxOf(begin, minOf(kc, taps.end * perRow - k0))};
}

// multiplyRows() where vectors hold pixels.
void multiplyPlanes(const Problem& p, const View& v, const Block& b, int64_t image, int64_t row,
                    int64_t count) {
  const int64_t terms = v.terms(), padded = p.paddedColumns(), width = v.columns.count, blockK = v.blockTerms();
  const int64_t pitch = planePitch(v), vectors = ceilDiv(width, W);
  const int64_t begin = b.cols.begin, end = p.g.groups == 1 ? b.cols.end : p.columns;
  for (int64_t group = 0; group < p.g.groups; group++) {
    const float* const filter = b.packed + group * terms * padded;
    padPlanes(v, b.source + group * v.depth, image, row, count, b.strips);
    for (int64_t k0 = 0; k0 < terms; k0 += blockK) {
      const int64_t kc = minOf(blockK, terms - k0);
      int32_t offsets[kBlockK];
      for (int64_t k = k0; k < k0 + kc;) {
        const int64_t tap = k / v.depth, n = minOf((tap + 1) * v.depth, k0 + kc);
        int64_t at = (tap / v.columns.taps * v.rows.spacing * v.depth + k - tap * v.depth) * pitch +
                     tap % v.columns.taps * v.columns.spacing;
        for (; k < n; k++, at += pitch) offsets[k - k0] = (int32_t)at;
      }
      for (int64_t r = 0; r < count; r++) {
        const Range k = termsInside(v, row + r, k0, kc);
        if (k0 > 0 && k.begin == k.end) continue;
        const float* const x = b.strips + r * v.rows.stride * v.depth * pitch;
        for (int64_t j = begin, columns; j < end; j += columns) {
          // Near-equal parts of a panel of the filter.
          const int64_t left = minOf(end, (j / kColumns + 1) * kColumns) - j;
          columns = left / ceilDiv(left, kPlaneColumns);
          const int64_t strips = ceilDiv(vectors, planeVectors(columns));
          const float* const w = filter + k0 * padded + j / kColumns * kColumns * kc + j % kColumns;
          float* const c = b.c + r * b.rowPitch + group * p.columns + j;
          for (int64_t strip = 0; strip < strips; strip++) {
            const int64_t at = vectors * strip / strips, n = vectors * (strip + 1) / strips - at;
            kPlaneTiles[columns - 1][n - 1](k.end - k.begin, offsets + k.begin, x + at * W,
                                            w + k.begin * kColumns, c + at * W * b.ldc, b.ldc, k0 > 0,
                                            minOf(n * W, width - at * W));
          }
        }
      }
    }
  }
}

// `count` rows of a view's patches from row `row` of an image on.
void multiplyRows(const Problem& p, const View& v, const Block& b, int64_t image, int64_t row,
                  int64_t count) {
  if (p.byPlanes(p.scattered() ? v : p.longest)) {
    multiplyPlanes(p, v, b, image, row, count);
    return;
  }
  const int64_t terms = v.terms(), padded = p.paddedColumns(), width = v.columns.count, blockK = v.blockTerms();
  const int64_t begin = b.cols.begin, end = p.g.groups == 1 ? b.cols.end : p.columns;
  const int64_t tallest = rowsOfTile(end - begin), lda = v.columns.stride * v.depth;
  const int64_t pitch = sourcePitch(v);
  for (int64_t group = 0; group < p.g.groups; group++) {
    const float* const filter = b.filter ? nullptr : b.packed + group * terms * padded;
    const float* const unpacked = b.filter ? p.ofGroup(b.filter, v, group) : nullptr;
    padRows(v, b.source + group * v.depth, image, row, count, b.strips);
    for (int64_t k0 = 0; k0 < terms; k0 += blockK) {
      const int64_t kc = minOf(blockK, terms - k0);
      int32_t offsets[kBlockK];
      for (int64_t k = k0; k < k0 + kc;) {
        const int64_t tap = k / v.depth, n = minOf((tap + 1) * v.depth, k0 + kc);
        const int64_t at = tap / v.columns.taps * v.rows.spacing * pitch +
                           tap % v.columns.taps * v.columns.spacing * v.depth - tap * v.depth;
        for (; k < n; k++) offsets[k - k0] = (int32_t)(at + k);
      }
      // Pixels that have a block's only tap in the padding are left out, but where the result begins.
      const int64_t tap = k0 / v.depth;
      const bool oneTap = k0 > 0 && (k0 + kc - 1) / v.depth == tap;
      const Range pixels = oneTap ? positionsInside(v.columns, tap % v.columns.taps) : Range{0, width};
      if (oneTap && pixels.begin == pixels.end) continue;
      const int64_t across = pixels.end - pixels.begin, nStrips = ceilDiv(across, tallest);
      // A filter that fits L1 meets each strip as a whole, so that pixels of the result are written whole.
      const bool whole = kc * (end - begin) <= kFilterFloats;
      const int64_t step = whole ? end - begin : kColumns;
      for (int64_t j0 = begin; j0 < end; j0 += step) {
        AheadByTiles ahead;
        if (unpacked) {
          for (int64_t j = j0; j < j0 + step && j < end; j += kColumns) {
            packFilter(p.g, p.backward, v, unpacked, k0, kc, j, minOf(kColumns, end - j), b.panels + (j - j0) * kc);
          }
          // The next panel comes from memory while this one is used.
          const bool last = j0 + step >= end;
          const int64_t tiles = count * nStrips * ceilDiv(minOf(step, end - j0), kColumns);
          const int64_t k1 = last ? k0 + kc : k0, j1 = last ? begin : j0 + step;
          ahead = AheadByTiles(aheadOfFilter(p.g, p.backward, v, unpacked, k1, j1, minOf(kColumns, end - j1)), tiles,
                               W == 16 && tallest == kRows);
        }
        const float* const panels = unpacked ? b.panels : filter + k0 * padded + j0 * kc;
        for (int64_t r = 0; r < count; r++) {
          const Range k = termsInside(v, row + r, k0, kc);
          if (k0 > 0 && k.begin == k.end) continue;
          const float* const a = b.strips + r * v.rows.stride * pitch;
          float* const c = b.c + r * b.rowPitch + group * p.columns;
          for (int64_t strip = 0; strip < nStrips; strip++) {
            const int64_t i = pixels.begin + across * strip / nStrips;
            const int64_t mr = pixels.begin + across * (strip + 1) / nStrips - i;
            for (int64_t j = j0; j < j0 + step && j < end; j += kColumns) {
              const int64_t columns = minOf(kColumns, end - j), vectors = ceilDiv(columns, W);
              const int64_t tail = columns - (vectors - 1) * W, n = k.end - k.begin;
              const float* const panel = panels + (j - j0) * kc + k.begin * kColumns;
              ahead.fetch();
              if (ahead.left() > 0 && vectors == kVectors) {
                kStreamOffsetTiles[mr - 1][tail != W](n, offsets + k.begin, a + i * lda, lda, panel, kColumns,
                                                      c + i * b.ldc + j, b.ldc, k0 > 0, tail, ahead.take(n));
              } else {
                kOffsetTiles[mr - 1][vectors - 1][tail != W](n, offsets + k.begin, a + i * lda, lda, panel, kColumns,
                                                             c + i * b.ldc + j, b.ldc, k0 > 0, tail);
              }
            }
          }
        }
      }
    }
  }
}

// `rows` patches of a view from patch `m` on.
void multiplyPatches(const Problem& p, const View& v, const Block& b, int64_t m, int64_t rows) {
  const int64_t terms = v.terms(), blockK = v.blockTerms(), nStrips = ceilDiv(rows, kRows), padded = p.paddedColumns();
  const int64_t begin = b.cols.begin, end = p.g.groups == 1 ? b.cols.end : p.columns;
  const bool turned = p.turnsPatches();
  for (int64_t group = 0; group < p.g.groups; group++) {
    const float* const packed = b.filter ? nullptr : b.packed + group * terms * padded;
    const float* const filter = b.filter ? p.ofGroup(b.filter, v, group) : nullptr;
    const int64_t atOnce = p.panelsAtOnce() * kColumns;
    for (int64_t k0 = 0; k0 < terms; k0 += blockK) {
      const int64_t kc = minOf(blockK, terms - k0), stride = packedStride(kc);
      const Stretches stretches(v, k0, kc);
      Position position(v, m);
      for (int64_t strip = 0; strip < nStrips; strip++) {
        const int64_t i = rows * strip / nStrips, mr = rows * (strip + 1) / nStrips - i;
        float* const to = b.strips + strip * kRows * stride;
        float* const cut = turned ? b.strips + nStrips * kRows * stride : to;
        for (int64_t r = 0; r < mr; r++, position.next(v)) {
          cutPatch(v, stretches, Patch(v, b.source + group * v.depth, position), cut + r * stride);
        }
        if (turned) packStrip(cut, stride, kc, mr, to);
      }
      for (int64_t j0 = begin; j0 < end; j0 += atOnce) {
        const int64_t groupWidth = minOf(atOnce, end - j0);
        Ahead ahead = {filter, 0, 0, 0};
        if (filter) {
          packFilter(p.g, p.backward, v, filter, k0, kc, j0, groupWidth, b.panels);
          // The next group comes from memory while this one is used; backward its runs are long, and the hardware
          // sees them.
          const bool last = j0 + atOnce >= end;
          const int64_t k1 = last ? k0 + kc : k0, j1 = last ? begin : j0 + atOnce;
          if (!p.backward && k1 < terms) {
            ahead = {filter + k1 * p.g.filters + j1, p.g.filters, minOf(blockK, terms - k1), minOf(atOnce, end - j1)};
          }
        }
        const int64_t perTile = ceilDiv(ahead.rows, ceilDiv(groupWidth, kColumns) * nStrips);
        int64_t asked = 0;
        for (int64_t j = j0; j < j0 + groupWidth; j += kColumns) {
          const int64_t width = minOf(kColumns, end - j), vectors = ceilDiv(width, W);
          const int64_t tail = width - (vectors - 1) * W;
          const float* const panel = filter ? b.panels + (j - j0) * kc : packed + k0 * padded + j * kc;
          const auto& tiles = kTiles[turned][tail != W];
          for (int64_t strip = 0; strip < nStrips; strip++) {
            const int64_t i = rows * strip / nStrips, mr = rows * (strip + 1) / nStrips - i;
            ahead.fetch(asked, perTile);
            asked += perTile;
            tiles[mr - 1][vectors - 1](kc, b.strips + strip * kRows * stride, turned ? kRows : stride, panel, kColumns,
                                       b.c + i * b.ldc + group * p.columns + j, b.ldc, k0 > 0, tail);
          }
        }
      }
    }
  }
}

// Patches [rows) of the one view, columns [cols).
void convolveDense(const Problem& p, Block block, const Piece& piece, const Target& to) {
  const int64_t n = p.pitch, across = p.view(0).columns.count, segments = p.byRows ? p.segments : 1;
  const int64_t j = piece.cols.begin, width = piece.cols.end - j;
  const int64_t blockRows = p.blockRows(!to.stored), rowsOfBlock = rowsAtOnce(p, p.view(0), !to.stored);
  for (int64_t unit = piece.rows.begin, count; unit < piece.rows.end; unit += count) {
    const int64_t left = piece.rows.end - unit, line = unit / segments;
    const View v = p.segment(segments > 1 ? unit % segments : 0, segments);
    int64_t m = unit, rows;  // patches of this block
    if (p.byRows) {
      count = segments > 1 ? 1 : minOf(minOf(rowsOfBlock, v.rows.count - line % v.rows.count), left);
      m = line * across + v.columns.at;
      rows = count * v.columns.count;
    } else {
      count = rows = left / ceilDiv(left, blockRows);
    }
    block.c = to.stored ? to.stored + m * n : to.scratch;
    block.ldc = n;
    block.rowPitch = across * n;
    if (v.terms() == 0) {
      for (int64_t r = 0; r < rows; r++) {
        for (int64_t k = 0; k < width; k++) block.c[r * n + j + k] = 0.0f;
      }
    } else if (p.byDots) {
      multiplyByDots(p.g, v, block.source, block.filter, piece.cols, block.strips, block.c, n);
    } else if (p.byRows) {
      multiplyRows(p, v, block, line / v.rows.count, line % v.rows.count, count);
    } else {
      multiplyPatches(p, v, block, m, rows);
    }
    if (to.epilogue) to.epilogue->apply(block.c + j, n, m, rows, j, width);
  }
}

// Groups [rows) of rows of a scattered result, columns [cols).
void convolveScattered(const Problem& p, Block block, const Piece& piece, const Target& to) {
  const int64_t n = p.pitch, j = piece.cols.begin, width = piece.cols.end - j;
  const int64_t perImage = ceilDiv(p.g.height, p.g.strideHeight), most = groupsAtOnce(p, !to.stored);
  const float* const packed = block.packed;
  for (int64_t m = piece.rows.begin; m < piece.rows.end;) {
    const int64_t image = m / perImage, first = m % perImage;
    const int64_t count = minOf(minOf(most, perImage - first), piece.rows.end - m);
    const int64_t top = first * p.g.strideHeight, bottom = minOf(p.g.height, top + count * p.g.strideHeight);
    const int64_t pixel = (image * p.g.height + top) * p.g.width;
    float* const c = to.stored ? to.stored + pixel * n : to.scratch;
    block.packed = packed;
    for (int64_t i = 0; i < p.views; i++) {
      const View v = p.view(i);
      const int64_t rows = minOf(count, v.rows.count - first);
      block.c = c + (v.rows.at * p.g.width + v.columns.at) * n;
      block.ldc = v.columns.every * n;
      block.rowPitch = v.rows.every * p.g.width * n;
      if (v.terms() > 0) {
        if (rows > 0) multiplyRows(p, v, block, image, first, rows);
        block.packed += p.packedSize(v);
        continue;
      }
      for (int64_t r = 0; r < rows; r++) {
        for (int64_t x = 0; x < v.columns.count; x++) {
          float* const at = block.c + r * block.rowPitch + x * block.ldc + j;
          for (int64_t k = 0; k < width; k++) at[k] = 0.0f;
        }
      }
    }
    if (to.epilogue) to.epilogue->apply(c + j, n, pixel, (bottom - top) * p.g.width, j, width);
    m += count;
  }
}

void convolve(const Problem& p, Block block, const Piece& piece, const Target& to) {
  block.cols = piece.cols;
  if (p.scattered()) convolveScattered(p, block, piece, to);
  else convolveDense(p, block, piece, to);
}

}  // namespace

// custom[0]: tensor that holds the result meanwhile, −1 for scratch; byte offsets in scratch of [1] strips,
// [2] a block of the result, [3] panels of the filter, −1 if it is packed as a whole beforehand.
void planPatches(Call& call) {
  const Problem p(call);
  const TilePlan* tile = call.tile;
  call.custom[0] = tile ? tile->blockTensor : call.outputs[0];
  ScratchLayout take;
  if (tile) take(tile->scratchBytes);
  const bool inScratch = call.custom[0] < 0;
  const int64_t groups = groupsAtOnce(p, inScratch);
  int64_t packed = 0, strips = 0;
  int64_t block = !inScratch ? 0 : p.scattered() ? groups * p.g.strideHeight * p.g.width
                                                 : minOf(p.rows(), p.blockRows(true));
  for (int64_t i = 0; i < p.views; i++) {
    const View v = p.view(i);
    packed += p.packedSize(v);
    if (v.patches() == 0 || v.terms() == 0) continue;
    if (p.byDots) {
      strips = dotFloats(v);
    } else if (p.byRows) {
      const View own = p.scattered() ? v : p.longest;
      const int64_t rows = p.scattered() ? groups : rowsAtOnce(p, own, inScratch);
      if (inScratch) block = maxOf(block, rows * own.columns.count);
      strips = maxOf(strips, sourceRows(own, rows) * p.copiedPitch(own) + W);
    } else {
      const int64_t rows = minOf(v.patches(), p.blockRows(inScratch));
      // One more: where patches are cut that are turned then.
      strips = maxOf(strips, (ceilDiv(rows, kRows) + 1) * kRows * packedStride(minOf(v.blockTerms(), v.terms())));
    }
  }
  call.custom[1] = take(strips * 4);
  call.custom[2] = take(block * p.pitch * 4);
  // A filter that lasts stays packed where few pixels meet it.
  call.keeps = call.lasts && p.rows() <= kKeptRows && !p.byDots;
  const bool once = p.once(inScratch) && !call.keeps;
  // Rows of patches take as many panels as L1 holds, or one.
  const int64_t panels = p.byDots ? 0 : kBlockK * p.panelsAtOnce() * kColumns + (p.byRows ? kFilterFloats : 0);
  call.custom[3] = once ? take(panels * 4) : -1;
  call.scratchBytes = take.bytes;
  call.sharedBytes = once ? 0 : packed * 4;
  call.phases = once ? 1 : 2;
  const int64_t lanes = p.rows() * p.pitch * (tile ? 2 + tile->nOps + tile->nInputs : 1);
  call.work = p.g.multiplications() / (5 * W) + lanes / 12 + (p.byDots ? 0 : packed / 8);
  const int64_t units = p.byRows ? p.units() : ceilDiv(p.rows(), kRows);
  call.maxParts = maxOf(1, p.byDots ? ceilDiv(p.columns, kDotGrain) : maxOf(units, ceilDiv(p.columns, kColumns)));
}

void runPatches(const Call& call, const Run& run, int phase, int64_t part, int64_t parts) {
  const Problem p(call);
  float* const packed = (float*)run.shared;
  const float* const filter = (const float*)run.ptr[call.inputs[1]];
  const bool once = call.custom[3] >= 0;
  if (phase == 0 && !once) {
    packFilters(p, filter, packed, part, parts);
    return;
  }
  const Piece piece = pieceOf(p, part, parts);
  const int64_t cols = piece.cols.end - piece.cols.begin, rows = piece.rows.end - piece.rows.begin;
  // An empty result reads nothing, not even what an epilogue reads once.
  if (rows <= 0 || cols <= 0 || p.rows() == 0) return;
  const Block block = {(const float*)run.ptr[call.inputs[0]],
                       packed,
                       once ? filter : nullptr,
                       (float*)(run.scratch + maxOf(0, call.custom[3])),
                       (float*)(run.scratch + call.custom[1]),
                       nullptr,
                       0,
                       0,
                       {0, 0}};
  Target to = {call.custom[0] >= 0 ? (float*)run.ptr[call.custom[0]] : nullptr,
               (float*)(run.scratch + call.custom[2]), nullptr};
  if (!call.tile) {
    convolve(p, block, piece, to);
    return;
  }
  const bool wholeRows = cols == p.pitch && p.pitch <= kTileLanes / 2;
  const int64_t lanes = wholeRows ? kTileLanes / p.pitch * p.pitch : minOf(kTileLanes, cols);
  Epilogue epilogue(call, run, lanes, wholeRows, p.pitch);
  to.epilogue = &epilogue;
  convolve(p, block, piece, to);
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
