// conv2d and conv2dInputGradient as products: rows of patches times the filter. Patches are cut block by
// block into packed strips (they never exist as a whole), the filter is packed once per call, and the
// accumulation is gemm's: blocks of kBlockK terms from zero, in order (row, column, channel) of the taps.
#include "convolution.h"
#include "epilogue.h"
#include "gemm_tile.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

constexpr int64_t kBlockRows = 32 * kRows;  // × kBlockK floats of patches: in L2
// Floats of a block of the result in scratch.
constexpr int64_t kScratchFloats = 96 * 1024;

// A direction's problem: views, and the filter as the product's second operand.
struct Problem {
  Geometry g;
  bool backward;
  int64_t views, columns, pitch;  // columns of one group, and of the result

  explicit Problem(const Call& call)
      : g(call), backward(call.kernel == k_conv2dInputGradient),
        views(backward ? backwardViews(g) : 1),
        columns(backward ? g.groupChannels() : g.groupFilters()),
        pitch(backward ? g.channels : g.filters) {}
  View view(int64_t i) const { return backward ? backwardView(g, i) : forwardView(g); }
  int64_t rows() const {
    return g.batch * (backward ? g.height * g.width : g.outHeight * g.outWidth);
  }
  int64_t paddedColumns() const { return ceilDiv(columns, kColumns) * kColumns; }
  // Floats of one view's packed filter.
  int64_t packedSize(const View& v) const { return g.groups * v.terms() * paddedColumns(); }
  int64_t blockRows(bool inScratch) const {
    return inScratch ? maxOf(2 * kRows, minOf(kBlockRows, kScratchFloats / maxOf(1, pitch)))
                     : kBlockRows;
  }
};

void packFilters(const Problem& p, const float* w, float* packed, int64_t part, int64_t parts) {
  // Groups of panels, so that rows of the filter are read in longer runs.
  const int64_t panels = ceilDiv(p.columns, kColumns);
  const int64_t atOnce = p.backward ? 1 : kGroup, perBlock = ceilDiv(panels, atOnce);
  int64_t units = 0;
  for (int64_t i = 0; i < p.views; i++) {
    units += ceilDiv(p.view(i).terms(), kBlockK) * p.g.groups * perBlock;
  }
  const Range range = split(units, 1, part, parts);
  int64_t unit = 0;
  for (int64_t i = 0; i < p.views; i++) {
    const View v = p.view(i);
    for (int64_t group = 0; group < p.g.groups; group++) {
      float* const own = packed + group * v.terms() * p.paddedColumns();
      for (int64_t k0 = 0; k0 < v.terms(); k0 += kBlockK) {
        const int64_t kc = minOf(kBlockK, v.terms() - k0);
        for (int64_t u = 0; u < perBlock; u++, unit++) {
          if (unit < range.begin || unit >= range.end) continue;
          const int64_t j = u * atOnce * kColumns;
          packFilter(p.g, p.backward, v, w + group * (p.backward ? v.depth : p.columns), k0, kc, j,
                     minOf(atOnce * kColumns, p.columns - j), own + k0 * p.paddedColumns() + j * kc);
        }
      }
    }
    packed += p.packedSize(v);
  }
}

// What a part computes: patches [rows) of all views together, columns [cols) of the result.
struct Piece {
  Range rows, cols;
};
Piece pieceOf(const Problem& p, int64_t part, int64_t parts) {
  Piece piece = {{0, p.rows()}, {0, p.pitch}};
  const int64_t panels = ceilDiv(p.columns, kColumns);
  if (p.g.groups == 1 && p.rows() < 4 * kRows * parts && panels >= 2 * parts) {
    piece.cols = split(p.pitch, kColumns, part, parts);
  } else {
    piece.rows = split(p.rows(), 1, part, parts);
  }
  return piece;
}

struct Target {
  float* stored;    // the tensor that holds the result meanwhile, or null
  float* scratch;   // a block of rows
  Epilogue* epilogue;
};

// `rows` patches of a view from patch `m` on, columns [cols): the result is at c.
void multiplyBlock(const Problem& p, const View& v, const float* source, const float* packed,
                   float* strips, int64_t m, int64_t rows, Range cols, float* c, int64_t ldc) {
  const int64_t terms = v.terms(), nStrips = ceilDiv(rows, kRows), padded = p.paddedColumns();
  const int64_t begin = cols.begin, end = p.g.groups == 1 ? cols.end : p.columns;
  for (int64_t group = 0; group < p.g.groups; group++) {
    const float* const filter = packed + group * terms * padded;
    for (int64_t k0 = 0; k0 < terms; k0 += kBlockK) {
      const int64_t kc = minOf(kBlockK, terms - k0), stride = packedStride(kc);
      const Stretches stretches(v, k0, kc);
      Position position(v, m);
      for (int64_t strip = 0; strip < nStrips; strip++) {
        const int64_t i = rows * strip / nStrips, mr = rows * (strip + 1) / nStrips - i;
        float* const to = strips + strip * kRows * stride;
        for (int64_t r = 0; r < mr; r++, position.next(v)) {
          cutPatch(v, stretches, Patch(v, source + group * v.depth, position), to + r * stride);
        }
      }
      for (int64_t j = begin; j < end; j += kColumns) {
        const int64_t width = minOf(kColumns, end - j), vectors = ceilDiv(width, W);
        const int64_t tail = width - (vectors - 1) * W;
        const auto& tiles = kTiles[0][tail != W];
        const float* const panel = filter + k0 * padded + j * kc;
        for (int64_t strip = 0; strip < nStrips; strip++) {
          const int64_t i = rows * strip / nStrips, mr = rows * (strip + 1) / nStrips - i;
          tiles[mr - 1][vectors - 1](kc, strips + strip * kRows * stride, stride, panel, kColumns,
                                     c + i * ldc + group * p.columns + j, ldc, k0 > 0, tail);
        }
      }
    }
  }
  if (terms > 0) return;
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = cols.begin; j < cols.end; j++) c[i * ldc + j] = 0.0f;
  }
}

void convolve(const Problem& p, const float* source, const float* packed, float* strips,
              const Piece& piece, const Target& to) {
  const int64_t n = p.pitch;
  int64_t before = 0;  // patches of earlier views
  for (int64_t i = 0; i < p.views; i++) {
    const View v = p.view(i);
    const int64_t begin = maxOf(0, piece.rows.begin - before);
    const int64_t end = minOf(v.patches(), piece.rows.end - before);
    const bool direct = to.stored && v.dense();
    const int64_t blocks = end > begin ? ceilDiv(end - begin, p.blockRows(!direct)) : 0;
    for (int64_t b = 0; b < blocks; b++) {
      const int64_t m = begin + (end - begin) * b / blocks;
      const int64_t rows = begin + (end - begin) * (b + 1) / blocks - m;
      float* const c = direct ? to.stored + m * n : to.scratch;
      multiplyBlock(p, v, source, packed, strips, m, rows, piece.cols, c, n);
      const int64_t width = piece.cols.end - piece.cols.begin, j = piece.cols.begin;
      if (v.dense()) {
        if (to.epilogue) to.epilogue->apply(c + j, n, m, rows, j, width);
        continue;
      }
      Position position(v, m);
      for (int64_t r = 0; r < rows; r++, position.next(v)) {
        const int64_t y = v.rows.at + position.row * v.rows.every;
        const int64_t x = v.columns.at + position.column * v.columns.every;
        const int64_t row = (position.image * p.g.height + y) * p.g.width + x;
        float* at = c + r * n + j;
        if (to.stored) {
          float* const own = to.stored + row * n + j;
          for (int64_t k = 0; k < width; k++) own[k] = at[k];
          at = own;
        }
        if (to.epilogue) to.epilogue->apply(at, n, row, 1, j, width);
      }
    }
    packed += p.packedSize(v);
    before += v.patches();
  }
}

}  // namespace

// The rows of a filter [taps, groupChannels, filters] for a view's terms [k0, k0 + kc), columns [j, j + width)
// of a group (`w` at the group's first): panels of kColumns, as packRows has them; backward one panel.
void packFilter(const Geometry& g, bool backward, const View& v, const float* w, int64_t k0, int64_t kc,
                int64_t j, int64_t width, float* to) {
  if (!backward) {
    packRows(w + k0 * g.filters + j, g.filters, kc, width, to);
    return;
  }
  for (int64_t k = k0; k < k0 + kc;) {
    const int64_t tap = k / v.depth, in = k % v.depth, n = minOf(v.depth - in, k0 + kc - k);
    const int64_t kh = v.rows.tap(tap / v.columns.taps), kw = v.columns.tap(tap % v.columns.taps);
    packColumns(w + ((kh * g.kernelWidth + kw) * g.groupChannels() + j) * g.filters + in, g.filters, n,
                width, to + (k - k0) * kColumns);
    k += n;
  }
}

// custom[0]: tensor that holds the result meanwhile, −1 for scratch; [1]: byte offset of the strips in
// scratch; [2]: of a block of the result.
void planPatches(Call& call) {
  const Problem p(call);
  const TilePlan* tile = call.tile;
  call.custom[0] = tile ? tile->blockTensor : call.outputs[0];
  int64_t bytes = 0;
  const auto take = [&](int64_t size) {
    const int64_t at = bytes;
    bytes += (size + 63) & ~(int64_t)63;
    return at;
  };
  if (tile) take(tile->scratchBytes);
  int64_t terms = 0, packed = 0;
  bool dense = true;
  for (int64_t i = 0; i < p.views; i++) {
    const View v = p.view(i);
    terms = maxOf(terms, v.terms());
    packed += p.packedSize(v);
    dense = dense && v.dense();
  }
  const bool inScratch = call.custom[0] < 0 || !dense;
  const int64_t rows = minOf(p.rows(), p.blockRows(inScratch));
  call.custom[1] = take((ceilDiv(rows, kRows) + 1) * kRows * packedStride(minOf(kBlockK, terms)) * 4);
  call.custom[2] = take(inScratch ? rows * p.pitch * 4 : 0);
  call.scratchBytes = bytes;
  call.sharedBytes = packed * 4;
  call.phases = 2;
  const int64_t lanes = p.rows() * p.pitch * (tile ? 2 + tile->nOps + tile->nInputs : 1);
  call.work = p.g.multiplications() / (5 * W) + lanes / 12 + packed / 8;
  call.maxParts = maxOf(1, maxOf(ceilDiv(p.rows(), kRows), ceilDiv(p.columns, kColumns)));
}

void runPatches(const Call& call, const Run& run, int phase, int64_t part, int64_t parts) {
  const Problem p(call);
  float* const packed = (float*)run.shared;
  if (phase == 0) {
    packFilters(p, (const float*)run.ptr[call.inputs[1]], packed, part, parts);
    return;
  }
  const Piece piece = pieceOf(p, part, parts);
  const int64_t cols = piece.cols.end - piece.cols.begin, rows = piece.rows.end - piece.rows.begin;
  if (rows <= 0 || cols <= 0) return;
  const float* const source = (const float*)run.ptr[call.inputs[0]];
  float* const strips = (float*)(run.scratch + call.custom[1]);
  Target to = {call.custom[0] >= 0 ? (float*)run.ptr[call.custom[0]] : nullptr,
               (float*)(run.scratch + call.custom[2]), nullptr};
  if (!call.tile) {
    convolve(p, source, packed, strips, piece, to);
    return;
  }
  const bool wholeRows = cols == p.pitch && p.pitch <= kTileLanes / 2;
  const int64_t lanes = wholeRows ? minOf(kTileLanes / p.pitch, rows) * p.pitch : minOf(kTileLanes, cols);
  Epilogue epilogue(call, run, lanes, wholeRows, p.pitch);
  to.epilogue = &epilogue;
  convolve(p, source, packed, strips, piece, to);
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
