// The tile machine's instructions as functions over whole registers, one table per instruction set.
#pragma once

#include "../chains.h"
#include "../simd/vec.h"
#include "ahead.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// dst, a, b, c: registers of n lanes; `index` is the linear position of lane 0 in the domain (philox).
// Nothing beyond n lanes is read or written.
using InstructionFunction = void (*)(void* dst, const void* a, const void* b, const void* c, int64_t n,
                                     const TileOp& op, int64_t index);
// By functionOf and functionOfPair; null where there is no such variant.
extern const InstructionFunction kInstructions[kTileFunctions];

// Which of a chain's results are stored around the caches: its instructions as bits, and after how many lanes their slots
// are aligned to vectors.
struct ChainAround {
  uint32_t ops;
  int64_t head;
};
// What a core asks for while a chain runs over some lanes: what lies `bytes` behind each stream's lane 0, and on from there.
struct ChainAhead {
  int32_t streams;
  const char* const* of;
  int64_t bytes;
  bool intoL1;
  // A vector's share.
  LW_MEMBER void ask(int64_t lane) const {
    if (W < 16 && lane % 16 >= W) return;  // the line was asked for
    for (int32_t s = 0; s < streams; s++) askLine(of[s] + bytes + lane * 4, intoL1);
  }
};
// A whole chain over n lanes: the slots of what it reads, and by instruction of what it stores.
using ChainFunction = void (*)(void* const* slot, const int16_t* operands, const int16_t* results, int64_t n,
                               ChainAround around, const ChainAhead& ahead);
struct ChainFunctions {
  ChainFunction of[kChainCount];
};
extern const ChainFunctions kChainFunctions;

// The same with the mask drawn meanwhile, by `op`, which would run before: null for a chain that is not drawable. `index`,
// of lane 0 in the domain, is a multiple of 128. What the chain reads and stores are n lanes in a row; `mask` gets the
// mask as bools if it isn't null.
using DrawnFunction = void (*)(void* const* slot, const int16_t* operands, const int16_t* results, int64_t n,
                               ChainAround around, const TileOp& op, int64_t index, uint8_t* mask);
struct DrawnFunctions {
  DrawnFunction of[kChainCount];
};
extern const DrawnFunctions kDrawnFunctions;

// A whole chain over `rows` rows of n lanes, whole vectors, `stride` apart, for a TilePlan with `rowsAtOnce`: what is one
// row for all stays where it is. `around`: all results are stored around the caches, and aligned to vectors. `asks`: for
// the same lanes of rows that follow. Null for a chain that has no `columns`, and without AVX-512: lines stored by halves in
// turns made batch norm with its gradient take 1.3 times as long with AVX2.
constexpr bool kRunsRows = W == 16;
using RowsFunction = void (*)(void* const* slot, const int16_t* operands, const int16_t* results, int64_t n, int64_t rows,
                              int64_t stride, bool around, bool asks);
struct RowsFunctions {
  RowsFunction of[kChainCount];
};
extern const RowsFunctions kRowsFunctions;

// The two instructions of a pair.
template <int First>
LW_INLINE VF firstOf(VF a, VF b) {
  if constexpr (First == kFirstAdd) return a + b;
  else if constexpr (First == kFirstSub) return a - b;
  else if constexpr (First == kFirstRsub) return b - a;
  else if constexpr (First == kFirstMul) return a * b;
  else if constexpr (First == kFirstDiv) return a / b;
  else if constexpr (First == kFirstSquare) return a * a;
  else return sqrt(a);
}
template <int Second>
LW_INLINE VF secondOf(VF x, VF c) {
  if constexpr (Second == kSecondAdd) return x + c;
  else if constexpr (Second == kSecondSub) return x - c;
  else if constexpr (Second == kSecondRsub) return c - x;
  else if constexpr (Second == kSecondMul) return x * c;
  else if constexpr (Second == kSecondDiv) return x / c;
  else if constexpr (Second == kSecondRdiv) return c / x;
  else return (VF)((VI)x & ((VI)c != 0));
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
