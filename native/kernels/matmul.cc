// gemm: C[b] = op(A[b])·op(B[b]), with a tile program (the epilogue) run over rows of C while they are
// hot. From outside in: blocks of columns, blocks of k (kBlockK), blocks of rows (A packed), groups
// of panels of columns (B packed), strips of rows, panels, one register tile. Few rows by a transposed B are dot products; of
// some dozens, blocks of k are inside of panels.
#include <utility>

#include "epilogue.h"
#include "gemm_dots.h"
#include "gemm_row.h"
#include "gemm_shape.h"
#include "gemm_small.h"
#include "gemm_tile.h"
#include "gemm_zeros.h"
#include "scratch.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

extern const TileFunction kTiles[2][2][14][8] = {
    {LW_TILE_ROWS(false, false), LW_TILE_ROWS(false, true)},
    {LW_TILE_ROWS(true, false), LW_TILE_ROWS(true, true)},
};

namespace {

// By rows − 1, vectors − 1, TAIL.
constexpr StreamTile kStreamTiles[14][2][2] = {
    LW_STREAM_TILES(1),  LW_STREAM_TILES(2),  LW_STREAM_TILES(3),  LW_STREAM_TILES(4),  LW_STREAM_TILES(5),
    LW_STREAM_TILES(6),  LW_STREAM_TILES(7),  LW_STREAM_TILES(8),  LW_STREAM_TILES(9),  LW_STREAM_TILES(10),
    LW_STREAM_TILES(11), LW_STREAM_TILES(12), LW_STREAM_TILES(13), LW_STREAM_TILES(14),
};

// Block sizes, measured on Zen 4 (AVX-512) and on Zen 3 (the others). C in scratch, of kScratchRows × kScratchColumns, may
// leave L2 between blocks of k: that costs less than packing all of B again for every few rows.
// With a single block of k and C in scratch, the epilogue comes after every kHotRows rows, whose C is still
// in L2, as are the epilogue's inputs: they are prefetched while the rows are multiplied. All of B, at most
// kHotB floats, passes once for so many rows.
constexpr int64_t kBlockM = W == 16 ? 196 : 192;  // × kBlockK floats of packed A: 220 KiB of L2
// Without an epilogue, which wants its rows of C in L2, as many rows as possible meet a group of panels of B before the next
// group is packed: panels stay in L2, and rows come from L2 or L3, a strip for every few tiles (Zen 4, from 512 a side on:
// 1.00 to 1.03 times, on a busy host up to 1.06).
constexpr int64_t kBlockMAlone = W == 16 ? 1024 : kBlockM;
constexpr int64_t kBlockN = 1024;
constexpr int64_t kBlockNEpilogue = 512;  // C must still be in L2 when the epilogue comes
// Rows of a stored C of so many floats meet all blocks of k before those below do, if they are enough to pack B for: they
// stay in L2 (columns of 128, 512 terms: 1.09 times, Zen 5; with AVX2 0.99 times there).
constexpr int64_t kNearC = W == 16 ? 96 * 1024 : 0;
constexpr int64_t kScratchRows = 1024, kScratchColumns = 512;
constexpr int64_t kHotRows = 96 / kRows * kRows, kHotB = 1 << 17;
constexpr int64_t kHotListedRows = 112;  // where lists make no strips: 7 whole vectors of a transposed A
// Few rows against a whole B of so many floats: it is in L2 from the last time, as a small network's weights are, and
// asking for its lines costs a single row half as much as multiplying it.
constexpr int64_t kNearRows = 8, kNearB = W == 16 ? 1 << 17 : 1 << 16;
// A single row with so many columns is not cut into panels.
constexpr int64_t kRowColumns = 256;
// So many rows of A against a transposed B go panel by panel: a transposed panel is used from L1 and
// never goes to L2.
constexpr int64_t kPanelRows = 256;
// A is packed if it meets at least so many panels of B; an untransposed one only if it has many rows
// or rows that lie on the same cache sets. Stored rows of so few floats are never packed: the few that a tile reads
// lie close together, on other sets even where whole KiB apart.
constexpr int64_t kPackPanels = 4;
constexpr int64_t kPackRowsOfA = 128, kPackStrideOfA = 256, kCloseRows = 576, kCloseRowsTransposed = 288;
// Rows of A that lie well are packed, which turns them, for so many panels. Tiles of many rows read as many streams of
// an A that is not packed, so it pays sooner.
constexpr int64_t kTurnPanels = kRows > 8 ? 4 : 24;
// Two panels are enough for so many floats of A, which come from memory: tiles of a packed A ask for the next rows line by
// line (1.25 times, Zen 5).
constexpr int64_t kTurnFloats = kRows > 8 ? 2 << 20 : INT64_MAX;
// Rows of one block of A stay packed for all blocks of k, against a transposed B, if they take so many floats: half of a
// MiB, which L2 holds beside B's panel.
constexpr int64_t kTurnedA = 1 << 17;

// A whole B that stays packed between runs: blocks of k, in each all panels of columns. For every panel of every block
// a byte says whether it holds numbers only.
struct KeptB {
  BlocksOfK blocks;
  int64_t k, panels;
  KeptB(int64_t terms, int64_t columns) : blocks(terms), k(terms), panels(ceilDiv(columns, kColumns)) {}
  int64_t bytes() const { return k * panels * kColumns * 4 + blocks.count * panels; }
  float* block(void* kept, int64_t kb) const { return (float*)kept + blocks.begin(kb) * panels * kColumns; }
  uint8_t* finite(void* kept, int64_t kb) const { return (uint8_t*)kept + k * panels * kColumns * 4 + kb * panels; }
};

// Rows of a block of A, without an epilogue (`alone`) or with one; `byPanels` for a transposed B against few rows.
inline int64_t rowsOfBlock(bool alone, bool byPanels) {
  return maxOf(alone ? kBlockMAlone : kBlockM, byPanels ? kPanelRows : 0);
}

// How a piece of C is computed, from its shape alone.
struct Strategy {
  bool byDots, byRow, packA, packB;
  int64_t rowBlock;  // rows of a block of A
  int64_t panel;     // columns of a panel of B
  Strategy(const Shape& s, int64_t rows, int64_t cols, bool keptB, bool alone) {
    const int64_t panels = ceilDiv(cols, kColumns);
    byDots = s.byDots();
    byRow = s.m == 1 && !s.tb && cols >= kRowColumns;
    packB = keptB || s.tb || (rows >= packRowsFrom(s.ldb()) && panels > 1);
    const bool scattered = rows > kRows && s.lda() > (s.ta ? kCloseRowsTransposed : kCloseRows) &&
                           (rows > kPackRowsOfA || s.lda() % kPackStrideOfA == 0);
    const bool turned = panels >= kTurnPanels || (panels >= 2 && rows * s.k >= kTurnFloats);
    packA = (panels >= kPackPanels && scattered) || (!s.ta && rows > kRows && turned);
    const bool byPanels = s.tb && !s.ta && rows <= kPanelRows;
    rowBlock = rowsOfBlock(alone, byPanels);
    panel = (!packB && rows <= kRows ? maxVectors((int)rows) : kVectors) * W;
  }
};

// Few rows of C (rows×cols at c) or its only column, by dot products.
void multiplyByDots(const Shape& s, const float* a, const float* b, float* block, float* c, int64_t ldc, int64_t rows,
                    int64_t cols) {
  // The column is a row of C transposed.
  if (s.n == 1) std::swap(a, b), std::swap(rows, cols);
  float* to[kMostDotRows];
  for (int64_t i = 0; i < rows; i++) {
    to[i] = c + i * ldc;
    for (int64_t j = 0; j < cols; j++) to[i][j] = 0.0f;
  }
  const int64_t blocks = ceilDiv(s.k, dotBlock(s.n == 1 ? 1 : s.m));  // by the whole shape: parts must not differ
  for (int64_t kb = 0; kb < blocks; kb++) {
    const Range k = split(s.k, 16, kb, blocks);
    const int64_t n = k.end - k.begin;
    if (rows > 1) {
      for (int64_t i = 0; i < rows; i++) memcpy(block + i * n, a + i * s.k + k.begin, (size_t)n * 4);
    }
    const float* const next = b + (kb + 1 < blocks ? k.end : 0);
    addDots(s.n == 1 || s.m == 1, n, rows > 1 ? block : a + k.begin, rows, b + k.begin, s.k, cols, next, to);
  }
}

// Scratch memory of one thread.
struct Packed {
  float *a, *b;
  uint8_t* lists;  // null where zeros are not looked for
};

// One block of k of a piece of C.
struct KBlock {
  const float *a, *b;  // the stored matrices at the piece's first element of this block
  int64_t length;
  bool add;  // C += A·B rather than C = A·B
  // The same of the block that comes next, whose length is 0 where none does, and how many columns it has.
  const float *nextA, *nextB;
  int64_t then, nextColumns;
  // B where it stays packed, from the piece's first column on, and which panels hold numbers only; else null.
  float* kept;
  const uint8_t* finite;
  bool packedA;  // A's rows are packed already
};

// Whether a packed panel, which is still in L1, holds numbers only.
LW_INLINE bool allFinite(const float* panel, int64_t kc) {
  constexpr int kAtOnce = 4 * kVectors;
  VF zeros[kAtOnce];
  for (VF& sum : zeros) sum = zero();
  const int64_t floats = kc * kColumns;
  int64_t i = 0;
  for (; i + kAtOnce * W <= floats; i += kAtOnce * W) {
#pragma GCC unroll 8
    for (int v = 0; v < kAtOnce; v++) zeros[v] = fma(load(panel + i + v * W), zero(), zeros[v]);
  }
  for (; i < floats; i += W) zeros[0] = fma(load(panel + i), zero(), zeros[0]);
  for (int v = 1; v < kAtOnce; v++) zeros[0] = zeros[0] + zeros[v];
  return !anyLane((VI)(zeros[0] != zero()));
}

// Packs columns of a block of B, and says whether they hold numbers only: 0 times anything else is no zero.
LW_INLINE bool packFinite(const Shape& s, const KBlock& k, int64_t column, int64_t cols, float* to) {
  if (!s.tb) return packRows<true>(k.b + column, s.ldb(), k.length, cols, to);
  bool finite = true;
  for (int64_t j = 0; j < cols; j += kColumns, to += kColumns * k.length) {
    packColumns(k.b + (column + j) * s.ldb(), s.ldb(), k.length, minOf(kColumns, cols - j), to);
    finite &= allFinite(to, k.length);
  }
  return finite;
}

// Packs all of a B that lasts, some panels of all blocks in each part.
void packKept(const Shape& s, const float* b, void* to, int64_t part, int64_t parts) {
  const KeptB kept(s.k, s.n);
  const Range own = split(kept.blocks.count * kept.panels, 1, part, parts);
  for (int64_t i = own.begin; i < own.end; i++) {
    const int64_t kb = i / kept.panels, panel = i % kept.panels, j = panel * kColumns;
    const int64_t k0 = kept.blocks.begin(kb), kc = kept.blocks.begin(kb + 1) - k0;
    const KBlock k = {nullptr, s.tb ? b + k0 : b + k0 * s.ldb(), kc,      false,  nullptr, nullptr,
                      0,       0,                                nullptr, nullptr, false};
    kept.finite(to, kb)[panel] = packFinite(s, k, j, minOf(kColumns, s.n - j), kept.block(to, kb) + j * kc);
  }
}

// Packs strips of rows of an A that is not transposed.
LW_INLINE void packStrips(const float* a, int64_t lda, int64_t kc, const Strips& strips, float* to) {
  for (int64_t strip = 0; strip < strips.count; strip++, to += stripFloats(kc)) {
    packStrip(a + strips.at[strip] * lda, lda, kc, strips.rows(strip), to);
  }
}

// A block of rows of C by lists of A's terms, group by group of panels. The first block packs B; groups with other
// things than numbers are left to the tiles, then and later.
class ListedBlocks {
 public:
  ListedBlocks(const Shape& s, const Packed& packed, const KBlock& k, int64_t cols, bool keepB)
      : s_(s), packed_(packed), k_(k), cols_(cols), keepB_(keepB) {}

  // False, with nothing done, if A (rows×kc at a) has too few zeros.
  template <class Soon>
  LW_MEMBER bool multiply(const float* a, int64_t rows, float* c, int64_t ldc, Soon soon) {
    const int64_t kc = k_.length, lda = s_.lda();
    ZeroLists lists(packed_.lists);
    if (!lists.list(a, lda, s_.ta, rows, kc)) return false;
    const ZeroGroups groups(cols_);
    for (int64_t g = 0; g < groups.count; g++) {
      const int64_t j = groups.first(g) * kColumns, width = minOf(groups.first(g + 1) * kColumns, cols_) - j;
      float* const b = k_.kept ? k_.kept + j * kc : packed_.b + (keepB_ ? j * kc : 0);
      if (!packedB_ && !finite(j, width, b)) others_ |= (uint64_t)1 << g;
      const ZeroGroup group = {b, c + j, kc * kColumns, ldc, k_.add};
      if (others_ >> g & 1) {
        multiplyByTiles(s_.ta, kc, a, lda, b, kColumns, kColumns * kc, kColumns, c + j, ldc, k_.add, rows, width);
      } else {
        multiplyLists(lists, rows, width, group, [&](int64_t i, int64_t n) { soon(i, n, j, width); });
      }
    }
    packedB_ = true;
    return true;
  }

 private:
  // Whether B has numbers only in these columns, which are packed to `b` where they aren't yet.
  bool finite(int64_t j, int64_t width, float* b) const {
    if (!k_.kept) return packFinite(s_, k_, j, width, b);
    bool all = true;
    for (int64_t panel = j / kColumns; panel < ceilDiv(j + width, kColumns); panel++) all &= k_.finite[panel] != 0;
    return all;
  }

  const Shape& s_;
  const Packed& packed_;
  const KBlock& k_;
  const int64_t cols_;
  const bool keepB_;
  bool packedB_ = false;
  uint64_t others_ = 0;  // a bit a group
};
static_assert(kBlockN <= 64 * kZeroPanels * kColumns, "a bit for each group");
static_assert(kHotListedRows <= kZeroRows, "lists for each row of a block");
static_assert(kBlockMAlone <= kMaxStrips * kRows, "room for the strips of a block");

// C (rows×cols at c) = or += A·B over one block of k. `done(row, rows)` is called for rows that are
// finished, `soon(row, rows, column, columns)` before each tile. With `reuseC` every block of rows is
// computed at c, from where `done` takes it.
template <class Done, class Soon>
LW_INLINE void multiplyBlock(const Shape& s, Strategy how, const Packed& packed, const KBlock& k,
                             float* c, int64_t ldc, bool reuseC, int64_t rows, int64_t cols, Done done,
                             Soon soon) {
  const int64_t lda = s.lda(), ldb = s.ldb(), kc = k.length, panel = how.panel;
  bool lists = packed.lists && zerosCanPay(rows, cols, kc) &&
               (s.ta ? hasZeros(k.a, lda, kc, rows) : hasZeros(k.a, lda, rows, kc));
  if (lists) how.rowBlock = reuseC ? kHotListedRows : kZeroRows;
  const int64_t blocks = ceilDiv(rows, how.rowBlock), sizeA = stripFloats(kc);
  // Later blocks of rows find B packed; with one block only a group of panels is kept.
  const bool keepB = blocks > 1;
  ListedBlocks listed(s, packed, k, cols, keepB);
  const bool nearB = rows <= kNearRows && s.batch * s.k * s.n <= kNearB;
  for (int64_t block = 0; block < blocks; block++) {
    const int64_t i0 = rows * block / blocks, mc = rows * (block + 1) / blocks - i0;
    float* const ci = reuseC ? c : c + i0 * ldc;
    const float* const ai = s.ta ? k.a + i0 : k.a + i0 * lda;
    lists = lists && listed.multiply(ai, mc, ci, ldc, [&](int64_t i, int64_t n, int64_t j, int64_t width) {
      soon(i0 + i, n, j, width);
    });
    if (lists) {
      how.packB = true;  // tiles that go on find B packed
      done(i0, mc);
      continue;
    }
    const Strips strips(mc);
    if (how.packA && !k.packedA) {
      if (s.ta) packTransposed(ai, lda, kc, strips, packed.a, sizeA);
      else packStrips(ai, lda, kc, strips, packed.a);
    }
    // What comes next is asked for meanwhile: of A the next block, of rows or of k.
    const bool lastRows = block + 1 == blocks;
    const int64_t i1 = lastRows ? 0 : i0 + mc, more = lastRows ? rows / blocks : rows * (block + 2) / blocks - i1;
    const float* const nextA = lastRows ? k.nextA : s.ta ? k.a + i1 : k.a + i1 * lda;
    const int64_t terms = lastRows ? k.then : kc, tilesOfBlock = strips.count * ceilDiv(cols, panel);
    const bool canStream = W == 16 && panel == kColumns && (s.ta || how.packA);
    AheadByTiles aheadA(terms == 0 || k.packedA ? Ahead{k.a, 0, 0, 0}
                        : s.ta     ? Ahead{nextA, lda, terms, more}
                                   : Ahead{nextA, lda, more, terms},
                        tilesOfBlock, canStream);
    // Of C the rows that the next block makes (with AVX2 as fast or slower, Zen 4).
    AheadByTiles aheadC(W < 16 || reuseC || lastRows ? Ahead{c, 0, 0, 0} : Ahead{ci + mc * ldc, ldc, more, cols},
                        tilesOfBlock, false);
    const bool toPack = block == 0 && !k.kept;
    // Strips of rows meet a group of panels that are packed, one by one, before the next strip does: they write longer runs
    // of C. What is turned is used panel by panel.
    const int64_t group = how.packB && !(s.tb && toPack) ? kGroup * kColumns : panel;
    for (int64_t j0 = 0; j0 < cols; j0 += group) {
      const int64_t inGroup = minOf(group, cols - j0);
      const float* bg = k.b + j0;
      if (how.packB) {
        float* const to = k.kept ? k.kept + j0 * kc : packed.b + (keepB ? j0 * kc : 0);
        if (toPack && s.tb) packColumns(k.b + j0 * ldb, ldb, kc, inGroup, to);
        else if (toPack) packRows(k.b + j0, ldb, kc, inGroup, to);
        bg = to;
      }
      // Of B the next group, packed or not; with the last one what the next block of k begins with.
      const int64_t next = j0 + group, n = minOf(group, cols - next), begins = minOf(group, k.nextColumns);
      const bool first = toPack || !how.packB;
      const float* const packedNext = (k.kept ? k.kept : packed.b) + next * kc;
      const Ahead ahead = nearB                 ? Ahead{k.b, 0, 0, 0}
                          : n > 0 && !first     ? Ahead{packedNext, panel, kc * ceilDiv(n, panel), panel}
                          : n > 0 && s.tb       ? Ahead{k.b + next * ldb, ldb, n, kc}
                          : n > 0               ? Ahead{k.b + next, ldb, kc, n}
                          : !lastRows || k.kept ? Ahead{k.b, 0, 0, 0}
                          : s.tb                ? Ahead{k.nextB, ldb, begins, k.then}
                                                : Ahead{k.nextB, ldb, k.then, begins};
      AheadByTiles aheadB(ahead, ceilDiv(inGroup, panel) * strips.count, canStream);
      for (int64_t strip = 0; strip < strips.count; strip++) {
        const int64_t i = strips.at[strip], mr = strips.rows(strip);
        const float* const as = how.packA ? packed.a + strip * sizeA : s.ta ? ai + i : ai + i * lda;
        const int64_t strideA = how.packA ? kRows : lda, strideB = how.packB ? kColumns : ldb;
        for (int64_t j = j0; j < j0 + inGroup; j += panel) {
          const int64_t width = minOf(panel, cols - j), vectors = ceilDiv(width, W), tail = width - (vectors - 1) * W;
          const float* const bp = how.packB ? bg + (j - j0) * kc : bg;
          aheadA.fetch();
          aheadB.fetch();
          aheadC.fetch();
          soon(i0 + i, mr, j, width);
          float* const to = ci + i * ldc + j;
          AheadByTiles& longer = aheadA.left() > aheadB.left() ? aheadA : aheadB;
          if (longer.left() > 0) {
            kStreamTiles[mr - 1][vectors - 1][tail != W](kc, as, strideA, bp, strideB, to, ldc, k.add, tail,
                                                         longer.take(kc));
          } else {
            kTiles[s.ta || how.packA][tail != W][mr - 1][vectors - 1](kc, as, strideA, bp, strideB, to, ldc, k.add, tail);
          }
        }
      }
    }
    done(i0, mc);
  }
}

// Floats of so many rows of A, packed for all blocks of k.
int64_t turnedFloats(int64_t rows, int64_t k) {
  const BlocksOfK blocks(k);
  return blocks.count * ceilDiv(rows, kRows) * stripFloats(blocks.longest());
}
void packBlocks(const float* a, int64_t lda, const BlocksOfK& blocks, const Strips& strips, float* to) {
  for (int64_t kb = 0; kb < blocks.count; kb++, to += strips.count * stripFloats(blocks.longest())) {
    packStrips(a + blocks.begin(kb), lda, blocks.begin(kb + 1) - blocks.begin(kb), strips, to);
  }
}

// Few rows of A, packed for all blocks of k, against columns of a transposed B, panel by panel: so rows of B, pages long,
// are read from end to end, and C stays in L1. `more` columns can be asked for.
void multiplyTurned(const Shape& s, const Strategy& how, const Packed& packed, const float* b, float* c, int64_t ldc,
                    int64_t rows, int64_t cols, int64_t more) {
  const BlocksOfK blocks(s.k);
  const int64_t size = ceilDiv(rows, kRows) * stripFloats(blocks.longest());
  for (int64_t j = 0; j < cols; j += kColumns) {
    const int64_t width = minOf(kColumns, cols - j);
    for (int64_t kb = 0; kb < blocks.count; kb++) {
      const bool last = kb + 1 == blocks.count;
      const int64_t k0 = blocks.begin(kb), k1 = last ? 0 : blocks.begin(kb + 1), j1 = last ? j + kColumns : j;
      const int64_t nextColumns = minOf(kColumns, more - j1);
      const KBlock k = {nullptr, b + j * s.ldb() + k0, blocks.begin(kb + 1) - k0, kb > 0,
                        nullptr, b + j1 * s.ldb() + k1, nextColumns > 0 ? blocks.begin(last ? 1 : kb + 2) - k1 : 0,
                        nextColumns, nullptr, nullptr, true};
      multiplyBlock(
          s, how, {packed.a + kb * size, packed.b, nullptr}, k, c + j, ldc, false, rows, width,
          [](int64_t, int64_t) {}, [](int64_t, int64_t, int64_t, int64_t) {});
    }
  }
}

void multiply(const Call& call, const Run& run, const Shape& s, const Piece& piece,
              Epilogue* epilogue) {
  if (call.custom[8] != 0) {
    multiplySmall(call, run, s, piece, epilogue);
    return;
  }
  const Range rows = piece.rows, cols = piece.cols;
  const int64_t nRows = rows.end - rows.begin, nCols = cols.end - cols.begin;
  const float* const A = (const float*)run.ptr[call.inputs[0]];
  const float* const B = (const float*)run.ptr[call.inputs[1]];
  float* const stored = call.custom[0] >= 0 ? (float*)run.ptr[call.custom[0]] : nullptr;
  const Packed packed = {(float*)(run.scratch + call.custom[4]), (float*)(run.scratch + call.custom[1]),
                         call.custom[6] < 0 ? nullptr : (uint8_t*)run.scratch + call.custom[6]};
  float* const scratchC = (float*)(run.scratch + call.custom[2]);
  const int64_t lda = s.lda(), ldb = s.ldb();
  const BlocksOfK blocks(s.k);
  Strategy how(s, nRows, nCols, call.keeps > 0, epilogue == nullptr);
  const bool hot = call.custom[5] != 0;
  if (hot) how.rowBlock = kHotRows;
  const int64_t blockN = ceilDiv(ceilDiv(nCols, ceilDiv(nCols, call.custom[3])), kColumns) * kColumns;
  const int64_t ldc = stored ? s.n : minOf(blockN, s.n);  // an epilogue on whole rows wants them dense
  const int64_t nearRows = kNearC / maxOf(1, minOf(blockN, nCols));
  const bool near = stored && !hot && blocks.count > 1 && nearRows >= kPackRows;
  const int64_t rowsAtOnce = near ? nearRows : stored || hot ? nRows : minOf(kScratchRows, nRows);

  for (int64_t b = piece.batch.begin; b < piece.batch.end; b++) {
    const float* const ofA = A + b * s.strideA + (s.ta ? rows.begin : rows.begin * lda);
    const bool turns = call.custom[7] != 0 && how.packA && nRows <= kPanelRows && turnedFloats(nRows, s.k) <= kTurnedA &&
                       !(packed.lists && zerosCanPay(nRows, nCols, blocks.longest()) &&
                         hasZeros(ofA, lda, nRows, s.k));
    if (turns) packBlocks(ofA, lda, blocks, Strips(nRows), packed.a);
    for (int64_t j0 = cols.begin; j0 < cols.end; j0 += blockN) {
      const int64_t nc = minOf(blockN, cols.end - j0);
      for (int64_t i0 = rows.begin; i0 < rows.end; i0 += rowsAtOnce) {
        const int64_t mc = minOf(rowsAtOnce, rows.end - i0), row = b * s.m + i0;
        const float* const a = A + b * s.strideA + (s.ta ? i0 : i0 * lda);
        const float* const bj = B + b * s.strideB + (s.tb ? j0 * ldb : j0);
        float* const c = stored ? stored + row * s.n + j0 : scratchC;
        if (turns) {
          multiplyTurned(s, how, packed, bj, c, ldc, mc, nc, cols.end - j0);
          if (epilogue) epilogue->apply(c, ldc, row, mc, j0, nc);
          continue;
        }
        if (how.byDots) {
          multiplyByDots(s, a, bj, packed.a, c, ldc, mc, nc);
          if (epilogue) epilogue->apply(c, ldc, row, mc, j0, nc);
          continue;
        }
        if (how.byRow) {
          multiplyRow(s.k, a, s.ta ? lda : 1, bj, ldb, c, nc);
          if (epilogue) epilogue->apply(c, ldc, row, mc, j0, nc);
          continue;
        }
        for (int64_t kb = 0; kb < maxOf(blocks.count, 1); kb++) {
          const int64_t k0 = blocks.count > 0 ? blocks.begin(kb) : 0;
          const int64_t kc = blocks.count > 0 ? blocks.begin(kb + 1) - k0 : 0;
          // Next are the same rows and columns of the next block, or the first block of the rows below.
          const bool below = kb + 1 >= blocks.count;
          const int64_t k1 = below ? 0 : k0 + kc, i1 = below ? mc : 0;
          const bool none = blocks.count == 0 || (below && i0 + mc >= rows.end);
          const int64_t then = none ? 0 : blocks.begin(below ? 1 : kb + 2) - k1;
          KBlock k = {s.ta ? a + k0 * lda : a + k0,
                      s.tb ? bj + k0 : bj + k0 * ldb,
                      kc,
                      kb > 0,
                      s.ta ? a + k1 * lda + i1 : a + k1 + i1 * lda,
                      s.tb ? bj + k1 : bj + k1 * ldb,
                      then,
                      nc,
                      nullptr,
                      nullptr,
                      false};
          if (call.keeps > 0) {
            const KeptB kept(s.k, s.n);
            k.kept = kept.block(run.shared, kb) + j0 * kc;
            k.finite = kept.finite(run.shared, kb) + j0 / kColumns;
          }
          const bool last = epilogue && kb >= blocks.count - 1;
          multiplyBlock(
              s, how, packed, k, c, ldc, hot, mc, nc,
              [&](int64_t i, int64_t n) {
                if (last) epilogue->apply(hot ? c : c + i * ldc, ldc, row + i, n, j0, nc);
              },
              [&](int64_t i, int64_t n, int64_t j, int64_t width) {
                if (last) epilogue->fetch(row + i, n, j0 + j, width);
              });
        }
      }
    }
  }
}

}  // namespace

// custom[0]: tensor that holds C while it is computed, −1 for scratch; [1]: byte offset of the packed
// B in scratch; [2]: byte offset of the C block in scratch; [3]: columns of a block; [4]: byte offset of
// the packed A; [5]: whether the epilogue follows the product every kHotRows rows; [6]: byte offset of lists of
// terms, −1 for none; [7]: whether there is room for a packed A of all blocks of k, for a transposed B;
// [8]: 1 for a small product, 2 for one that is an OnePanel, which is kept from [9] on.
void plan_gemm(Call& call) {
  const Shape s(call);
  const TilePlan* tile = call.tile;
  call.custom[0] = tile ? tile->blockTensor : call.outputs[0];
  const BlocksOfK blocks(s.k);
  const int64_t kc = blocks.longest();
  const bool hot = call.custom[0] < 0 && blocks.count == 1 && s.m > 1 && !s.byDots();
  call.custom[5] = hot;
  // An epilogue on whole rows has up to kTileLanes / 2 columns.
  const int64_t hotColumns =
      maxOf(kTileLanes / 2, minOf(kTileLanes, kHotB / maxOf(kc, 1)) / kColumns * kColumns);
  call.custom[3] = s.m == 1 && !s.tb    ? kColumnsOfRow
                   : hot               ? hotColumns
                   : call.custom[0] < 0 ? kScratchColumns
                   : tile               ? kBlockNEpilogue
                                        : kBlockN;
  call.keeps = call.lasts && s.m > 1 && s.k > 0 && s.batch == 1 && !s.byDots() && s.m <= kKeptRows;
  call.phases = 1 + call.keeps;
  if (call.keeps) call.sharedBytes = KeptB(s.k, s.n).bytes();
  ScratchLayout take;
  if (tile) take(tile->scratchBytes);
  // A piece may have fewer rows and columns than the whole, and so another strategy: room for any.
  const int64_t width = minOf(call.custom[3], ceilDiv(s.n, kColumns) * kColumns);
  const bool dots = s.byDots(), zeros = !dots && zerosCanPay(s.m, s.n, kc);
  const bool mayPackB = !call.keeps && !dots && (s.tb || s.m >= packRowsFrom(s.n) || zeros);
  call.custom[1] = take(mayPackB ? kc * width * 4 : 0);
  const int64_t mostRows = maxOf(rowsOfBlock(!tile, s.tb && !s.ta), zeros ? kZeroRows : 0);
  const int64_t hotRows = zeros ? maxOf(kHotRows, kHotListedRows) : kHotRows;
  const int64_t rowBlock = minOf(hot ? hotRows : mostRows, s.m);
  const bool turns = s.tb && !s.ta && !dots && !call.keeps && call.custom[0] >= 0 && blocks.count > 1;
  call.custom[7] = turns;
  const int64_t blockFloats = (ceilDiv(rowBlock, kRows) + 1) * stripFloats(kc);
  call.custom[4] = take((dots    ? dotFloats(s.n == 1 ? 1 : s.m, s.k)
                         : turns ? maxOf(blockFloats, minOf(kTurnedA, turnedFloats(s.m, s.k)))
                                 : blockFloats) * 4);
  const int64_t rowsOfC = minOf(hot ? hotRows : kScratchRows, s.m);
  call.custom[2] = take(call.custom[0] < 0 ? rowsOfC * call.custom[3] * 4 : 0);
  call.custom[6] = zeros ? take(ZeroLists::kBytes) : -1;
  call.custom[8] = !dots && !zeros && !call.keeps && s.m <= kSmall && s.n <= kSmall && s.k <= kSmall && s.k > 0;
  const int64_t widest = s.m <= kRows ? maxVectors((int)s.m) : kVectors;
  if (call.custom[8] && !tile && !s.tb && s.m > 0 && s.n > 0 && s.n <= widest * W) {
    call.custom[8] = 2;
    const OnePanel panel(s);
    static_assert(sizeof panel <= sizeof call.custom - 9 * sizeof call.custom[0], "custom has room");
    memcpy(&call.custom[9], &panel, sizeof panel);
  }
  call.scratchBytes = take.bytes;
  const int64_t macs = s.batch * s.m * s.n * s.k;
  const int64_t lanes = s.batch * s.m * s.n * (tile ? 2 + tile->nOps + tile->nInputs : 1);
  call.work = macs / (5 * W) + lanes / 12;
  call.maxParts = maxOf(1, maxOf(s.batch, ceilDiv(s.n, kColumns) * ceilDiv(s.m, kRows)));
}

void run_gemm(const Call& call, const Run& run, int phase, int64_t part, int64_t parts) {
  if (call.custom[8] == 2 && parts == 1) {
    OnePanel panel;
    memcpy(&panel, &call.custom[9], sizeof panel);
    panel.multiply(call, run);
    return;
  }
  const Shape s(call);
  if (phase < call.keeps) {
    packKept(s, (const float*)run.ptr[call.inputs[1]], run.shared, part, parts);
    return;
  }
  const Piece piece = pieceOf(s, part, parts);
  const int64_t rows = piece.rows.end - piece.rows.begin, cols = piece.cols.end - piece.cols.begin;
  if (rows <= 0 || cols <= 0 || piece.batch.begin >= piece.batch.end) return;
  if (!call.tile) {
    multiply(call, run, s, piece, nullptr);
    return;
  }
  const bool wholeRows = cols == s.n && s.n <= kTileLanes / 2;
  const int64_t lanes = wholeRows ? minOf(kTileLanes / s.n, rows) * s.n : minOf(kTileLanes, cols);
  Epilogue epilogue(call, run, lanes, wholeRows, s.n, call.custom[5] != 0);
  multiply(call, run, s, piece, &epilogue);
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
