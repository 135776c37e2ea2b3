// Runs a tile plan block by block: the common part of map, reduce and the gemm epilogue. A block is
// either `nRows` whole rows (nRows·cols ≤ kTileLanes) or a piece of one row, as a rule of at most kTileLanes.
#pragma once

#include "ahead.h"
#include "instructions.h"
#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// Loads n lanes with an element stride into a register, widening uint8 and bool.
LW_INLINE void loadLanes(float* dst, const void* src, DType dtype, int64_t stride, int64_t n) {
  if (dtype == kUint8 || dtype == kBool) {
    const uint8_t* s = (const uint8_t*)src;
    int32_t* d = (int32_t*)dst;
    if (stride == 1) {
      int64_t i = 0;
      for (; i + W <= n; i += W) store(d + i, loadBytes(s + i));
      for (; i < n; i++) d[i] = s[i];
    } else {
      for (int64_t i = 0; i < n; i++) d[i] = s[i * stride];
    }
  } else if (stride == 1) {
    const float* s = (const float*)src;
    int64_t i = 0;
    for (; i + W <= n; i += W) store(dst + i, load(s + i));
    if (i < n) store(dst + i, loadPartial(s + i, n - i));  // registers have room past the end
  } else {
    const int32_t* s = (const int32_t*)src;
    int32_t* d = (int32_t*)dst;
    for (int64_t i = 0; i < n; i++) d[i] = s[i * stride];
  }
}

// Spreads one lane over n lanes (and up to W − 1 beyond, which registers have room for).
LW_INLINE void fillLanes(float* dst, int32_t lane, int64_t n) {
  const VI v = set1(lane);
  for (int64_t i = 0; i < n; i += W) store((int32_t*)dst + i, v);
}

LW_INLINE int32_t oneLane(const void* src, DType dtype, int64_t at) {
  if (dtype == kUint8 || dtype == kBool) return ((const uint8_t*)src)[at];
  return ((const int32_t*)src)[at];
}

// Stores n lanes as `dtype`: int32 lanes saturate to uint8, or become 0/1.
LW_INLINE void storeLanes(void* out, DType dtype, int64_t at, const void* lanes, int64_t n) {
  if (dtype == kUint8) {
    uint8_t* d = (uint8_t*)out + at;
    const int32_t* s = (const int32_t*)lanes;
    int64_t i = 0;
    for (; i + W <= n; i += W) {
      const VI v = load(s + i), positive = v > 0 ? v : set1(0);
      storeBytes(d + i, positive < 255 ? positive : set1(255));
    }
    for (; i < n; i++) d[i] = (uint8_t)(s[i] < 0 ? 0 : s[i] > 255 ? 255 : s[i]);
  } else if (dtype == kBool) {
    uint8_t* d = (uint8_t*)out + at;
    const int32_t* s = (const int32_t*)lanes;
    int64_t i = 0;
    for (; i + W <= n; i += W) storeBytes(d + i, toBool(load(s + i) != 0));
    for (; i < n; i++) d[i] = s[i] != 0;
  } else {
    float* d = (float*)out + at;
    const float* s = (const float*)lanes;
    int64_t i = 0;
    for (; i + W <= n; i += W) store(d + i, load(s + i));
    if (i < n) storePartial(d + i, loadPartial(s + i, n - i), n - i);
  }
}

// Smaller domains stay in L2, where prefetching brings nothing.
constexpr int64_t kPrefetchFrom = 1 << 15;
// A result of so many elements is out of the caches before anybody reads it: it is stored around them, which
// saves reading its lines first. (Zen 3, 8192×1024: batch norm 1.7 times as fast, relu 1.2; exp loses 8 %, as
// the copy costs more than the lines, so only light tiles do.)
constexpr int64_t kAroundFrom = 1 << 22;

// Copies n floats to `to`, around the caches; the ends too, as an ordinary store would fetch the line whose rest
// goes around.
LW_INLINE void copyAround(float* to, const float* from, int64_t n) {
  int64_t i = 0;
  for (; i < n && ((uintptr_t)(to + i) & (W * 4 - 1)) != 0; i++) storeOneAround(to + i, from[i]);
  for (; i + W <= n; i += W) storeAround(to + i, load(from + i));
  for (; i < n; i++) storeOneAround(to + i, from[i]);
}

struct TileRun {
  const TilePlan& plan;
  void* const* ptr;
  void** slot;
  float* registers;
  bool multiRow;
  int64_t stride;                   // floats of a register
  int64_t columnsAt, columnsCount;  // the columns that columnOps were last run for
  // Inputs and outputs that are walked in order, for prefetching: the hardware's own prefetcher stops at
  // every page and at every jump from row to row.
  static constexpr int kMaxStreams = 12;
  const char* streams[kMaxStreams];
  int32_t nStreams;
  uint32_t around;  // results that are stored around the caches, as bits

  // Floats of a register, and bytes of scratch, for blocks of up to so many lanes; plan.scratchBytes is for kTileLanes.
  static int64_t strideOf(int64_t lanes) { return maxOf(kTileLanes, (lanes + 15) / 16 * 16) + kTileStride - kTileLanes; }
  static int64_t scratchOf(const TilePlan& p, int64_t lanes) {
    return p.scratchBytes + p.nSlots * (strideOf(lanes) - kTileStride) * 4;
  }

  // `scratch` has scratchOf(plan, lanes). `lanes` is the most that one block will have; multiRow says
  // whether blocks may have more than one row.
  TileRun(const TilePlan& p, void* const* tensors, char* scratch, int64_t lanes, bool manyRows)
      : plan(p), ptr(tensors), slot((void**)scratch), multiRow(manyRows), stride(strideOf(lanes)),
        columnsAt(-1), columnsCount(0) {
    registers = (float*)(scratch + (((size_t)p.nSlots * sizeof(void*) + 63) & ~(size_t)63));
    for (int32_t s = 0; s < p.nSlots; s++) slot[s] = registers + s * stride;
    for (int32_t i = 0; i < p.nInputs; i++) {
      const TileInput& in = p.inputs[i];
      if (in.kind == kUniform) {
        *(int32_t*)slot[i] = oneLane(ptr[in.tensor], in.dtype, 0);
      } else if (in.kind == kPeriodic && multiRow) {
        float* r = (float*)slot[i];
        for (int64_t at = 0; at < lanes; at += p.cols) {
          loadLanes(r + at, ptr[in.tensor], in.dtype, 1, p.cols);
        }
      }
    }
    for (int32_t o = 0; o < p.nUniformOps; o++) run(p.uniformOps[o], 1, 0);
    for (int32_t f = 0; f < p.nFills; f++) {
      float* r = (float*)slot[p.fills[f]];
      fillLanes(r, *(int32_t*)r, lanes);
    }
    if (multiRow) {
      for (int32_t o = 0; o < p.nColumnOps; o++) run(p.columnOps[o], lanes, 0);
    }
    nStreams = 0;
    around = 0;
    if (p.rows * p.cols < kPrefetchFrom) return;
    for (int32_t i = 0; i < p.nInputs && nStreams < kMaxStreams; i++) {
      const TileInput& in = p.inputs[i];
      if (in.kind == kLinear && in.dtype < kUint8) streams[nStreams++] = (const char*)ptr[in.tensor];
    }
    const int32_t nRead = nStreams;
    for (int32_t r = 0; r < p.nResults && nStreams < kMaxStreams; r++) {
      const TileResult& result = p.results[r];
      const char* at = (const char*)ptr[result.tensor];
      bool known = result.direct != kDirect;
      for (int32_t s = 0; s < nRead; s++) known = known || streams[s] == at;
      if (known) continue;
      // Not where the bytes are an input's: its lines are in the caches already.
      if (p.light && !p.aliased && p.rows * p.cols >= kAroundFrom && r < 32) around |= 1u << r;
      else streams[nStreams++] = at;
    }
  }

  ~TileRun() {
    if (around) storesDone();
  }

  LW_MEMBER void run(const TileOp& op, int64_t n, int64_t index) const {
    kInstructions[op.function](slot[op.dst], slot[op.a], slot[op.b], slot[op.c], n, op, index);
  }

  // Element offset of row `row` in an input: outer indices times strides.
  int64_t rowOffset(const TileInput& in, int64_t row) const {
    if (plan.outerRank == 1) return row * in.strides[0];
    int64_t offset = 0;
    for (int32_t d = plan.outerRank - 1; d >= 0; d--) {
      const int64_t q = row / plan.outerDims[d];
      offset += (row - q * plan.outerDims[d]) * in.strides[d];
      row = q;
    }
    return offset;
  }

  // Points slot i at its lanes for this block, loading them where they can't be read in place.
  void input(int32_t i, int64_t row, int64_t nRows, int64_t col, int64_t nCols) const {
    const TileInput& in = plan.inputs[i];
    if (in.kind == kUniform || in.kind == kExternal) return;
    const char* base = (const char*)ptr[in.tensor];
    const int64_t size = in.dtype >= kUint8 ? 1 : 4;
    const bool inPlace = size == 4 && !in.copyIn;
    float* r = registers + i * stride;
    switch (in.kind) {
      case kUniform:
      case kExternal:
        return;
      case kLinear: {
        const char* at = base + (row * plan.cols + col) * size;
        if (inPlace) slot[i] = (void*)at;
        else loadLanes(r, at, in.dtype, 1, nRows * nCols);
        return;
      }
      case kPeriodic:
        if (multiRow) return;
        if (inPlace) slot[i] = (void*)(base + col * size);
        else loadLanes(r, base + col * size, in.dtype, 1, nCols);
        return;
      case kRowConst:
        for (int64_t k = 0; k < nRows; k++) {
          fillLanes(r + k * nCols, oneLane(base, in.dtype, rowOffset(in, row + k)), nCols);
        }
        return;
      case kRowUnit:
        if (nRows == 1 && inPlace) {
          slot[i] = (void*)(base + (rowOffset(in, row) + col) * size);
          return;
        }
        slot[i] = r;  // a block of one row before may have pointed it into the tensor
        [[fallthrough]];
      case kGeneral:
        for (int64_t k = 0; k < nRows; k++) {
          const char* at = base + (rowOffset(in, row + k) + col * in.stride) * size;
          loadLanes(r + k * nCols, at, in.dtype, in.stride, nCols);
        }
        return;
    }
  }

  // What is left to be asked for of the next block: line `line` of stream `stream` and all after it.
  struct Ahead {
    int64_t next, linesPerStream, linesPerOp;
    int32_t stream;
    int64_t line;
  };
  // Asks for an op's share of the next block: spread over the ops, memory works while they compute.
  LW_MEMBER void prefetch(Ahead& ahead) const {
    int64_t left = ahead.linesPerOp;
    while (left > 0 && ahead.stream < nStreams) {
      const int64_t count = minOf(left, ahead.linesPerStream - ahead.line);
      const char* p = streams[ahead.stream] + ahead.next * 4 + ahead.line * 64;
      for (int64_t i = 0; i < count; i++) __builtin_prefetch(p + i * 64);
      left -= count;
      ahead.line += count;
      if (ahead.line == ahead.linesPerStream) {
        ahead.line = 0;
        ahead.stream++;
      }
    }
  }

  // Lets the chain store around the caches by itself: what becomes aligned to vectors after the same number of lanes. The
  // slots of the rest stay registers, which are copied, with `registersElse`; without, they are memory all the same.
  LW_MEMBER ChainAround aimAround(int64_t index, bool registersElse) {
    ChainAround aimed = {0, 0};
    for (int32_t k = 0; k < plan.nOps - plan.chainFrom; k++) {
      for (int32_t r = 0; r < plan.nResults; r++) {
        const TileResult& result = plan.results[r];
        if (!(around >> r & 1) || plan.chainResults[k] != result.slot) continue;
        char* const to = (char*)ptr[result.tensor] + index * 4;
        const int64_t head = -((intptr_t)to >> 2) & (W - 1);
        const bool direct = aimed.ops == 0 || head == aimed.head;
        slot[result.slot] = direct || !registersElse ? to : (char*)(registers + result.slot * stride);
        if (direct) aimed = {aimed.ops | 1u << k, head};
      }
    }
    return aimed;
  }

  // For a block of n lanes; nothing where the next one lies elsewhere, or is asked for while bits are drawn.
  LW_MEMBER ChainAhead aheadOf(int64_t index, int64_t n, int64_t step) const {
    const bool follows = plan.chainFrom == 0 && (plan.nColumnOps == 0 || step == n);
    return {follows ? nStreams : 0, streams, (index + chainAheadLanes() / maxOf(nStreams, 1)) * 4,
            plan.nColumnOps == 0 || isRoomyL1()};
  }

  // Points slots at a block's lanes, and computes what depends on its columns alone. Outputs are at `index`, the linear
  // position in the domain.
  LW_MEMBER void aim(int64_t row, int64_t nRows, int64_t col, int64_t nCols, int64_t index) {
    for (int32_t i = 0; i < plan.nInputs; i++) input(i, row, nRows, col, nCols);
    for (int32_t r = 0; r < plan.nResults; r++) {
      const TileResult& result = plan.results[r];
      if (result.direct == kDirect && !(around >> r & 1)) {
        slot[result.slot] = (char*)ptr[result.tensor] + index * 4;
      }
    }
    if (!multiRow && plan.nColumnOps > 0 && (col != columnsAt || nCols > columnsCount)) {
      for (int32_t o = 0; o < plan.nColumnOps; o++) run(plan.columnOps[o], nCols, 0);
      columnsAt = col;
      columnsCount = nCols;
    }
  }

  // Evaluates the block; results that aren't direct stay in their slots. The next block will be `step` further.
  LW_MEMBER void evaluate(int64_t row, int64_t nRows, int64_t col, int64_t nCols, int64_t index,
                          int64_t step) {
    aim(row, nRows, col, nCols, index);
    const int64_t n = nRows * nCols;
    if (plan.chain >= 0) {  // reads and writes all its streams at once
      // Ops before it draw random bits, and the hardware foresees nothing meanwhile.
      const int64_t lines = (n + 15) / 16;
      Ahead ahead = {index + step, lines, ceilDiv(lines * nStreams, maxOf(plan.chainFrom, 1)), 0, 0};
      for (int32_t o = 0; o < plan.chainFrom; o++) {
        prefetch(ahead);
        run(plan.ops[o], n, index);
      }
      const ChainAround aimed = around ? aimAround(index, true) : ChainAround{0, 0};
      kChainFunctions.of[plan.chain](slot, plan.chainOperands, plan.chainResults, n, aimed,
                                    aheadOf(index, n, step));
      return;
    }
    if (nStreams == 0 || plan.nOps == 1) {  // what one op reads in order, the hardware foresees too
      for (int32_t o = 0; o < plan.nOps; o++) run(plan.ops[o], n, index);
      return;
    }
    const int64_t lines = (n + 15) / 16;
    Ahead ahead = {index + step, lines, ceilDiv(lines * nStreams, maxOf(plan.nOps, 1)), 0, 0};
    if (plan.nOps == 0) prefetch(ahead);
    for (int32_t o = 0; o < plan.nOps; o++) {
      prefetch(ahead);
      run(plan.ops[o], n, index);
    }
  }

  // The whole of a plan that is `drawn`, n lanes from `index` on, a multiple of 128.
  LW_MEMBER void drawn(int64_t index, int64_t n) {
    for (int32_t i = 0; i < plan.nInputs; i++) input(i, 0, 1, index, n);
    uint8_t* mask = nullptr;
    for (int32_t r = 0; r < plan.nResults; r++) {
      const TileResult& result = plan.results[r];
      if (r == plan.drawnMask) mask = (uint8_t*)ptr[result.tensor] + index;
      else slot[result.slot] = (char*)ptr[result.tensor] + index * 4;
    }
    const ChainAround aimed = around ? aimAround(index, false) : ChainAround{0, 0};
    kDrawnFunctions.of[plan.chain](slot, plan.chainOperands, plan.chainResults, n, aimed, plan.ops[0], index,
                                    mask);
  }

  // Whether rows may go to runRows. In turns with row by row, batch norm of 8192×1024 with its gradient is 1.10 to 1.17
  // times as fast at one thread of a Zen 4, 1.03 to 1.21 at two. (A Zen 5, with more L1, was at its bandwidth before. Intel's
  // AVX-512 with 32 KiB of L1, and rows longer than a block, were not measured.)
  bool canRunRows() const {
    if (!kRunsRows || !plan.rowsAtOnce || plan.cols < kWideRow || isRoomyL1()) return false;
    for (int32_t r = 0; r < plan.nResults; r++) {
      if ((uintptr_t)ptr[plan.results[r].tensor] % (W * 4) != 0) return false;
    }
    return true;
  }
  // `nRows` rows from `row` on, of nCols columns from `col` on.
  LW_MEMBER void runRows(int64_t row, int64_t nRows, int64_t col, int64_t nCols) {
    const int64_t index = row * plan.cols + col;
    aim(row, 1, col, nCols, index);
    if (around) aimAround(index, false);
    kRowsFunctions.of[plan.chain](slot, plan.chainOperands, plan.chainResults, nCols, nRows, plan.cols, around != 0,
                                  plan.rows * plan.cols >= kPrefetchFrom);
  }

  // Evaluates the block and stores its results; the next block will be `step` elements further.
  LW_MEMBER void block(int64_t row, int64_t nRows, int64_t col, int64_t nCols, int64_t step) {
    const int64_t index = row * plan.cols + col, n = nRows * nCols;
    evaluate(row, nRows, col, nCols, index, step);
    for (int32_t r = 0; r < plan.nResults; r++) {
      const TileResult& result = plan.results[r];
      if (around >> r & 1) {
        if (slot[result.slot] != (void*)(registers + result.slot * stride)) continue;  // the chain has stored it
        copyAround((float*)ptr[result.tensor] + index, (const float*)slot[result.slot], n);
      } else if (!result.direct) {
        storeLanes(ptr[result.tensor], result.dtype, index, slot[result.slot], n);
      }
    }
  }
};

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
