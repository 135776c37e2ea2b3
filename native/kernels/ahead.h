// Memory that is asked for before it is needed, while something else is computed.
#pragma once

#include "../cpu.h"
#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// Whether L1 has room for what a loop asks for ahead beside rows that it keeps at hand, such as a mean and a scale per
// column. A Zen 4's, of 32 KiB, has not: into L1 batch norm was slower than without, into L2 it is 1.3 to 1.5 times as fast.
// (Of caches so small no other machine was measured; of an unknown one this assumes that it is larger, as a Zen 5's.)
LW_INLINE bool isRoomyL1() { return l1Bytes == 0 || l1Bytes >= 48 * 1024; }
LW_INLINE void askLine(const void* line, bool intoL1) {
  if (intoL1) __builtin_prefetch(line);
  else __builtin_prefetch(line, 0, 2);
}
// How many floats ahead of its own a loop over large arrays asks for memory: the hardware foresees less.
constexpr int64_t kAheadLanes = 3072;
// The same for a chain, of all that it reads together. (Around the caches, Zen 5, into L1: relu 1.16 times as fast, batch
// norm 1.14, with its gradient 1.07, and half as far a third of it. On a Zen 4 half as far is 1.06 times as fast
// for relu, and for batch norm 1.1 to 1.3.)
LW_INLINE int64_t chainAheadLanes() { return isRoomyL1() ? kAheadLanes : kAheadLanes / 2; }
// From so many columns on, moments and the sums of batch norm's gradient take few rows at a time and, where these are whole,
// ask for memory ahead: batch norm of 8192×1024 with its gradient takes a twentieth less, with AVX2 a sixth. Columns of
// the tensor, not of a thread's part: the order of sums must not depend on threads.
constexpr int64_t kWideRow = 512;
// Floats that loops of vectors reach one by one are asked for once a line.
LW_INLINE void askAhead(const float* from, int64_t lane) {
  if (W == 16 || lane % 16 < W) askLine(from + lane + kAheadLanes, isRoomyL1());
}

// A piece of a matrix that is read soon: `rows` runs of `n` floats, `stride` apart. What it takes to have
// it in L2 by then is spread over the tiles that are computed meanwhile.
struct Ahead {
  const float* from;
  int64_t stride, rows, n;
  // Asks for `count` runs from the first-th on.
  LW_MEMBER void fetch(int64_t first, int64_t count) const {
    const int64_t end = minOf(rows, first + count);
    for (int64_t r = first; r < end; r++) {
      const float* const run = from + r * stride;
      for (int64_t i = 0; i < n; i += 16) __builtin_prefetch(run + i, 0, 2);
      __builtin_prefetch(run + n - 1, 0, 2);  // the run may begin inside a line
    }
  }
};

// Lines that are asked for one by one: runs of so many, `jump` bytes from behind a run to the next one.
struct Stream {
  const char* at;
  int64_t lines, left, jump;
};

// The loop of a tile that asks for a line of a stream at every step. (AheadBySteps would take more of its registers.)
class StreamSteps {
 public:
  LW_MEMBER explicit StreamSteps(Stream& stream) : stream_(stream), at_(stream.at), left_(stream.left) {}
  LW_MEMBER void step() {
    __builtin_prefetch(at_, 0, 2);
    at_ += 64;
    if (__builtin_expect(--left_ == 0, 0)) {
      at_ += stream_.jump;
      left_ = stream_.lines;
    }
  }
  LW_MEMBER void end() {
    stream_.at = at_;
    stream_.left = left_;
  }

 private:
  Stream& stream_;
  const char* at_;
  int64_t left_;
};

// An Ahead that is asked for while so many tiles are computed: some runs before each of them, or, where these would be so
// many lines that a core waits for them (it follows about two dozen), line by line in tiles that can.
class AheadByTiles {
 public:
  AheadByTiles() : ahead_{nullptr, 0, 0, 0} {}
  AheadByTiles(const Ahead& ahead, int64_t tiles, bool canStream) : ahead_(ahead) {
    if (ahead.rows <= 0 || ahead.n <= 0) {
      ahead_.rows = 0;
      return;
    }
    perTile_ = ceilDiv(ahead.rows, tiles);
    // A run may begin inside a line, and so end in one more.
    const bool whole = ((uintptr_t)ahead.from | (uintptr_t)(ahead.stride * 4)) % 64 == 0;
    const int64_t lines = ceilDiv(ahead.n, 16) + !whole;
    if (canStream && perTile_ * lines > kAtOnce) {
      left_ = ahead.rows * lines;
      stream_ = {(const char*)ahead.from, lines, lines, ahead.stride * 4 - lines * 64};
    }
  }
  // Before a tile.
  LW_MEMBER void fetch() {
    if (ahead_.rows == 0 || stream_.lines > 0) return;
    ahead_.fetch(asked_, perTile_);
    asked_ += perTile_;
  }
  // Lines that tiles ask for are left.
  int64_t left() const { return left_; }
  // For a tile of so many steps.
  LW_MEMBER Stream& take(int64_t steps) {
    left_ -= steps;
    return stream_;
  }

 private:
  static constexpr int64_t kAtOnce = 24;
  Ahead ahead_;
  int64_t perTile_ = 0, asked_ = 0, left_ = 0;
  Stream stream_ = {nullptr, 0, 0, 0};
};

// Memory that is asked for before it is needed, a few lines at every step, in the order in which it lies.
struct AheadBySteps {
  const char* at = nullptr;
  int64_t left = 0, each = 0;                   // lines of this piece; lines per step
  int64_t lines = 0, piece = 0, pieces = 0, rows = 0;  // of a piece; pieces of a row; rows left
  int64_t pieceStep = 0, rowStep = 0;           // bytes behind a piece, behind a row

  LW_MEMBER AheadBySteps() {}
  // `floats` of each pixel of a rectangle of some rows' pixels; where they are whole pixels or whole rows, they
  // are one piece.
  AheadBySteps(const float* from, int64_t floats, int64_t pixelFloats, int64_t pixels, int64_t rowPixels, int64_t count,
               int64_t steps) {
    if (floats <= 0 || pixels <= 0 || count <= 0 || steps <= 0) return;
    pieces = pixels, rows = count;
    if (floats == pixelFloats) floats *= pieces, pieces = 1;
    if (pieces == 1 && pixels == rowPixels) floats *= rows, rows = 1;
    at = (const char*)from;
    left = lines = ceilDiv(floats, 16);
    each = ceilDiv(lines * pieces * rows, steps);
    pieceStep = pixelFloats * 4 - lines * 64;
    rowStep = (rowPixels - pixels) * pixelFloats * 4;
  }
  // What lies in one piece.
  AheadBySteps(const float* from, int64_t floats, int64_t steps) : AheadBySteps(from, floats, floats, 1, 1, 1, steps) {}
  // Into L2, or into `LOCALITY` 3 L1, too.
  template <int LOCALITY = 2>
  LW_MEMBER void step() {
    for (int64_t i = 0; i < each; i++, at += 64) {
      __builtin_prefetch(at, 0, LOCALITY);
      if (--left == 0) turn();
    }
  }
  LW_MEMBER void turn() {
    left = lines;
    at += pieceStep;
    if (++piece < pieces) return;
    piece = 0;
    at += rowStep;
    if (--rows == 0) each = 0;
  }
};

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
