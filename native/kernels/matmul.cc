// gemm: C[b] = op(A[b])·op(B[b]), with a tile program (the epilogue) run over each strip of rows while
// it is hot. Blocking: columns in blocks of kBlockN, k in blocks of kBlockK, rows in near-equal strips.
// B is packed when it is transposed or many rows reuse it; of A only strips of a transposed one.
#include "gemm_tile.h"
#include "kernels.h"
#include "tile.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

// A packed block of B is kBlockK × kBlockN floats: 512 KiB, a quarter of a 2 MiB L2.
constexpr int64_t kBlockN = 512;
// Rows of C in scratch where no output can hold it: 256 × kBlockN floats.
constexpr int64_t kScratchRows = 256;
// Fewer rows than this do not pay for packing an untransposed B; where its rows are whole pages apart
// and evict each other, packing pays sooner.
constexpr int64_t kPackRows = 384;
constexpr int64_t kPackRowsAliased = 128;
constexpr int64_t packRowsFrom(int64_t ldb) { return ldb % 1024 == 0 ? kPackRowsAliased : kPackRows; }
constexpr int64_t kPanelRows = 256;
// A strip of a transposed A is packed if it meets at least so many panels of B.
constexpr int64_t kPackPanels = 4;
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

// Runs the epilogue over finished rows of C.
struct Epilogue {
  TileRun run;
  int64_t n;
  bool wholeRows;

  Epilogue(const Call& call, const Run& r, int64_t lanes, bool many, int64_t columns)
      : run(*call.tile, r.ptr, r.scratch, lanes, many), n(columns), wholeRows(many) {}
  // Rows [row, row + rows) and columns [col, col + cols) of the domain, at c.
  void apply(float* c, int64_t ldc, int64_t row, int64_t rows, int64_t col, int64_t cols) {
    if (wholeRows) {
      const int64_t step = kTileLanes / n;
      for (int64_t i = 0; i < rows; i += step) {
        run.slot[0] = c + i * ldc;
        run.block(row + i, minOf(step, rows - i), 0, n);
      }
      return;
    }
    for (int64_t j = 0; j < cols; j += kTileLanes) {
      for (int64_t i = 0; i < rows; i++) {
        run.slot[0] = c + i * ldc + j;
        run.block(row + i, 1, col + j, minOf(kTileLanes, cols - j));
      }
    }
  }
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

void multiply(const Call& call, const Run& run, const Shape& s, const Piece& piece,
              Epilogue* epilogue) {
  const Range rows = piece.rows, cols = piece.cols;
  const int64_t nRows = rows.end - rows.begin;
  const float* const A = (const float*)run.ptr[call.inputs[0]];
  const float* const B = (const float*)run.ptr[call.inputs[1]];
  float* const stored = call.custom[0] >= 0 ? (float*)run.ptr[call.custom[0]] : nullptr;
  float* const packed = (float*)(run.scratch + call.custom[1]);
  float* const packedA = (float*)(run.scratch + call.custom[4]);
  float* const scratchC = (float*)(run.scratch + call.custom[2]);
  const int64_t lda = s.lda(), ldb = s.ldb();
  const int64_t ldc = stored ? s.n : call.custom[3];

  const int64_t rowBlock = stored ? nRows : minOf(kScratchRows, nRows);
  const bool byDots = s.byDots();
  const bool pack = !byDots && (s.tb || (nRows >= packRowsFrom(ldb) && cols.end - cols.begin > kColumns));
  const int64_t nv = !pack && nRows <= kRows ? maxVectors((int)nRows) : kVectors;
  const int64_t panel = nv * W;
  const int64_t kBlocks = maxOf(1, ceilDiv(s.k, kBlockK));

  for (int64_t b = piece.batch.begin; b < piece.batch.end; b++) {
    const float* const Ab = A + b * s.strideA;
    const float* const Bb = B + b * s.strideB;
    for (int64_t j0 = cols.begin; j0 < cols.end; j0 += kBlockN) {
      const int64_t nc = minOf(kBlockN, cols.end - j0);
      for (int64_t i0 = rows.begin; i0 < rows.end; i0 += rowBlock) {
        const int64_t mc = minOf(rowBlock, rows.end - i0);
        float* const C = stored ? stored + (b * s.m + i0) * s.n + j0 : scratchC;
        if (byDots) {
          // One column of C against rows of A, or one row of C against rows of the transposed B.
          const float* const x = s.n == 1 ? Bb : Ab;
          const float* const from = s.n == 1 ? Ab + i0 * s.k : Bb + j0 * s.k;
          const int64_t count = s.n == 1 ? mc : nc, step = s.n == 1 ? ldc : 1;
          int64_t r = 0;
          for (; r + 4 <= count; r += 4) dots<4>(from + r * s.k, s.k, x, s.k, C + r * step, step);
          for (; r < count; r++) dots<1>(from + r * s.k, s.k, x, s.k, C + r * step, step);
          if (epilogue) epilogue->apply(C, ldc, b * s.m + i0, mc, j0, nc);
          continue;
        }
        const int64_t strips = ceilDiv(mc, kRows);
        for (int64_t kb = 0; kb < kBlocks; kb++) {
          const int64_t k0 = kb * kBlockK, kc = minOf(kBlockK, s.k - k0);
          const bool last = kb == kBlocks - 1;
          const float* const Bk = s.tb ? Bb + j0 * ldb + k0 : Bb + k0 * ldb + j0;
          if (s.tb && !s.ta && pack && mc <= kPanelRows) {
            // Panel by panel: the transposed panel is used from L1 and never goes to L2. With more
            // rows A would come from L2 or beyond for every panel, and the order below is better.
            for (int64_t j = 0; j < nc; j += panel) {
              const int64_t width = minOf(panel, nc - j);
              packColumns(Bk + j * ldb, ldb, kc, width, packed);
              const int64_t vectors = ceilDiv(width, W), tail = width - (vectors - 1) * W;
              for (int64_t strip = 0; strip < strips; strip++) {
                const int64_t i = mc * strip / strips, mr = mc * (strip + 1) / strips - i;
                kTiles[0][tail != W][mr - 1][vectors - 1](kc, Ab + (i0 + i) * lda + k0, lda, packed,
                                                          kColumns, C + i * ldc + j, ldc, kb > 0,
                                                          tail);
              }
            }
            if (last && epilogue) epilogue->apply(C, ldc, b * s.m + i0, mc, j0, nc);
            continue;
          }
          if (pack) {
            if (s.tb) packColumns(Bk, ldb, kc, nc, packed);
            else packRows(Bk, ldb, kc, nc, packed);
          }
          for (int64_t strip = 0; strip < strips; strip++) {
            const int64_t i = mc * strip / strips, mr = mc * (strip + 1) / strips - i;
            const float* a = s.ta ? Ab + k0 * lda + i0 + i : Ab + (i0 + i) * lda + k0;
            int64_t strideA = lda;
            if (s.ta && nc >= kPackPanels * panel) {
              packStrip(a, lda, kc, mr, packedA);
              a = packedA;
              strideA = kPackedRows;
            }
            const auto& tiles = kTiles[s.ta];
            for (int64_t j = 0; j < nc; j += panel) {
              const int64_t width = minOf(panel, nc - j);
              const int64_t vectors = ceilDiv(width, W), tail = width - (vectors - 1) * W;
              const TileFunction tileFn = tiles[tail != W][mr - 1][vectors - 1];
              if (pack) {
                tileFn(kc, a, strideA, packed + j * kc, kColumns, C + i * ldc + j, ldc, kb > 0, tail);
              } else {
                tileFn(kc, a, strideA, Bk + j, ldb, C + i * ldc + j, ldc, kb > 0, tail);
              }
            }
            if (last && epilogue) epilogue->apply(C + i * ldc, ldc, b * s.m + i0 + i, mr, j0, nc);
          }
        }
      }
    }
  }
}

}  // namespace

// custom[0]: tensor that holds C while it is computed, −1 for scratch; [1]: byte offset of the packed
// B in scratch; [2]: byte offset of the C block in scratch; [3]: its row length; [4]: byte offset of a
// packed strip of A.
void plan_gemm(Call& call) {
  const Shape s(call);
  const TilePlan* tile = call.tile;
  call.custom[0] = tile ? tile->blockTensor : call.outputs[0];
  call.phases = 1;
  int64_t bytes = tile ? (tile->scratchBytes + 63) & ~(int64_t)63 : 0;
  const int64_t width = minOf(kBlockN, ceilDiv(s.n, kColumns) * kColumns);
  call.custom[1] = bytes;
  if (s.tb || s.m >= packRowsFrom(s.n)) bytes += minOf(kBlockK, s.k) * width * 4;
  call.custom[4] = bytes;
  if (s.ta) bytes += minOf(kBlockK, s.k) * kPackedRows * 4;
  call.custom[2] = bytes;
  call.custom[3] = s.n <= kBlockN ? s.n : kBlockN;
  if (call.custom[0] < 0) bytes += minOf(kScratchRows, s.m) * call.custom[3] * 4;
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
