// What the executor hands to a kernel: plain structs, no classes, no standard library, because the
// kernels that read them are compiled once per instruction set. Everything here was validated when the
// Program was loaded; kernels check nothing but data errors.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace layerwise {

enum DType : int32_t { kFloat32 = 0, kInt32 = 1, kUint8 = 2, kBool = 3 };

enum KernelId : int32_t {
#define KERNEL(name) k_##name,
#include "kernels.def"
#undef KERNEL
  kKernelCount
};

// Kernels that may carry an epilogue: two operands, then the tile inputs 1, 2 …; slot 0 is the result.
constexpr bool hasEpilogue(int32_t kernel) {
  return kernel == k_gemm || kernel == k_conv2d || kernel == k_conv2dInputGradient ||
         kernel == k_conv2dFilterGradient;
}

enum InstructionId : int32_t {
#define INSTRUCTION(name, lanes, expression) i_##name,
#include "elementwise.def"
#undef INSTRUCTION
  kInstructionCount
};

// Lanes in one tile: 2 KiB per register, so that a dozen live registers stay in L1.
constexpr int64_t kTileLanes = 512;
// Distance of tile registers in floats: room for a vector written past the end, and an odd number of
// cache lines, so that registers don't fall on the same L1 sets.
constexpr int64_t kTileStride = 528;

// How a tile input's lanes are found in memory.
enum TileInputKind : int32_t {
  kUniform,   // one value for the whole domain
  kLinear,    // contiguous over the whole domain
  kPeriodic,  // one row, the same for every row
  kRowUnit,   // contiguous inside a row, rows anywhere
  kRowConst,  // one value per row
  kGeneral,   // any strides
  kExternal,  // the kernel points at the block itself (what an epilogue is applied to)
};

struct TileInput {
  int32_t tensor;
  DType dtype;
  TileInputKind kind;
  int32_t copyIn;      // 1: load into the register even if it could be read in place
  int64_t stride;      // element stride along a row
  int64_t strides[8];  // element strides of the outer dimensions
};

// What a TileOp runs. An instruction whose second argument (mask bit 1; select: second, third) is the
// same for all lanes has a variant that reads one lane of it; bit 0 of an instruction of two arguments
// stands for its first. Two instructions in a row whose value in between nobody else reads run as one
// pair: second(first(a, b), c), with both roundings, so a pair gives the same bits.
enum FirstId : int32_t { kFirstAdd, kFirstSub, kFirstRsub, kFirstMul, kFirstDiv, kFirstSquare, kFirstSqrt, kFirsts };
// kSecondKeep: c != 0 ? first : 0, c integer lanes that are not uniform.
enum SecondId : int32_t {
  kSecondAdd, kSecondSub, kSecondRsub, kSecondMul, kSecondDiv, kSecondRdiv, kSecondKeep, kSeconds
};
enum : int32_t { kUniformFirst = 1, kUniformSecond = 2 };     // of an instruction with two arguments
enum : int32_t { kUniformChosen = 1, kUniformOther = 2 };     // of select
enum : int32_t { kPairUniformB = 1, kPairUniformC = 2 };      // of a pair
constexpr int32_t kMasks = 4;
constexpr int32_t functionOf(int32_t instruction, int32_t mask) { return instruction * kMasks + mask; }
constexpr int32_t kFirstPair = kInstructionCount * kMasks;
constexpr int32_t functionOfPair(int32_t first, int32_t second, int32_t mask) {
  return kFirstPair + (first * kSeconds + second) * kMasks + mask;
}
constexpr int32_t kTileFunctions = functionOfPair(kFirsts - 1, kSeconds - 1, kMasks - 1) + 1;

struct TileOp {
  int16_t function, dst, a, b, c;
  int16_t unused;
  uint32_t k0, k1, k2;  // constant bits; philox: key word, counter word; philoxBelow: threshold
};

enum : int32_t {
  kStored = 0,   // copied (and converted) from the register after the block
  kDirect = 1,   // the value's only write goes straight to the output
  kInBlock = 2,  // epilogue: the output holds C itself, nothing to do
};
struct TileResult {
  int32_t tensor;
  DType dtype;
  int32_t slot;
  int32_t direct;  // one of the following
};

// The most that a chain of instructions has; chains.h.
constexpr int kChainOps = 8, kChainOperands = 10;

// A tile program made ready: values in slots, uniform work apart. The domain is seen as `rows` rows of
// `cols` lanes; slots 0..nInputs-1 are the inputs, the next nResults the outputs' own memory, the rest
// scratch registers.
struct TilePlan {
  int32_t nInputs, nResults, nUniformOps, nColumnOps, nOps, nFills, nSlots;
  int64_t rows, cols;
  int32_t outerRank;
  int64_t outerDims[8];
  int64_t domain[3];         // reduce: outer, axis, inner
  int32_t blockTensor;       // epilogue: the output that holds C while it is computed, -1 for none
  int32_t aliased;           // an output shares memory with a tile input
  int32_t chain;             // `ops` from chainFrom on compiled as a whole (chains.h), -1 for none
  int32_t chainFrom;         // those before it draw random bits
  int32_t drawn;             // the chain's only mask is what the one op before draws, all else lies in a row: chains_drawn.cc
  int32_t rowsAtOnce;        // the chain can run on several rows at once: chains_rows.cc
  int32_t drawnMask;         // the result that is this mask, as bool, -1 for none
  int16_t chainOperands[kChainOperands], chainResults[kChainOps];  // slots
  int32_t light;             // memory sets the pace of a large domain, not the few and simple ops
  const TileInput* inputs;
  const TileResult* results;
  const TileOp* uniformOps;  // run once on one lane
  const TileOp* columnOps;   // depend on the column only: run when the block's columns change
  const TileOp* ops;         // run for every block
  const int32_t* fills;      // uniform slots that `ops` or results read: spread over all lanes
  int64_t scratchBytes;
};

struct Call {
  int32_t kernel;
  int32_t nInputs, nOutputs, nInts, nFloats;
  const int32_t* inputs;   // tensor ids
  const int32_t* outputs;
  const int32_t* ints;
  const double* floats;
  const DType* inputTypes;
  const DType* outputTypes;
  const TilePlan* tile;  // null without a tile program
  int32_t index;         // position in the Program, for messages
  int32_t lasts;         // input 1 is the same from run to run, until the Program's stamp changes

  // Filled in by the kernel's plan function.
  int32_t phases;        // parts of phase p+1 start when all of phase p are done
  int64_t maxParts;      // more parts than this make no sense
  int64_t work;          // rough cost in nanoseconds on one thread
  int64_t scratchBytes;  // per thread
  int64_t sharedBytes;   // for all threads together, kept between phases
  int32_t keeps;         // so many of the first phases only prepare input 1, in `shared`: skipped while that is kept
  int64_t custom[16];    // the kernel's own precomputed numbers

  int64_t keptAt;        // where the loader put `shared` of a call that keeps
};

// A data error found while running (a label out of range …); the first one wins.
struct DataError {
  int32_t set;
  int32_t call;
  int32_t input;
  int32_t value;
  int64_t position;
  int64_t low, high;  // allowed: low <= value < high
};

struct Run {
  void* const* ptr;  // by tensor id
  char* scratch;     // this thread's own
  char* shared;
  DataError* error;
};

using PlanFunction = void (*)(Call& call);
using RunFunction = void (*)(const Call& call, const Run& run, int phase, int64_t part, int64_t parts);

struct KernelEntry {
  PlanFunction plan;
  RunFunction run;
};

// What a pass of the bandwidth probe does with arrays a, b, c, d, and the bytes per element that count:
// those that the formula names, not the line that an ordinary store to c or b reads first.
enum class Sweep {
  kRead,    // Σ a: 4
  kCopy,    // b = a: 8
  kTriad,   // c = a + s·b, as STREAM's: 12
  kUpdate,  // a, b, c from a, b, c and d, in place, as an optimizer: 28
};

// All kernels of one instruction set.
struct KernelTable {
  const char* name;
  KernelEntry kernels[kKernelCount];
  double (*peak)(double milliseconds);  // GFLOP/s of one thread
  // One pass of a bandwidth probe over the four arrays of n floats at `data`, 64-byte aligned, n a multiple
  // of 128; gives the bytes that count. `aroundCaches`: by non-temporal stores.
  double (*sweep)(Sweep sweep, bool aroundCaches, float* data, int64_t n);
};

}  // namespace layerwise
