// conv2dFilterGradient of few filters over batches of W images and more: every lane of a vector is an image of its
// own, and the lanes are added up at the end. Some strips of W images, or some of their rows, are a chunk, whose number
// follows from the shape alone. With AVX-512 only: half a vector has fewer empty lanes otherwise, and turning images
// round for it costs twice as much (64 images of 28×28 pixels, 5×5 taps to 6 filters: 0.41 of the time with AVX-512, 1.4
// with AVX2, both on Zen 4).
#include "image_lanes.h"
#include "scratch.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
#if defined(__AVX512F__)
namespace {

constexpr int64_t kSumFloats = 64 * 1024;  // of all elements' lanes, at most
constexpr int64_t kChunkPixels = 4096, kMostChunks = 16;

// Terms and filters of a tile: 24 + 4 + 1 registers of 32.
constexpr int kTermsAtOnce = 4, kFiltersAtOnce = kColumnsAtOnce;

struct Problem {
  Geometry g;
  View v;
  explicit Problem(const Call& call) : g(call), v(forwardView(g)) {}

  int64_t strips() const { return ceilDiv(g.batch, W); }
  int64_t run() const { return v.columns.taps * v.depth; }  // terms side by side
  int64_t elements() const { return v.terms() * g.filters; }
  // Floats of a row of an image, padded, and of one of dy.
  int64_t paddedRow() const { return sourceWidth(v) * v.depth; }
  int64_t gradientRow() const { return v.columns.count * g.filters; }
  int64_t turnedFloats(int64_t rows) const {
    return (sourceRows(v, rows) * paddedRow() + rows * gradientRow()) * W;
  }
  int64_t rowsAtOnce() const {
    int64_t rows = v.rows.count;
    while (rows > 1 && turnedFloats(rows) > kTurnedFloats) rows = ceilDiv(rows, 2);
    return rows;
  }
  int64_t units() const { return strips() * ceilDiv(v.rows.count, rowsAtOnce()); }
  int64_t chunks() const { return maxOf((int64_t)1, minOf(minOf(kMostChunks, units()), v.patches() / kChunkPixels)); }

  bool possible() const {
    if (g.groups != 1 || g.batch < W || v.columns.spacing != 1 || v.patches() == 0) return false;
    if (elements() == 0 || elements() * W > kSumFloats) return false;
    return turnedFloats(rowsAtOnce()) <= kTurnedFloats;
  }
  // In multiplications of vectors: here, and where vectors hold filters.
  int64_t cost() const {
    const int64_t pixels = v.rows.count * v.columns.count;
    const int64_t turned = v.rows.size * v.columns.size * v.depth + pixels * g.filters;
    return strips() * (pixels * elements() + kTurnCost * turned / 4);
  }
  int64_t otherCost() const { return v.patches() * v.terms() * ceilDiv(g.filters, W); }
};

// Some rows of a strip of images: x with its padding, and dy. Element i of the images is at [i·W].
struct Strip {
  const float *x, *dy;
  int64_t rows;
};

// Adds the pixels' products for T terms from `term` on of a row of taps and F filters from `filter` on.
template <int T, int F>
void addTile(const Problem& p, const Strip& strip, int64_t tapRow, int64_t term, int64_t filter, float* sums) {
  const View& v = p.v;
  const int64_t n = p.g.filters, width = v.columns.count, stride = v.columns.stride * v.depth * W;
  float* const c = sums + ((tapRow * p.run() + term) * n + filter) * W;
  VF acc[T][F];
#pragma GCC unroll 8
  for (int i = 0; i < T; i++) {
#pragma GCC unroll 8
    for (int j = 0; j < F; j++) acc[i][j] = load(c + (i * n + j) * W);
  }
  const float* d = strip.dy + filter * W;
  for (int64_t y = 0; y < strip.rows; y++) {
    const float* s = strip.x + ((y * v.rows.stride + tapRow * v.rows.spacing) * p.paddedRow() + term) * W;
    for (int64_t x = 0; x < width; x++, s += stride, d += n * W) {
      VF xv[T];
#pragma GCC unroll 8
      for (int i = 0; i < T; i++) xv[i] = load(s + i * W);
#pragma GCC unroll 8
      for (int j = 0; j < F; j++) {
        const VF dv = load(d + j * W);
#pragma GCC unroll 8
        for (int i = 0; i < T; i++) acc[i][j] = fma(xv[i], dv, acc[i][j]);
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < T; i++) {
#pragma GCC unroll 8
    for (int j = 0; j < F; j++) store(c + (i * n + j) * W, acc[i][j]);
  }
}

using AddTile = void (*)(const Problem& p, const Strip& strip, int64_t tapRow, int64_t term, int64_t filter,
                         float* sums);
#define LW_ADD_TILES(F) {addTile<1, F>, addTile<2, F>, addTile<3, F>, addTile<4, F>}
// By filters − 1, terms − 1.
constexpr AddTile kAddTiles[kFiltersAtOnce][kTermsAtOnce] = {LW_ADD_TILES(1), LW_ADD_TILES(2), LW_ADD_TILES(3),
                                                  LW_ADD_TILES(4), LW_ADD_TILES(5), LW_ADD_TILES(6)};

// Adds a strip to all elements' lanes.
void addStrip(const Problem& p, const Strip& strip, float* sums) {
  const int64_t columnParts = ceilDiv(p.g.filters, kFiltersAtOnce), termParts = ceilDiv(p.run(), kTermsAtOnce);
  for (int64_t part = 0; part < columnParts; part++) {
    const Range filters = split(p.g.filters, 1, part, columnParts);
    for (int64_t tapRow = 0; tapRow < p.v.rows.taps; tapRow++) {
      for (int64_t i = 0; i < termParts; i++) {
        const Range terms = split(p.run(), 1, i, termParts);
        const AddTile tile = kAddTiles[filters.end - filters.begin - 1][terms.end - terms.begin - 1];
        tile(p, strip, tapRow, terms.begin, filters.begin, sums);
      }
    }
  }
}

// Turns rows [rows) of a strip's x, with zeros for padding, and dy.
void bring(const Problem& p, const float* x, const float* dy, int64_t image, Range rows, float* toX, float* toDy) {
  const View& v = p.v;
  const int64_t images = minOf((int64_t)W, p.g.batch - image), first = v.rows.source(rows.begin);
  const int64_t left = -v.columns.source(0);
  const int64_t inside = minOf(v.columns.size, sourceWidth(v) - left);
  const int64_t count = sourceRows(v, rows.end - rows.begin), rowFloats = v.columns.size * v.depth;
  memset(toX, 0, (size_t)(count * p.paddedRow() * W) * 4);
  for (int64_t r = 0; r < count; r++) {
    const int64_t y = first + r;
    if (y < 0 || y >= v.rows.size || inside <= 0) continue;
    turnIn(x + (image * v.rows.size + y) * rowFloats, v.rows.size * rowFloats, images,
           inside * v.depth, toX + (r * p.paddedRow() + left * v.depth) * W);
  }
  turnIn(dy + (image * v.rows.count + rows.begin) * p.gradientRow(), v.rows.count * p.gradientRow(), images,
         (rows.end - rows.begin) * p.gradientRow(), toDy);
}

}  // namespace

// custom[0]: tensor that holds the sum for the epilogue, −1 for shared memory; byte offsets in scratch of [1] x, [2] dy
// and [3] all elements' lanes; [4]: chunks of strips and rows. False where it would not pay.
bool planImagesFilter(Call& call) {
  const Problem p(call);
  if (!p.possible() || p.cost() >= p.otherCost()) return false;
  const TilePlan* tile = call.tile;
  const int64_t rows = p.rowsAtOnce();
  call.custom[0] = tile ? tile->blockTensor : call.outputs[0];
  ScratchLayout take;
  if (tile) take(tile->scratchBytes);
  call.custom[1] = take(sourceRows(p.v, rows) * p.paddedRow() * W * 4);
  call.custom[2] = take(rows * p.gradientRow() * W * 4);
  call.custom[3] = take(p.elements() * W * 4);
  call.custom[4] = p.chunks();
  call.scratchBytes = take.bytes;
  call.sharedBytes = p.chunks() * p.elements() * 4;
  call.phases = 2;
  const int64_t lanes = p.elements() * (tile ? 2 + tile->nOps + tile->nInputs : 1);
  call.work = p.cost() / 5 + lanes / 12;
  call.maxParts = p.chunks();
  return true;
}

void runImagesFilter(const Call& call, const Run& run, int phase, int64_t part, int64_t parts) {
  const Problem p(call);
  const int64_t chunks = call.custom[4], size = p.elements();
  float* const sums = (float*)run.shared;
  if (phase == 1) {
    addChunks(call, run, sums, chunks, p.v.terms(), p.g.filters, part, parts);
    return;
  }
  float* const x = (float*)(run.scratch + call.custom[1]);
  float* const dy = (float*)(run.scratch + call.custom[2]);
  float* const lanes = (float*)(run.scratch + call.custom[3]);
  const int64_t perStrip = p.units() / p.strips();
  const Range own = split(chunks, 1, part, parts);
  for (int64_t chunk = own.begin; chunk < own.end; chunk++) {
    float* const to = sums + chunk * size;
    memset(to, 0, (size_t)size * 4);
    const Range units = split(p.units(), 1, chunk, chunks);
    for (int64_t unit = units.begin; unit < units.end; unit++) {
      const Range rows = split(p.v.rows.count, 1, unit % perStrip, perStrip);
      bring(p, (const float*)run.ptr[call.inputs[0]], (const float*)run.ptr[call.inputs[1]],
            unit / perStrip * W, rows, x, dy);
      memset(lanes, 0, (size_t)(size * W) * 4);
      addStrip(p, {x, dy, rows.end - rows.begin}, lanes);
      for (int64_t i = 0; i < size; i++) to[i] += (float)sumLanes(loadLanes16(lanes + i * W));
    }
  }
}

#else

bool planImagesFilter(Call&) { return false; }
void runImagesFilter(const Call&, const Run&, int, int64_t, int64_t) {}

#endif
}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
