// gemm: C[b] = op(A[b])·op(B[b]), with a tile program (the epilogue) run over rows of C while they are
// hot. From outside in: blocks of columns, blocks of k (kBlockK), blocks of rows (A packed, in L2), panels
// of columns (B packed, in L1), strips of rows, one register tile. With AVX-512 a block of rows is one
// strip, which then stays in L1 while B streams from L2.
#include "epilogue.h"
#include "gemm_tile.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

extern const TileFunction kTiles[2][2][14][8] = {
    {LW_TILE_ROWS(false, false), LW_TILE_ROWS(false, true)},
    {LW_TILE_ROWS(true, false), LW_TILE_ROWS(true, true)},
};

namespace {

// Block sizes, measured on a Sapphire Rapids core (AVX-512) and on Zen 3 (the others).
#if defined(__AVX512F__)
constexpr int64_t kBlockM = kRows;
constexpr int64_t kBlockN = 512;          // × kBlockK floats of packed B: a quarter of a 2 MiB L2
constexpr int64_t kBlockNEpilogue = 512;
constexpr int64_t kScratchRows = 256, kScratchColumns = 512;
constexpr int64_t kPackRows = 384, kPackRowsAliased = 128, kAliased = 1024;
#else
constexpr int64_t kBlockM = 192;          // × kBlockK floats of packed A: 192 KiB of L2
constexpr int64_t kBlockN = 1024;
constexpr int64_t kBlockNEpilogue = 512;  // C must still be in L2 when the epilogue comes
constexpr int64_t kScratchRows = 192, kScratchColumns = 256;
constexpr int64_t kPackRows = 48, kPackRowsAliased = 3 * kRows, kAliased = 256;
#endif
// Fewer rows than kPackRows do not pay for packing an untransposed B; where its rows are whole pages
// apart and evict each other, packing pays sooner.
constexpr int64_t packRowsFrom(int64_t ldb) {
  return ldb % kAliased == 0 && kPackRowsAliased < kPackRows ? kPackRowsAliased : kPackRows;
}
// A single row with so many columns is not cut into panels.
constexpr int64_t kRowColumns = 256;
// So many rows of A against a transposed B go panel by panel: a transposed panel is used from L1 and
// never goes to L2.
constexpr int64_t kPanelRows = 256;
// A is packed if it meets at least so many panels of B; an untransposed one only if it has many rows
// or rows that lie on the same cache sets.
constexpr int64_t kPackPanels = 4;
constexpr int64_t kPackRowsOfA = 128, kPackStrideOfA = 256;
// Vector products with k below this are left to the tiles.
constexpr int64_t kDotK = 64;

struct Shape {
  int64_t batch, m, n, k;
  bool ta, tb;
  int64_t strideA, strideB;
  explicit Shape(const Call& call)
      : batch(call.ints[0]), m(call.ints[1]), n(call.ints[2]), k(call.ints[3]),
        ta(call.ints[4] != 0), tb(call.ints[5] != 0), strideA(call.ints[6]), strideB(call.ints[7]) {}
  int64_t lda() const { return ta ? m : k; }
  int64_t ldb() const { return tb ? k : n; }
  // One row or column of C against rows that are contiguous in k.
  bool byDots() const { return k >= kDotK && ((n == 1 && !ta) || (m == 1 && tb)); }
};

// Which piece of C a part computes.
struct Piece {
  Range batch, rows, cols;
};
Piece pieceOf(const Shape& s, int64_t part, int64_t parts) {
  const Piece all = {{0, s.batch}, {0, s.m}, {0, s.n}};
  Piece p = all;
  if (parts == 1) return p;
  const int64_t panels = ceilDiv(s.n, kColumns), strips = ceilDiv(s.m, kRows);
  if (s.batch >= 2 * parts || s.batch == parts) {
    p.batch = split(s.batch, 1, part, parts);
  } else if (panels >= 2 * parts && s.m < 512 * parts) {
    p.cols = split(s.n, kColumns, part, parts);  // each thread packs its own columns of B
  } else if (strips >= parts || strips >= panels) {
    p.rows = split(s.m, 1, part, parts);
  } else {
    p.cols = split(s.n, kColumns, part, parts);
  }
  return p;
}

// y[r·step] = Σ rows[r·stride + i]·x[i] for R rows: 16 lanes of fma over chunks of kBlockK terms,
// chunks added in double. Several rows at once keep more loads in flight; each sum is the same.
template <int R>
LW_INLINE void dots(const float* rows, int64_t stride, const float* x, int64_t n, float* y,
                    int64_t step) {
  double total[R] = {};
  for (int64_t at = 0; at < n; at += kBlockK) {
    const int64_t end = minOf(n, at + kBlockK);
    Lanes16 acc[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) acc[r] = lanes16(0.0f);
    int64_t i = at;
    for (; i + 16 <= end; i += 16) {
      const Lanes16 b = loadLanes16(x + i);
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
        for (int j = 0; j < 16 / W; j++) {
          acc[r].v[j] = fma(load(rows + r * stride + i + j * W), b.v[j], acc[r].v[j]);
        }
      }
    }
    if (i < end) {
      const Lanes16 b = loadLanes16(x + i, end - i, 0.0f);
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
        const Lanes16 a = loadLanes16(rows + r * stride + i, end - i, 0.0f);
#pragma GCC unroll 4
        for (int j = 0; j < 16 / W; j++) acc[r].v[j] = fma(a.v[j], b.v[j], acc[r].v[j]);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) total[r] += sumLanes(acc[r]);
  }
  for (int r = 0; r < R; r++) y[r * step] = (float)total[r];
}

// How a piece of C is computed, from its shape alone.
struct Strategy {
  bool byDots, byRow, packA, packB;
  int64_t rowBlock;  // rows of a block of A
  int64_t panel;     // columns of a panel of B
  Strategy(const Shape& s, int64_t rows, int64_t cols) {
    const int64_t panels = ceilDiv(cols, kColumns);
    byDots = s.byDots();
    byRow = s.m == 1 && !s.tb && cols >= kRowColumns;
    packB = s.tb || (rows >= packRowsFrom(s.ldb()) && panels > 1);
    const bool scattered = kBlockM > kRows && rows > kRows &&
                           (rows > kPackRowsOfA || s.lda() % kPackStrideOfA == 0);
    packA = panels >= kPackPanels && (scattered || (s.ta && kBlockM == kRows));
    const bool byPanels = s.tb && !s.ta && rows <= kPanelRows;
    rowBlock = byPanels ? maxOf(kBlockM, kPanelRows) : kBlockM;
    panel = (!packB && rows <= kRows ? maxVectors((int)rows) : kVectors) * W;
  }
};

// One row or one column of C, by dot products of rows that are contiguous in k.
void multiplyByDots(const Shape& s, const float* a, const float* b, float* c, int64_t ldc,
                    int64_t rows, int64_t cols) {
  const float* const x = s.n == 1 ? b : a;
  const float* const from = s.n == 1 ? a : b;
  const int64_t count = s.n == 1 ? rows : cols, step = s.n == 1 ? ldc : 1;
  int64_t r = 0;
  for (; r + 4 <= count; r += 4) dots<4>(from + r * s.k, s.k, x, s.k, c + r * step, step);
  for (; r < count; r++) dots<1>(from + r * s.k, s.k, x, s.k, c + r * step, step);
}

// One row of C: as many columns at once as L1 holds, so that rows of B are read whole and in order.
// Each element is the same chain of fma as in a tile. x[k·stride] is the row of A.
void multiplyRow(const Shape& s, const float* x, int64_t strideX, const float* b, float* c, int64_t cols) {
  constexpr int64_t kColumnsAtOnce = 2048;
  constexpr int kStep = 4;
  float sums[kColumnsAtOnce];
  const int64_t ldb = s.n;
  for (int64_t j0 = 0; j0 < cols; j0 += kColumnsAtOnce) {
    const int64_t n = minOf(kColumnsAtOnce, cols - j0), whole = n / W * W;
    for (int64_t k0 = 0; k0 < maxOf(s.k, 1); k0 += kBlockK) {
      const int64_t end = minOf(s.k, k0 + kBlockK);
      for (int64_t j = 0; j < n; j++) sums[j] = 0;
      for (int64_t k = k0; k < end; k += kStep) {
        const int64_t steps = minOf(kStep, end - k);
        const float* const row = b + k * ldb + j0;
        if (steps == kStep) {
          VF xv[kStep];
          for (int t = 0; t < kStep; t++) xv[t] = set1(x[(k + t) * strideX]);
          for (int64_t j = 0; j < whole; j += W) {
            VF sum = load(sums + j);
#pragma GCC unroll 4
            for (int t = 0; t < kStep; t++) sum = fma(xv[t], load(row + t * ldb + j), sum);
            store(sums + j, sum);
          }
        }
        for (int64_t t = 0; t < steps; t++) {
          const VF xv = set1(x[(k + t) * strideX]);
          for (int64_t j = steps == kStep ? whole : 0; j < whole; j += W) {
            store(sums + j, fma(xv, load(row + t * ldb + j), load(sums + j)));
          }
          if (whole < n) {
            const VF last = loadPartial(row + t * ldb + whole, n - whole);
            storePartial(sums + whole, fma(xv, last, loadPartial(sums + whole, n - whole)), n - whole);
          }
        }
      }
      for (int64_t j = 0; j < n; j++) c[j0 + j] = k0 > 0 ? c[j0 + j] + sums[j] : sums[j];
    }
  }
}

// Scratch memory of one thread.
struct Packed {
  float *a, *b;
};

// C (rows×cols at c) = or += A·B over one block of k: `a` and `b` are the stored matrices at this piece's
// first element. `done(row, rows)` is called for rows that are finished.
template <class Done>
LW_INLINE void multiplyBlock(const Shape& s, const Strategy& how, const Packed& packed, const float* a,
                             const float* b, float* c, int64_t ldc, int64_t rows, int64_t cols,
                             int64_t kc, bool add, Done done) {
  const int64_t lda = s.lda(), ldb = s.ldb(), panel = how.panel;
  const int64_t blocks = ceilDiv(rows, how.rowBlock), sizeA = kRows * packedStride(kc);
  // Later blocks of rows find B packed; with one block only a group of panels is kept.
  const bool keepB = blocks > 1;
  for (int64_t block = 0; block < blocks; block++) {
    const int64_t i0 = rows * block / blocks, mc = rows * (block + 1) / blocks - i0;
    const int64_t strips = ceilDiv(mc, kRows);
    const float* const ai = s.ta ? a + i0 : a + i0 * lda;
    if (how.packA) {
      for (int64_t strip = 0; strip < strips; strip++) {
        const int64_t i = mc * strip / strips, mr = mc * (strip + 1) / strips - i;
        float* const to = packed.a + strip * sizeA;
        if (s.ta) packTransposedStrip(ai + i, lda, kc, mr, to);
        else packStrip(ai + i * lda, lda, kc, mr, to);
      }
    }
    for (int64_t j = 0; j < cols; j += panel) {
      const int64_t width = minOf(panel, cols - j), vectors = ceilDiv(width, W);
      const int64_t tail = width - (vectors - 1) * W;
      const float* bp = b + j;
      if (how.packB) {
        const int64_t inGroup = j % (kGroup * kColumns);
        float* const to = packed.b + (keepB ? j : s.tb ? 0 : inGroup) * kc;
        if (block == 0 && s.tb) packColumns(b + j * ldb, ldb, kc, width, to);
        else if (block == 0 && inGroup == 0) {
          packRows(b + j, ldb, kc, minOf(kGroup * kColumns, cols - j), to);
        }
        bp = to;
      }
      const auto& tiles = kTiles[s.ta][tail != W];
      for (int64_t strip = 0; strip < strips; strip++) {
        const int64_t i = mc * strip / strips, mr = mc * (strip + 1) / strips - i;
        const float* const as = how.packA ? packed.a + strip * sizeA : s.ta ? ai + i : ai + i * lda;
        const int64_t strideA = !how.packA ? lda : s.ta ? kRows : packedStride(kc);
        tiles[mr - 1][vectors - 1](kc, as, strideA, bp, how.packB ? kColumns : ldb,
                                   c + (i0 + i) * ldc + j, ldc, add, tail);
      }
    }
    done(i0, mc);
  }
}

void multiply(const Call& call, const Run& run, const Shape& s, const Piece& piece,
              Epilogue* epilogue) {
  const Range rows = piece.rows, cols = piece.cols;
  const int64_t nRows = rows.end - rows.begin;
  const float* const A = (const float*)run.ptr[call.inputs[0]];
  const float* const B = (const float*)run.ptr[call.inputs[1]];
  float* const stored = call.custom[0] >= 0 ? (float*)run.ptr[call.custom[0]] : nullptr;
  const Packed packed = {(float*)(run.scratch + call.custom[4]), (float*)(run.scratch + call.custom[1])};
  float* const scratchC = (float*)(run.scratch + call.custom[2]);
  const int64_t lda = s.lda(), ldb = s.ldb();
  const int64_t blockN = call.custom[3];
  const int64_t ldc = stored ? s.n : minOf(blockN, s.n);  // an epilogue on whole rows wants them dense
  const int64_t rowsAtOnce = stored ? nRows : minOf(kScratchRows, nRows);
  const Strategy how(s, nRows, cols.end - cols.begin);
  const int64_t kBlocks = maxOf(1, ceilDiv(s.k, kBlockK));

  for (int64_t b = piece.batch.begin; b < piece.batch.end; b++) {
    for (int64_t j0 = cols.begin; j0 < cols.end; j0 += blockN) {
      const int64_t nc = minOf(blockN, cols.end - j0);
      for (int64_t i0 = rows.begin; i0 < rows.end; i0 += rowsAtOnce) {
        const int64_t mc = minOf(rowsAtOnce, rows.end - i0), row = b * s.m + i0;
        const float* const a = A + b * s.strideA + (s.ta ? i0 : i0 * lda);
        const float* const bj = B + b * s.strideB + (s.tb ? j0 * ldb : j0);
        float* const c = stored ? stored + row * s.n + j0 : scratchC;
        if (how.byDots) {
          multiplyByDots(s, a, bj, c, ldc, mc, nc);
          if (epilogue) epilogue->apply(c, ldc, row, mc, j0, nc);
          continue;
        }
        if (how.byRow) {
          multiplyRow(s, a, s.ta ? lda : 1, bj, c, nc);
          if (epilogue) epilogue->apply(c, ldc, row, mc, j0, nc);
          continue;
        }
        for (int64_t kb = 0; kb < kBlocks; kb++) {
          const int64_t k0 = kb * kBlockK, kc = minOf(kBlockK, s.k - k0);
          multiplyBlock(s, how, packed, s.ta ? a + k0 * lda : a + k0, s.tb ? bj + k0 : bj + k0 * ldb,
                        c, ldc, mc, nc, kc, kb > 0, [&](int64_t i, int64_t count) {
                          if (epilogue && kb == kBlocks - 1) {
                            epilogue->apply(c + i * ldc, ldc, row + i, count, j0, nc);
                          }
                        });
        }
      }
    }
  }
}

}  // namespace

// custom[0]: tensor that holds C while it is computed, −1 for scratch; [1]: byte offset of the packed
// B in scratch; [2]: byte offset of the C block in scratch; [3]: columns of a block; [4]: byte offset of
// the packed A.
void plan_gemm(Call& call) {
  const Shape s(call);
  const TilePlan* tile = call.tile;
  call.custom[0] = tile ? tile->blockTensor : call.outputs[0];
  call.custom[3] = call.custom[0] < 0 ? kScratchColumns : tile ? kBlockNEpilogue : kBlockN;
  call.phases = 1;
  const int64_t kc = minOf(kBlockK, s.k);
  int64_t bytes = 0;
  const auto take = [&](int64_t size) {
    const int64_t at = bytes;
    bytes += (size + 63) & ~(int64_t)63;
    return at;
  };
  if (tile) take(tile->scratchBytes);
  // A piece may have fewer rows and columns than the whole, and so another strategy: room for any.
  const int64_t width = minOf(call.custom[3], ceilDiv(s.n, kColumns) * kColumns);
  const bool mayPackB = s.tb || s.m >= packRowsFrom(s.n);
  call.custom[1] = take(mayPackB ? kc * width * 4 : 0);
  const int64_t rowBlock = minOf(maxOf(kBlockM, s.tb && !s.ta ? kPanelRows : 0), s.m);
  call.custom[4] = take((ceilDiv(rowBlock, kRows) + 1) * kRows * packedStride(kc) * 4);
  call.custom[2] = take(call.custom[0] < 0 ? minOf(kScratchRows, s.m) * call.custom[3] * 4 : 0);
  call.scratchBytes = bytes;
  const int64_t macs = s.batch * s.m * s.n * s.k;
  const int64_t lanes = s.batch * s.m * s.n * (tile ? 2 + tile->nOps + tile->nInputs : 1);
  call.work = macs / (5 * W) + lanes / 12;
  call.maxParts = maxOf(1, maxOf(s.batch, maxOf(ceilDiv(s.n, kColumns), ceilDiv(s.m, kRows))));
}

void run_gemm(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const Shape s(call);
  const Piece piece = pieceOf(s, part, parts);
  const int64_t rows = piece.rows.end - piece.rows.begin, cols = piece.cols.end - piece.cols.begin;
  if (rows <= 0 || cols <= 0 || piece.batch.begin >= piece.batch.end) return;
  if (!call.tile) {
    multiply(call, run, s, piece, nullptr);
    return;
  }
  const bool wholeRows = cols == s.n && s.n <= kTileLanes / 2;
  const int64_t lanes = wholeRows ? minOf(kTileLanes / s.n, rows) * s.n : minOf(kTileLanes, cols);
  Epilogue epilogue(call, run, lanes, wholeRows, s.n);
  multiply(call, run, s, piece, &epilogue);
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
