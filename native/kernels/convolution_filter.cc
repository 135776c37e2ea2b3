// conv2dFilterGradient as a product over pixels: dfilter = patchesᵀ·dy. k runs over all pixels of the batch
// in blocks of kBlockK. With few terms and many pixels there would be little to share out, so the pixels
// are cut into chunks, whose number follows from the shape alone; their sums are added in order.
//
// Where the source rows of a block of pixels stay in L2, patches are read where they are; else the block's
// patches are packed into strips of terms.
#include "convolution.h"
#include "epilogue.h"
#include "offset_tile.h"
#include "scratch.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

// Strips of terms whose part of a block of patches is packed at once: a quarter of a MiB, in L2.
constexpr int64_t kBlockTerms = 256, kBlockStrips = kBlockTerms / kRows;
static_assert(kBlockTerms <= kMostTerms, "Stretches has room for their terms");
constexpr int64_t kStripFloats = kRows * kBlockK + 16;  // an odd number of lines apart
// So few strips would not repay the packing of dy, if its rows are at most two panels long.
constexpr int64_t kUnpackedStrips = 4;
// All columns of dy meet each strip if a block has so few floats of them: rows of the result are then written whole.
constexpr int64_t kFewFloats = 8 * 1024;

// Runs of terms, `apart` floats from one to the next, as one strip: a short run has too few chains of fma to
// hide their latency.
constexpr int kMostRuns = 3, kLongestRun = 6;
template <int RUNS, int N, int NV, bool TAIL>
void runsTile(int64_t kc, const int32_t* offsets, const float* a, int64_t apart, const float* b, int64_t ldb, float* c,
              int64_t ldc, bool add, int64_t tail) {
  multiplyStrip<RUNS * N, NV, TAIL>(
      kc, offsets, a, [=](int64_t i) __attribute__((always_inline)) { return i / N * apart + i % N; }, b, ldb, c,
      ldc, add, tail, []() {});
}
template <int RUNS, int N, int NV, bool TAIL>
constexpr OffsetTile runsTileOrNull() {
  if constexpr (RUNS * N <= rowsOfTile(NV * W)) return runsTile<RUNS, N, NV, TAIL>;
  else return nullptr;
}
#define LW_RUNS_TILES(RUNS, N)                                                          \
  {                                                                                     \
    {runsTileOrNull<RUNS, N, 1, false>(), runsTileOrNull<RUNS, N, 1, true>()},          \
        {runsTileOrNull<RUNS, N, 2, false>(), runsTileOrNull<RUNS, N, 2, true>()}       \
  }
#define LW_RUNS_TILES_OF(RUNS)                                                          \
  {                                                                                     \
    LW_RUNS_TILES(RUNS, 1), LW_RUNS_TILES(RUNS, 2), LW_RUNS_TILES(RUNS, 3),             \
        LW_RUNS_TILES(RUNS, 4), LW_RUNS_TILES(RUNS, 5), LW_RUNS_TILES(RUNS, 6)          \
  }
// By runs − 2, terms of a run − 1, vectors − 1, TAIL.
constexpr OffsetTile kRunsTiles[kMostRuns - 1][kLongestRun][2][2] = {LW_RUNS_TILES_OF(2),
                                                                     LW_RUNS_TILES_OF(3)};

struct Problem {
  Geometry g;
  View v;
  int64_t pixels, terms, columns;
  // Terms of a patch that lie side by side: strips do not cross their borders, so that those of a patch
  // inside of x are read where they are. Short runs are gathered first.
  int64_t run;
  bool gathered, inPlace;
  int64_t runs;  // that a strip may have; of more than one, it has all their terms

  explicit Problem(const Call& call) : g(call), v(forwardView(g)), pixels(v.patches()), terms(g.terms()),
                                       columns(g.groupFilters()) {
    inPlace = paddedFloats() <= kSourceFloats;
    const bool joined = v.columns.spacing == 1 && (inPlace || v.depth == v.pitch);
    run = joined ? v.columns.taps * v.depth : v.depth;
    gathered = !inPlace && run < 2 * kRows && terms > run;
    if (gathered) run = terms;
    runs = 1;
    if (inPlace && joined && run > 0 && run <= kLongestRun) {
      runs = maxOf(1, minOf(minOf(kMostRuns, v.rows.taps), rowsOfTile(columns) / run));
    }
  }
  // Of the source rows that a block of pixels can meet: its rows lie in one image or in several.
  int64_t paddedFloats() const {
    if (v.patches() == 0) return 0;
    const int64_t most = minOf(kBlockK, v.patches()), width = v.columns.count, height = v.rows.count;
    const int64_t rows = (most + width - 2) / width + 1, images = (rows + height - 2) / height + 1;
    return (rows * v.rows.stride + images * sourceRows(v, 1)) * sourcePitch(v) + W;
  }
  int64_t stripsPerRun() const { return ceilDiv(run, inPlace ? rowsOfTile(columns) : kRows); }
  int64_t strips() const {
    if (run == 0) return 0;
    return runs > 1 ? ceilDiv(v.rows.taps, runs) : terms / run * stripsPerRun();
  }
  int64_t chunks() const {
    // So many pixels repay adding up another chunk: an image of 32×32×3 by 64 filters, 1.2 times as fast on two threads.
    constexpr int64_t kFewElements = 32 * 1024, kPixels = 512, kMost = 16;
    if (terms * g.filters > kFewElements) return 1;
    return maxOf(1, minOf(kMost, pixels / kPixels));
  }
};

struct Strip {
  int64_t term, count, runs;
};
Strip stripOf(const Problem& p, int64_t i) {
  if (p.runs > 1) {
    const Range rows = split(p.v.rows.taps, 1, i, p.strips());
    const int64_t runs = rows.end - rows.begin;
    return {rows.begin * p.run, runs * p.run, runs};
  }
  const int64_t per = p.stripsPerRun(), run = i / per, at = i % per;
  const int64_t begin = p.run * at / per;
  return {run * p.run + begin, p.run * (at + 1) / per - begin, 1};
}

// What one thread packs into.
struct Packed {
  float *a, *b, *patch;
};

// Packs strips [strips) of the patches of pixels [k0, k0 + kc): per strip kc rows of kRows terms.
void packStrips(const Problem& p, const float* x, int64_t group, Range strips, int64_t k0, int64_t kc,
                const Packed& packed) {
  const View& v = p.v;
  const int64_t begin = stripOf(p, strips.begin).term;
  const Strip last = stripOf(p, strips.end - 1);
  const Stretches stretches(v, begin, last.term + last.count - begin);
  // Offsets of strips inside of x.
  int64_t offsets[kBlockStrips], at[kBlockStrips];
  const int64_t n = strips.end - strips.begin;
  for (int64_t s = 0; s < n; s++) {
    const int64_t term = stripOf(p, strips.begin + s).term;
    at[s] = term - begin;
    const int64_t tap = term / v.depth;
    offsets[s] = ((tap / v.columns.taps) * v.rows.spacing * v.columns.size +
                  (tap % v.columns.taps) * v.columns.spacing) * v.pitch + term % v.depth;
  }
  // Strips are read as whole vectors: not where that could leave x.
  constexpr int64_t kRead = (kRows + W - 1) / W * W;
  const float* const safe =
      x + v.batch * v.rows.size * v.columns.size * v.pitch - kRead - offsets[n - 1];
  Position position(v, k0);
  for (int64_t k = 0; k < kc; k++, position.next(v)) {
    const Patch patch(v, x + group * v.depth, position);
    const float* from = patch.first;
    const int64_t* offset = offsets;
    if (!patch.inside || p.gathered || patch.first > safe) {
      cutPatch(v, stretches, patch, packed.patch);
      from = packed.patch;
      offset = at;
    }
    float* to = packed.a + k * kRows;
    // Whole vectors: what is too much, the next row overwrites; after the last there is room.
    for (int64_t s = 0; s < n; s++, to += kStripFloats) {
#pragma GCC unroll 4
      for (int64_t i = 0; i < kRows; i += W) store(to + i, load(from + offset[s] + i));
    }
  }
}

// Copies the source rows of pixels [k0, k0 + kc) with their padding, and says where each pixel's patch is.
void padPixels(const View& v, const float* x, int64_t k0, int64_t kc, float* to, int32_t* offsets) {
  const int64_t pitch = sourcePitch(v), width = v.columns.count;
  float* at = to;
  for (int64_t k = k0; k < k0 + kc;) {
    // As many rows of one image as there are.
    const int64_t row = k / width, image = row / v.rows.count, first = row % v.rows.count;
    const int64_t rows = minOf(v.rows.count - first, (k0 + kc - 1) / width + 1 - row);
    padRows(v, x, image, first, rows, at);
    for (int64_t r = 0; r < rows; r++) {
      const int64_t begin = (row + r) * width, end = minOf(k0 + kc, begin + width);
      int64_t offset = at - to + r * v.rows.stride * pitch + (k - begin) * v.columns.stride * v.depth;
      for (; k < end; k++, offset += v.columns.stride * v.depth) offsets[k - k0] = (int32_t)offset;
    }
    at += sourceRows(v, rows) * pitch;
  }
}

// What the block of pixels after [k0, k0 + kc) reads of x, but for the rows beyond its windows' first, and of dy: they come
// from memory while the tiles of this block, `calls` in all, are computed. Of groups, each reads a small part of a pixel.
struct NextBlock {
  AheadBySteps source, result;
  NextBlock(const Problem& p, const float* x, const float* dy, Range pixels, int64_t k0, int64_t kc, int64_t calls)
      : NextBlock(p, x, dy, k0 + kc, p.g.groups == 1 ? minOf(pixels.end, k0 + kc + kBlockK) : k0 + kc, calls) {}
  void ask() { source.step(), result.step(); }

 private:
  NextBlock(const Problem& p, const float* x, const float* dy, int64_t begin, int64_t end, int64_t calls)
      : source(x + floatsBefore(p.v, begin), floatsBefore(p.v, end) - floatsBefore(p.v, begin), calls),
        result(dy + begin * p.g.filters, (end - begin) * p.g.filters, calls) {}
  static int64_t floatsBefore(const View& v, int64_t pixel) {
    const int64_t row = pixel / v.columns.count, image = row / v.rows.count;
    return (image * v.rows.size + minOf(v.rows.size, row % v.rows.count * v.rows.stride)) * v.columns.size * v.pitch;
  }
};

// multiply() below where patches are read in place.
void multiplyInPlace(const Problem& p, const float* x, const float* dy, Range strips, Range pixels,
                     const Packed& packed, float* c) {
  const View& v = p.v;
  const int64_t ldc = p.g.filters, pitch = sourcePitch(v);
  // A single panel is packed as it is.
  const bool asItIs = p.columns % W == 0 && (ldc == kColumns || (ldc <= 2 * kColumns &&
                                                                 strips.end - strips.begin <= kUnpackedStrips));
  int32_t offsets[kBlockK];
  for (int64_t group = 0; group < p.g.groups; group++) {
    for (int64_t k0 = pixels.begin; k0 < pixels.end; k0 += kBlockK) {
      const int64_t kc = minOf(kBlockK, pixels.end - k0);
      padPixels(v, x + group * v.depth, k0, kc, packed.a, offsets);
      const float* const own = dy + k0 * ldc + group * p.columns;
      if (!asItIs) packRows(own, ldc, kc, p.columns, packed.b);
      NextBlock next(p, x, dy, pixels, k0, kc, ceilDiv(p.columns, kColumns) * (strips.end - strips.begin));
      const int64_t panels = ceilDiv(p.columns, kColumns), together = kc * p.columns <= kFewFloats ? panels : 1;
      for (int64_t first = 0; first < panels; first += together) {
        for (int64_t s = strips.begin; s < strips.end; s++) {
          const Strip strip = stripOf(p, s);
          const int64_t tap = strip.term / v.depth;
          const int64_t at = tap / v.columns.taps * v.rows.spacing * pitch +
                             tap % v.columns.taps * v.columns.spacing * v.depth + strip.term % v.depth;
          const bool many = strip.runs > 1;
          const auto& tiles = many ? kRunsTiles[strip.runs - 2][p.run - 1] : kOffsetTiles[strip.count - 1];
          for (int64_t panel = first; panel < first + together; panel++) {
            const int64_t j = panel * kColumns, width = minOf(kColumns, p.columns - j), vectors = ceilDiv(width, W);
            const int64_t tail = width - (vectors - 1) * W;
            next.ask();
            tiles[vectors - 1][tail != W](kc, offsets, packed.a + at, many ? v.rows.spacing * pitch : 1,
                                          asItIs ? own + j : packed.b + j * kc, asItIs ? ldc : kColumns,
                                          c + strip.term * ldc + group * p.columns + j, ldc, k0 > pixels.begin, tail);
          }
        }
      }
    }
  }
}

// c (terms × filters), its rows of [strips) = the sum over pixels [pixels).
void multiply(const Problem& p, const float* x, const float* dy, Range strips, Range pixels,
              const Packed& packed, float* c) {
  if (p.inPlace) {
    multiplyInPlace(p, x, dy, strips, pixels, packed, c);
    return;
  }
  const int64_t ldc = p.g.filters;
  for (int64_t group = 0; group < p.g.groups; group++) {
    for (int64_t k0 = pixels.begin; k0 < pixels.end; k0 += kBlockK) {
      const int64_t kc = minOf(kBlockK, pixels.end - k0);
      packRows(dy + k0 * ldc + group * p.columns, ldc, kc, p.columns, packed.b);
      NextBlock next(p, x, dy, pixels, k0, kc, ceilDiv(p.columns, kColumns) * (strips.end - strips.begin));
      for (int64_t s0 = strips.begin; s0 < strips.end; s0 += kBlockStrips) {
        const int64_t n = minOf(kBlockStrips, strips.end - s0);
        packStrips(p, x, group, {s0, s0 + n}, k0, kc, packed);
        for (int64_t j = 0; j < p.columns; j += kColumns) {
          const int64_t width = minOf(kColumns, p.columns - j), vectors = ceilDiv(width, W);
          const int64_t tail = width - (vectors - 1) * W;
          const auto& tiles = kTiles[1][tail != W];
          for (int64_t s = 0; s < n; s++) {
            const Strip strip = stripOf(p, s0 + s);
            next.ask();
            tiles[strip.count - 1][vectors - 1](kc, packed.a + s * kStripFloats, kRows,
                                                packed.b + j * kc, kColumns,
                                                c + strip.term * ldc + group * p.columns + j,
                                                ldc, k0 > pixels.begin, tail);
          }
        }
      }
    }
  }
}

}  // namespace

// Adds the chunks' sums and runs the epilogue, some rows of terms in each part.
void addChunks(const Call& call, const Run& run, float* sums, int64_t chunks, int64_t terms, int64_t n,
               int64_t part, int64_t parts) {
  const Range rows = split(terms, 1, part, parts);
  if (rows.begin >= rows.end || n == 0) return;
  const int64_t count = (rows.end - rows.begin) * n;
  const float* const first = sums + rows.begin * n;
  float* const stored = call.custom[0] >= 0 ? (float*)run.ptr[call.custom[0]] : nullptr;
  float* const c = (stored ? stored : sums) + rows.begin * n;
  if (c != first || chunks > 1) {
    for (int64_t i = 0; i < count; i++) {
      float sum = first[i];
      for (int64_t chunk = 1; chunk < chunks; chunk++) sum += first[chunk * terms * n + i];
      c[i] = sum;
    }
  }
  if (!call.tile) return;
  const bool wholeRows = n <= kTileLanes / 2;
  const int64_t lanes =
      wholeRows ? minOf(kTileLanes / n, rows.end - rows.begin) * n : minOf(kTileLanes, n);
  Epilogue epilogue(call, run, lanes, wholeRows, n);
  epilogue.apply(c, n, rows.begin, rows.end - rows.begin, 0, n);
}

// custom[0]: tensor that holds the sum for the epilogue, −1 for shared memory; [1]: byte offset of the
// packed strips or padded rows in scratch; [2]: of the packed dy; [3]: of one patch; [4]: chunks of pixels; [5]: whether
// they are summed in shared memory.
void planFilterGradient(Call& call) {
  const Problem p(call);
  const TilePlan* tile = call.tile;
  const int64_t chunks = p.chunks();
  call.custom[0] = tile ? tile->blockTensor : call.outputs[0];
  call.custom[4] = chunks;
  call.custom[5] = chunks > 1 || call.custom[0] < 0;
  ScratchLayout take;
  if (tile) take(tile->scratchBytes);
  call.custom[1] = take(p.inPlace ? p.paddedFloats() * 4 : (kBlockStrips * kStripFloats + 16) * 4);
  call.custom[2] = take(kBlockK * ceilDiv(p.columns, kColumns) * kColumns * 4);
  call.custom[3] = take((kMostTerms + 2 * 16) * 4);
  call.scratchBytes = take.bytes;
  call.sharedBytes = call.custom[5] ? chunks * p.terms * p.g.filters * 4 : 0;
  call.phases = 2;
  const int64_t lanes = p.terms * p.g.filters * (tile ? 2 + tile->nOps + tile->nInputs : 1);
  call.work = p.g.multiplications() / (5 * W) + lanes / 12;
  call.maxParts = maxOf(1, p.strips() * chunks);
}

void runFilterGradient(const Call& call, const Run& run, int phase, int64_t part, int64_t parts) {
  const Problem p(call);
  const int64_t chunks = call.custom[4], n = p.g.filters, size = p.terms * n;
  if (size == 0) return;
  float* const sums = call.custom[5] ? (float*)run.shared : (float*)run.ptr[call.custom[0]];
  if (phase == 1) {
    addChunks(call, run, sums, chunks, p.terms, n, part, parts);
    return;
  }
  const float* const x = (const float*)run.ptr[call.inputs[0]];
  const float* const dy = (const float*)run.ptr[call.inputs[1]];
  const Packed packed = {(float*)(run.scratch + call.custom[1]), (float*)(run.scratch + call.custom[2]),
                         (float*)(run.scratch + call.custom[3])};
  // Units: strips of chunk 0, of chunk 1 …
  const int64_t strips = p.strips();
  Range units = split(strips * chunks, 1, part, parts);
  while (units.begin < units.end) {
    const int64_t chunk = units.begin / strips, first = units.begin % strips;
    const int64_t count = minOf(strips - first, units.end - units.begin);
    const Range pixels = split(p.pixels, kBlockK, chunk, chunks);
    float* const c = sums + chunk * size;
    if (pixels.begin < pixels.end) {
      multiply(p, x, dy, {first, first + count}, pixels, packed, c);
    } else {
      const Strip a = stripOf(p, first), b = stripOf(p, first + count - 1);
      for (int64_t i = a.term * n; i < (b.term + b.count) * n; i++) c[i] = 0.0f;
    }
    units.begin += count;
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
