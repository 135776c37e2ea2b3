// conv2dFilterGradient by minimal filtering, the transpose of convolution_winograd.cc in the filter: per
// product a matrix product [channels, tiles]·[tiles, filters] of the transformed tiles of x and dy, of which
// the filter's transform, transposed, makes nine taps at the end. Tiles are taken in blocks, added in order.
//
// Phases: a block's tiles are transformed, its products added to the sums, and so on; at last the way back.
#include "epilogue.h"
#include "winograd.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

using Problem = WinogradProblem;

// Shared memory, in floats: the transforms of a block of tiles, per product [tiles, row], and the sums, per
// product [channels, sumRow].
struct Blocks {
  int64_t products, all, count, sourceRow, sourceSize, resultRow, resultSize, sumRow, sumSize;

  Blocks(const Problem& p, int64_t side) {
    constexpr int64_t kFloats = 96 * 1024, kLargeSums = 1024 * 1024, kFewest = 64;
    products = (side + 2) * (side + 2);
    all = p.tiles(side);
    sourceRow = oddLines(p.depth);
    resultRow = oddLines(p.columns);
    sumRow = oddLines(p.columns);
    sumSize = p.depth * sumRow;
    // The sums are read and written once per block: where they come from memory, blocks are few.
    const int64_t fit = kFloats / (products * (sourceRow + resultRow));
    const int64_t most = products * sumSize > kLargeSums ? kBlockK : minOf(kBlockK, maxOf(kFewest, fit));
    count = ceilDiv(all, most);
    const int64_t longest = ceilDiv(all, count);
    sourceSize = oddLines(longest * sourceRow);
    resultSize = oddLines(longest * resultRow);
  }
  int64_t begin(int64_t block) const { return all * block / count; }
  int64_t transforms() const { return products * (sourceSize + resultSize); }
};

// The transform of a tile of dy: to[product][filter]; what lies beyond dy is 0.
template <int M>
void transformResultTile(const Problem& p, const float* dy, const Place& place, float* to, int64_t product) {
  constexpr int S = kSide<M>;
  const int64_t pitch = p.columns, rows = minOf(M, p.height - place.row);
  const int64_t columns = minOf(M, p.width - place.column);
  const float* const from = dy + ((place.image * p.height + place.row) * p.width + place.column) * pitch;
  for (int64_t c = 0; c < pitch; c += W) {
    const int64_t lanes = pitch - c;
    VF half[S][M];
#pragma GCC unroll 1
    for (int l = 0; l < M; l++) {
      VF d[M], t[S];
#pragma GCC unroll 4
      for (int k = 0; k < M; k++) {
        const float* const at = from + (k * p.width + l) * pitch + c;
        d[k] = k >= rows || l >= columns ? zero() : lanes < W ? loadPartial(at, lanes) : load(at);
      }
      transformResultGradient<M>(d, t);
#pragma GCC unroll 6
      for (int k = 0; k < S; k++) half[k][l] = t[k];
    }
#pragma GCC unroll 1
    for (int k = 0; k < S; k++) {
      VF t[S];
      transformResultGradient<M>(half[k], t);
#pragma GCC unroll 6
      for (int l = 0; l < S; l++) store(to + (k * S + l) * product + c, t[l]);  // rows have room
    }
  }
}

template <int M>
void transformTiles(const Problem& p, const Blocks& b, int64_t block, const float* x, const float* dy,
                    float* source, float* result, int64_t part, int64_t parts) {
  const int64_t first = b.begin(block);
  const Range own = split(b.begin(block + 1) - first, 1, part, parts);
  for (int64_t t = own.begin; t < own.end; t++) {
    const Place place = placeOf<M>(p, first + t);
    transformTile<M>(p, x, place, source + t * b.sourceRow, b.sourceSize);
    transformResultTile<M>(p, dy, place, result + t * b.resultRow, b.resultSize);
  }
}

// sums (+)= sourceᵀ·result over the tiles of a block, some panels of some products in each part. Meanwhile the tiles of
// the next block that this part will transform come from memory.
template <int M>
void multiplyTiles(const Problem& p, const Blocks& b, int64_t block, const float* x, const float* dy,
                   const float* source, const float* result, float* sums, int64_t part, int64_t parts) {
  const int64_t panels = ceilDiv(p.columns, kColumns), strips = ceilDiv(p.depth, kRows);
  const int64_t tiles = b.begin(block + 1) - b.begin(block);
  const Range own = split(b.products * panels, 1, part, parts);
  const int64_t next = b.begin(minOf(block + 1, b.count)), more = b.begin(minOf(block + 2, b.count)) - next;
  const Range ahead = split(more, 1, part, parts);
  for (int64_t unit = own.begin; unit < own.end; unit++) {
    const int64_t product = unit / panels, j = unit % panels * kColumns;
    const int64_t vectors = ceilDiv(minOf(kColumns, p.columns - j), W);
    for (int64_t strip = 0; strip < strips; strip++) {
      const int64_t c = p.depth * strip / strips, rows = p.depth * (strip + 1) / strips - c;
      // Whole vectors: rows of the sums have room for them.
      kTiles[1][0][rows - 1][vectors - 1](
          tiles, source + product * b.sourceSize + c, b.sourceRow, result + product * b.resultSize + j,
          b.resultRow, sums + product * b.sumSize + c * b.sumRow + j, b.sumRow, block > 0, W);
    }
    const Range soon = split(ahead.end - ahead.begin, 1, unit - own.begin, own.end - own.begin);
    for (int64_t t = next + ahead.begin + soon.begin; t < next + ahead.begin + soon.end; t++) {
      askForTile<M, false>(x, p, p.v.rows.size, p.v.columns.size, p.depth, t);
      askForTile<M, false>(dy, p, p.height, p.width, p.columns, t);
    }
  }
}

// The taps of channel c: nine rows of to, tapPitch floats apart.
template <int M>
void transformBack(const Problem& p, const Blocks& b, const float* sums, int64_t c, float* to,
                   int64_t tapPitch) {
  constexpr int S = kSide<M>;
  for (int64_t j = 0; j < p.columns; j += W) {
    const float* const from = sums + c * b.sumRow + j;
    const int64_t lanes = p.columns - j;
    VF half[3][S];
#pragma GCC unroll 1
    for (int l = 0; l < S; l++) {
      VF t[S], g[3];
#pragma GCC unroll 6
      for (int k = 0; k < S; k++) t[k] = load(from + (k * S + l) * b.sumSize);
      transformFilterGradient<M>(t, g);
#pragma GCC unroll 3
      for (int k = 0; k < 3; k++) half[k][l] = g[k];
    }
#pragma GCC unroll 1
    for (int k = 0; k < 3; k++) {
      VF g[3];
      transformFilterGradient<M>(half[k], g);
#pragma GCC unroll 3
      for (int l = 0; l < 3; l++) {
        float* const at = to + (3 * k + l) * tapPitch + j;
        if (lanes >= W) store(at, g[l]);
        else storePartial(at, g[l], lanes);
      }
    }
  }
}

// Channels that go back at once: their taps stay in L1 or L2 for the epilogue.
constexpr int64_t kChannels = 8;

template <int M>
void finish(const Call& call, const Run& run, const Problem& p, const Blocks& b, const float* sums,
            int64_t part, int64_t parts) {
  const int64_t n = p.columns;
  const Range own = split(p.depth, kChannels, part, parts);
  if (own.begin >= own.end) return;
  float* const stored = call.custom[0] >= 0 ? (float*)run.ptr[call.custom[0]] : nullptr;
  float* const scratch = (float*)(run.scratch + call.custom[2]);
  const auto back = [&](int64_t c, int64_t count) {
    float* const to = stored ? stored + c * n : scratch;
    const int64_t tapPitch = (stored ? p.depth : count) * n;
    for (int64_t i = 0; i < count; i++) transformBack<M>(p, b, sums, c + i, to + i * n, tapPitch);
  };
  if (!call.tile) {
    back(own.begin, own.end - own.begin);
    return;
  }
  const bool wholeRows = n <= kTileLanes / 2;
  const int64_t lanes = wholeRows ? kTileLanes / n * n : minOf(kTileLanes, n);
  Epilogue epilogue(call, run, lanes, wholeRows, n);
  for (int64_t c = own.begin; c < own.end; c += kChannels) {
    const int64_t count = minOf(kChannels, own.end - c);
    back(c, count);
    for (int64_t tap = 0; tap < 9; tap++) {
      const int64_t row = tap * p.depth + c;
      epilogue.apply(stored ? stored + row * n : scratch + tap * count * n, n, row, count, 0, n);
    }
  }
}

template <int M>
void run(const Call& call, const Run& run, const Problem& p, int phase, int64_t part, int64_t parts) {
  const Blocks b(p, M);
  float* const source = (float*)run.shared;
  float* const result = source + b.products * b.sourceSize;
  float* const sums = source + b.transforms();
  const float* const x = (const float*)run.ptr[call.inputs[0]];
  const float* const dy = (const float*)run.ptr[call.inputs[1]];
  const int64_t block = phase / 2;
  if (block == b.count) {
    finish<M>(call, run, p, b, sums, part, parts);
  } else if (phase % 2 == 0) {
    transformTiles<M>(p, b, block, x, dy, source, result, part, parts);
  } else {
    multiplyTiles<M>(p, b, block, x, dy, source, result, sums, part, parts);
  }
}

}  // namespace

// custom[0]: tensor that holds the result for the epilogue, −1 for scratch; [1]: side of a tile; [2]: byte
// offset in scratch of the taps of some channels.
bool planWinogradFilter(Call& call) {
  const Problem p(call);
  const int64_t side = p.side();
  if (side == 0) return false;
  const Blocks b(p, side);
  const TilePlan* tile = call.tile;
  call.custom[0] = tile ? tile->blockTensor : call.outputs[0];
  call.custom[1] = side;
  call.custom[2] = tile ? (tile->scratchBytes + 63) & ~(int64_t)63 : 0;
  call.scratchBytes = call.custom[2] + (call.custom[0] < 0 ? 9 * kChannels * p.columns * 4 : 0);
  call.sharedBytes = (b.transforms() + b.products * b.sumSize) * 4;
  call.phases = (int32_t)(2 * b.count + 1);
  const int64_t lanes = 9 * p.depth * p.columns * (tile ? 2 + tile->nOps + tile->nInputs : 1);
  call.work = b.products * (b.all * p.depth * p.columns / (5 * W) + b.all * (p.depth + p.columns) / 4 +
                            p.depth * p.columns / 4) + lanes / 12;
  call.maxParts = maxOf(1, b.products * ceilDiv(p.columns, kColumns));
  return true;
}

void runWinogradFilter(const Call& call, const Run& r, int phase, int64_t part, int64_t parts) {
  const Problem p(call);
  if (call.custom[1] == 4) run<4>(call, r, p, phase, part, parts);
  else run<2>(call, r, p, phase, part, parts);
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
