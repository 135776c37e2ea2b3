// conv2d and conv2dInputGradient by minimal filtering (Winograd 1980; Lavin & Gray 2016): 3×3 filters at
// stride 1. F(M, 3) makes M×M results of a tile of (M+2)×(M+2) source pixels by (M+2)² products instead of
// 9·M². Per channel both sides are transformed, so the products over channels are (M+2)² matrix products of
// [tiles, channels]·[channels, filters], which gemm's register tiles do, in blocks of terms (termsAtOnce).
//
// Tiles are taken in blocks whose transforms stay close; how many follows from the shape. Where few tiles meet large
// filters, filters are transformed panel by panel as they are used: all of them would go to memory and back for little
// work.
#include "epilogue.h"
#include "winograd.h"
#include "scratch.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

using Problem = WinogradProblem;

// Transforms of a filter that lasts are kept where so few tiles meet it.
constexpr int64_t kKeptTiles = 256;

// Memory of a block: per product the transformed source as strips of kRows rows, and the result.
struct Block {
  int64_t tiles, sourceRow, sourceSize, resultRow, resultSize;
  Block(const Problem& p, int64_t side) {
    constexpr int64_t kFloats = 96 * 1024, kLargeFilters = 4096 * 1024;
    constexpr int64_t kFewest = 4 * kRows, kMany = 8 * kRows, kMost = 16 * kRows;
    const int64_t products = (side + 2) * (side + 2);
    const int64_t fit = kFloats / (products * (p.depth + p.columns)) / kRows * kRows;
    // Every block reads all filters: if they come from far, blocks are few, though they leave L2 then.
    const int64_t filters = products * p.filterSize();
    const int64_t wanted = filters > kLargeFilters   ? kMost
                           : filters > kNearFilters ? kMany
                                                    : maxOf(kFewest, fit);
    tiles = minOf(minOf(kMost, wanted), ceilDiv(p.tiles(side), kRows) * kRows);
    sourceRow = oddLines(p.depth);
    sourceSize = oddLines(tiles * sourceRow);
    resultRow = oddLines(ceilDiv(p.columns, W) * W);  // room for whole vectors
    resultSize = oddLines(tiles * resultRow);
  }
};

// ---- Transforms of the filter and of a result tile

// Filters of one panel, channels [c0, c0 + n): to[product][channel][kColumns].
template <int M>
void transformFilters(const Problem& p, const float* w, int64_t panel, int64_t c0, int64_t n, float* to,
                      int64_t product) {
  constexpr int S = kSide<M>;
  constexpr int64_t kAtOnce = 16;
  float taps[9][kAtOnce * kColumns];
  const int64_t j = panel * kColumns, width = minOf(kColumns, p.columns - j);
  for (int64_t c = c0; c < c0 + n; c += kAtOnce) {
    const int64_t count = minOf(kAtOnce, c0 + n - c);
    for (int64_t tap = 0; tap < 9; tap++) {
      packFilter(p.g, p.backward, p.v, w, tap * p.depth + c, count, j, width, taps[tap]);
    }
    for (int64_t i = 0; i < count * kColumns; i += W) {
      VF rows[S][3];
#pragma GCC unroll 3
      for (int l = 0; l < 3; l++) {
        const VF column[3] = {load(taps[l] + i), load(taps[3 + l] + i), load(taps[6 + l] + i)};
        VF t[S];
        transformFilter<M>(column, t);
#pragma GCC unroll 6
        for (int k = 0; k < S; k++) rows[k][l] = t[k];
      }
      float* const at = to + (c - c0) * kColumns + i;
#pragma GCC unroll 6
      for (int k = 0; k < S; k++) {
        VF t[S];
        transformFilter<M>(rows[k], t);
#pragma GCC unroll 6
        for (int l = 0; l < S; l++) store(at + (k * S + l) * product, t[l]);
      }
    }
  }
}

// A tile of the result from its products: rows × columns pixels of it exist, `pitch` floats apart.
template <int M>
void transformBack(const float* from, int64_t product, int64_t channels, float* to, int64_t pitch, int64_t rowPitch,
                   int64_t rows, int64_t columns) {
  constexpr int S = kSide<M>;
  for (int64_t c = 0; c < channels; c += W) {
    const int64_t count = minOf(W, channels - c);
    VF half[M][S];
#pragma GCC unroll 1
    for (int l = 0; l < S; l++) {
      VF m[S], y[M];
#pragma GCC unroll 6
      for (int k = 0; k < S; k++) m[k] = load(from + (k * S + l) * product + c);  // rows have room
      transformResult<M>(m, y);
#pragma GCC unroll 4
      for (int k = 0; k < M; k++) half[k][l] = y[k];
    }
#pragma GCC unroll 1
    for (int64_t k = 0; k < rows; k++) {
      VF y[M];
      transformResult<M>(half[k], y);
      float* const at = to + k * rowPitch + c;
#pragma GCC unroll 4
      for (int l = 0; l < M; l++) {
        if (l >= columns) break;
        if (count == W) store(at + l * pitch, y[l]);
        else storePartial(at + l * pitch, y[l], count);
      }
    }
  }
}

// ---- Products

// Filters are transformed as they are used if all transforms have more floats than kStreamedFilters, which L2 does not
// hold, and are met by kFewestStreamed to kMostStreamed tiles: fewer hide no transform behind their products, more repay
// one that goes to memory. (The same for all instruction sets, as bits depend on it.)
constexpr int64_t kFewestStreamed = 29, kMostStreamed = 128, kStreamedFilters = 1024 * 1024;
// A panel's transform of kStreamedTerms channels stays in L2 beside the products of kStreamedTiles tiles.
constexpr int64_t kStreamedTiles = 64, kStreamedTerms = 128;
bool streamsFilters(const Problem& p, int64_t side) {
  const int64_t tiles = p.tiles(side), products = (side + 2) * (side + 2);
  return tiles >= kFewestStreamed && tiles <= kMostStreamed && products * p.depth * p.columns > kStreamedFilters;
}
// Terms of a block, the same whether filters are transformed as they are used or kept: the same bits.
int64_t termsAtOnce(const Problem& p, int64_t side) { return streamsFilters(p, side) ? kStreamedTerms : kBlockK; }

// Where a product has 16 terms and columns, a vector of AVX-512, its filter stays in registers and all tiles pass by:
// register tiles of so few terms would have more to begin and to end than to multiply. Rows of tiles are dense then.
constexpr int kHeldTerms = 16, kHeldRows = 8;
constexpr bool kHolds = W == kHeldTerms;

// R rows of C = A·B, one chain an element as in register tiles.
template <int R>
LW_INLINE void heldRows(const VF* b, const float* a, float* c) {
  VF acc[R];
#pragma GCC unroll 8
  for (int i = 0; i < R; i++) acc[i] = zero();
#pragma GCC unroll 16
  for (int k = 0; k < kHeldTerms; k++) {
#pragma GCC unroll 8
    for (int i = 0; i < R; i++) acc[i] = fma(set1(a[i * kHeldTerms + k]), b[k], acc[i]);
  }
#pragma GCC unroll 8
  for (int i = 0; i < R; i++) store(c + i * W, acc[i] + zero());  // never −0, as in register tiles
}

template <bool HOLDS>
void multiplyHeld(const float* a, const float* b, float* c, int64_t rows) {
  if constexpr (HOLDS) {
    VF held[kHeldTerms];
#pragma GCC unroll 16
    for (int k = 0; k < kHeldTerms; k++) held[k] = load(b + k * kColumns);
    int64_t i = 0;
    for (; i + kHeldRows <= rows; i += kHeldRows) heldRows<kHeldRows>(held, a + i * kHeldTerms, c + i * W);
    for (; i < rows; i++) heldRows<1>(held, a + i * kHeldTerms, c + i * W);
  }
}

// One product of a block: `count` transformed tiles by the filter's transform.
void multiplyTiles(const Problem& p, const Block& b, const float* source, const float* filter, float* result,
                   int64_t count, int64_t blockK) {
  if (kHolds && p.depth == kHeldTerms && p.columns <= W) {
    multiplyHeld<kHolds>(source, filter, result, count);
    return;
  }
  const Strips strips(count);
  for (int64_t k0 = 0; k0 < p.depth; k0 += blockK) {
    const int64_t kc = minOf(blockK, p.depth - k0);
    for (int64_t j = 0; j < p.columns; j += kColumns) {
      const float* const panel = filter + j * p.depth + k0 * kColumns;
      // Whole vectors: rows of the result have room for them.
      const int64_t vectors = ceilDiv(minOf(kColumns, p.columns - j), W);
      for (int64_t strip = 0; strip < strips.count; strip++) {
        const int64_t i = strips.at[strip], mr = strips.rows(strip);
        kTiles[0][0][mr - 1][vectors - 1](kc, source + i * b.sourceRow + k0, b.sourceRow, panel, kColumns,
                                          result + i * b.resultRow + j, b.resultRow, k0 > 0, W);
      }
    }
  }
}

// ---- Blocks of tiles

// Columns [j, j + width) of tiles [first, first + count) from their products (`productRow` floats a tile, `product` from
// one product to the next), in runs of tiles that are side by side in the result, and the epilogue on them.
template <int M>
void transformTilesBack(const Problem& p, int64_t first, int64_t count, const float* products, int64_t productRow,
                        int64_t product, int64_t j, int64_t width, float* stored, float* scratch, Epilogue* epilogue) {
  const int64_t pitch = stored ? p.columns : width;
  for (int64_t t = 0; t < count;) {
    const Place place = placeOf<M>(p, first + t);
    const int64_t n = minOf(count - t, place.left);
    const int64_t rows = minOf(M, p.height - place.row), pixels = minOf(n * M, p.width - place.column);
    const int64_t at = (place.image * p.height + place.row) * p.width + place.column;
    float* const to = stored ? stored + at * p.columns + j : scratch;
    const int64_t rowPitch = (stored ? p.width : pixels) * pitch;
    for (int64_t i = 0; i < n; i++) {
      transformBack<M>(products + (t + i) * productRow, product, width, to + i * M * pitch, pitch, rowPitch, rows,
                       minOf(M, pixels - i * M));
    }
    if (epilogue) {
      for (int64_t r = 0; r < rows; r++) {
        epilogue->apply(to + r * rowPitch, pitch, at + r * p.width, pixels, j, width);
      }
    }
    t += n;
  }
}

template <int M>
void convolveTiles(const Problem& p, const float* x, const float* filters, Range tiles, float* source,
                   float* products, float* stored, float* scratch, Epilogue* epilogue) {
  constexpr int S = kSide<M>;
  const Block b(p, M);
  const int64_t blocks = ceilDiv(tiles.end - tiles.begin, b.tiles);
  const int64_t filterSize = p.filterSize();
  for (int64_t block = 0; block < blocks; block++) {
    const int64_t all = tiles.end - tiles.begin;
    const int64_t first = tiles.begin + all * block / blocks;
    const int64_t count = tiles.begin + all * (block + 1) / blocks - first;
    for (int64_t t = 0; t < count; t++) {
      transformTile<M>(p, x, placeOf<M>(p, first + t), source + t * b.sourceRow, b.sourceSize);
    }
    for (int64_t product = 0; product < S * S; product++) {
      multiplyTiles(p, b, source + product * b.sourceSize, filters + product * filterSize,
                    products + product * b.resultSize, count, termsAtOnce(p, M));
      // Meanwhile the result's pixels and the next block's source come from memory.
      const Range soon = split(count, 1, product, S * S);
      for (int64_t t = first + soon.begin; t < first + soon.end; t++) {
        if (stored) askForTile<M, true>(stored, p, p.height, p.width, p.columns, t);
        if (t + count < tiles.end) askForTile<M, false>(x, p, p.v.rows.size, p.v.columns.size, p.depth, t + count);
      }
    }
    transformTilesBack<M>(p, first, count, products, b.resultRow, b.resultSize, 0, p.columns, stored, scratch, epilogue);
  }
}

// ---- Filters that are transformed as they are used

// Memory: the transforms of all tiles, shared; per thread those of a panel of the filter, and a block's products.
struct Streamed {
  int64_t tiles, blocks, panels, most, sourceRow, sourceSize, filterSize, resultRow, resultSize;
  Streamed(const Problem& p, int64_t side)
      : tiles(p.tiles(side)), blocks(ceilDiv(tiles, kStreamedTiles)), panels(ceilDiv(p.columns, kColumns)),
        most(ceilDiv(tiles, blocks)), sourceRow(oddLines(p.depth)), sourceSize(oddLines(tiles * sourceRow)),
        filterSize(oddLines(minOf(p.depth, kStreamedTerms) * kColumns)), resultRow(oddLines(kColumns)),
        resultSize(oddLines(most * resultRow)) {}
};

// One panel of columns of one block of tiles.
template <int M>
void convolvePanel(const Problem& p, const Streamed& b, const float* source, const float* w, int64_t panel, Range tiles,
                   float* filters, float* products, float* stored, float* scratch, Epilogue* epilogue) {
  constexpr int64_t kProducts = kSide<M> * kSide<M>;
  const int64_t first = tiles.begin, count = tiles.end - tiles.begin;
  const int64_t j = panel * kColumns, width = minOf(kColumns, p.columns - j), vectors = ceilDiv(width, W);
  const Strips strips(count);
  for (int64_t c = 0; c < p.depth; c += kStreamedTerms) {
    const int64_t terms = minOf(kStreamedTerms, p.depth - c);
    transformFilters<M>(p, w, panel, c, terms, filters, b.filterSize);
    for (int64_t product = 0; product < kProducts; product++) {
      const float* const from = source + product * b.sourceSize + first * b.sourceRow + c;
      // The next product's source comes from L3 meanwhile.
      const Ahead ahead = {from + b.sourceSize, b.sourceRow, product + 1 < kProducts ? count : 0, terms};
      for (int64_t strip = 0; strip < strips.count; strip++) {
        const int64_t i = strips.at[strip], mr = strips.rows(strip);
        ahead.fetch(i, mr);
        kTiles[0][0][mr - 1][vectors - 1](terms, from + i * b.sourceRow, b.sourceRow, filters + product * b.filterSize,
                                          kColumns, products + product * b.resultSize + i * b.resultRow, b.resultRow,
                                          c > 0, W);
      }
    }
  }
  transformTilesBack<M>(p, first, count, products, b.resultRow, b.resultSize, j, width, stored, scratch, epilogue);
}

template <int M>
void runStreamed(const Call& call, const Run& run, const Problem& p, int phase, int64_t part, int64_t parts) {
  const Streamed b(p, M);
  float* const source = (float*)run.shared;
  if (phase == 0) {
    const Range own = split(b.tiles, 1, part, parts);
    for (int64_t t = own.begin; t < own.end; t++) {
      transformTile<M>(p, (const float*)run.ptr[call.inputs[0]], placeOf<M>(p, t), source + t * b.sourceRow,
                       b.sourceSize);
    }
    return;
  }
  // More blocks where there are more threads than panels.
  const int64_t blocks = maxOf(b.blocks, minOf(ceilDiv(parts, b.panels), ceilDiv(b.tiles, kRows)));
  const Range own = split(b.panels * blocks, 1, part, parts);
  if (own.begin >= own.end) return;
  const float* const w = (const float*)run.ptr[call.inputs[1]];
  float* const stored = call.custom[0] >= 0 ? (float*)run.ptr[call.custom[0]] : nullptr;
  float* const filters = (float*)(run.scratch + call.custom[2]);
  float* const products = (float*)(run.scratch + call.custom[3]);
  float* const scratch = (float*)(run.scratch + call.custom[4]);
  const auto panels = [&](Epilogue* epilogue) {
    for (int64_t i = own.begin; i < own.end; i++) {
      convolvePanel<M>(p, b, source, w, i / blocks, split(b.tiles, 1, i % blocks, blocks), filters, products, stored,
                       scratch, epilogue);
    }
  };
  if (!call.tile) {
    panels(nullptr);
    return;
  }
  Epilogue epilogue(call, run, minOf(kTileLanes, minOf(kColumns, p.columns)), false, p.columns);
  panels(&epilogue);
}

template <int M>
void run(const Call& call, const Run& run, const Problem& p, int phase, int64_t part, int64_t parts) {
  float* const filters = (float*)run.shared;
  if (phase == 0) {
    constexpr int64_t kChannels = 64;
    const int64_t panels = ceilDiv(p.columns, kColumns), pieces = ceilDiv(p.depth, kChannels);
    const Range own = split(panels * pieces, 1, part, parts);
    for (int64_t i = own.begin; i < own.end; i++) {
      const int64_t c = i % pieces * kChannels;
      const int64_t panel = i / pieces;
      transformFilters<M>(p, (const float*)run.ptr[call.inputs[1]], panel, c, minOf(kChannels, p.depth - c),
                          filters + (panel * p.depth + c) * kColumns, p.filterSize());
    }
    return;
  }
  const Range tiles = split(p.tiles(M), 1, part, parts);
  if (tiles.begin >= tiles.end) return;
  const float* const x = (const float*)run.ptr[call.inputs[0]];
  float* const stored = call.custom[0] >= 0 ? (float*)run.ptr[call.custom[0]] : nullptr;
  float* const source = (float*)(run.scratch + call.custom[2]);
  float* const products = (float*)(run.scratch + call.custom[3]);
  float* const scratch = (float*)(run.scratch + call.custom[4]);
  if (!call.tile) {
    convolveTiles<M>(p, x, filters, tiles, source, products, stored, scratch, nullptr);
    return;
  }
  const int64_t n = p.columns;
  const bool wholeRows = n <= kTileLanes / 2;
  const int64_t lanes = wholeRows ? kTileLanes / n * n : minOf(kTileLanes, n);
  Epilogue epilogue(call, run, lanes, wholeRows, n);
  convolveTiles<M>(p, x, filters, tiles, source, products, stored, scratch, &epilogue);
}

}  // namespace

// custom[0]: tensor that holds the result for the epilogue, −1 for scratch; [1]: side of a tile; byte
// offsets in scratch of [2] transformed sources or filters, [3] products, [4] a run of result tiles; [5]: whether filters
// are transformed as they are used.
bool planWinograd(Call& call) {
  const Problem p(call);
  const int64_t side = p.side();
  if (side == 0) return false;
  const TilePlan* tile = call.tile;
  const Block b(p, side);
  const int64_t products = (side + 2) * (side + 2);
  call.custom[0] = tile ? tile->blockTensor : call.outputs[0];
  call.custom[1] = side;
  const int64_t tiles = p.tiles(side);
  call.keeps = call.lasts && tiles <= kKeptTiles;
  const bool streamed = !call.keeps && streamsFilters(p, side);
  call.custom[5] = streamed;
  const Streamed s(p, side);
  ScratchLayout take;
  if (tile) take(tile->scratchBytes);
  call.custom[2] = take(products * (streamed ? s.filterSize : b.sourceSize) * 4);
  call.custom[3] = take((products * (streamed ? s.resultSize : b.resultSize) + kColumns) * 4);
  const int64_t inScratch = streamed ? s.most * minOf(kColumns, p.columns) : b.tiles * p.columns;
  call.custom[4] = take(call.custom[0] < 0 ? inScratch * side * side * 4 : 0);
  call.scratchBytes = take.bytes;
  call.sharedBytes = products * (streamed ? s.sourceSize : p.filterSize()) * 4;
  call.phases = 2;
  const int64_t lanes = p.g.batch * p.height * p.width * p.columns * (tile ? 2 + tile->nOps + tile->nInputs : 1);
  call.work = products * (tiles * p.depth * p.columns / (5 * W) + tiles * (p.depth + p.columns) / 4 +
                          p.depth * p.columns / 4) + lanes / 12;
  const int64_t panels = ceilDiv(p.columns, kColumns), strips = ceilDiv(tiles, kRows);
  call.maxParts = maxOf(1, streamed ? panels * strips : maxOf(panels, strips));
  return true;
}

void runWinograd(const Call& call, const Run& r, int phase, int64_t part, int64_t parts) {
  const Problem p(call);
  if (call.custom[5]) {
    if (call.custom[1] == 4) runStreamed<4>(call, r, p, phase, part, parts);
    else runStreamed<2>(call, r, p, phase, part, parts);
  } else {
    if (call.custom[1] == 4) run<4>(call, r, p, phase, part, parts);
    else run<2>(call, r, p, phase, part, parts);
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
