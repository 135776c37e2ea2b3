// A chain over vectors of lanes, with all values in between in registers.
#pragma once

#include "../chains.h"

#include <utility>

#include "../simd/math.h"
#include "instructions.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

LW_INLINE void storeFewAround(float* p, VF v, int64_t n) {
  float lanes[W];
  store(lanes, v);
  for (int64_t i = 0; i < n; i++) storeOneAround(p + i, lanes[i]);
}

// The instructions of chains as functions of vectors; what is no float stays in its bits.
template <int Instruction>
LW_INLINE VF instructionOf(VF a, VF b);
#define VALUE_1(name, expression) \
  template <>                     \
  LW_MEMBER VF instructionOf<i_##name>(VF a, VF) { return (VF)(expression); }
#define VALUE_2(name, expression) \
  template <>                     \
  LW_MEMBER VF instructionOf<i_##name>(VF a, VF b) { return (VF)(expression); }
#define VALUE_F_F VALUE_1
#define VALUE_F_FF VALUE_2
#define VALUE_B_FF VALUE_2
#define VALUE_B_F(name, expression)
#define VALUE_I_I(name, expression)
#define VALUE_F_I(name, expression)
#define VALUE_I_II(name, expression)
#define VALUE_X_IXX(name, expression)
#define VALUE_F_K(name, expression)
#define VALUE_I_K(name, expression)
#define VALUE_I_P(name, expression)
#define VALUE_B_T(name, expression)
#define INSTRUCTION(name, lanes, expression) VALUE_##lanes(name, expression)
#include "../elementwise.def"
#undef INSTRUCTION

// A lane's values from its arguments; DRAWN: the mask is a vector's lanes in `bits`.
template <int Function, bool DRAWN>
LW_INLINE VF valueOf(VF a, VF b, VF c, uint32_t bits) {
  if constexpr (Function >= kFirstPair) {
    constexpr int pair = (Function - kFirstPair) / kMasks;
    const VF first = firstOf<pair / kSeconds>(a, b);
    if constexpr (DRAWN && keepsLanes(Function)) return keepLanes(first, bits);
    else return secondOf<pair % kSeconds>(first, c);
  } else {
    return instructionOf<Function / kMasks>(a, b);
  }
}

// Whether an argument is read from one lane: the masks of pairs name b and c, of others a and b.
constexpr bool isUniform(int function, int argument) {
  const int mask = (function - (function >= kFirstPair ? kFirstPair : 0)) % kMasks;
  const int bit = function >= kFirstPair ? argument - 1 : argument;
  return bit >= 0 && bit < 2 && (mask >> bit & 1);
}

// DRAWN: the chain's masks are bits that the caller has, and no operand. ROWS: operands that hold a value per column are read
// by readColumns, for all rows that follow.
template <int Id, bool DRAWN, bool ROWS = false>
struct ChainRun {
  static constexpr const Chain& kChain = kChains[Id];
  const float* from[kChainOperands];
  float* to[kChainOps];
  VF same[kChainOperands];  // operands that are read from one lane, or for some rows at once

  LW_MEMBER ChainRun(void* const* slot, const int16_t* operands, const int16_t* results) {
    for (int i = 0; i < kChainOperands; i++) from[i] = (const float*)slot[operands[i]];
    for (int k = 0; k < kChainOps; k++) to[k] = (float*)slot[results[k]];
    uniforms(std::make_index_sequence<kChain.nOps>());
  }
  template <size_t... K>
  LW_MEMBER void uniforms(std::index_sequence<K...>) {
    ((uniform<K, 0>(), uniform<K, 1>(), uniform<K, 2>()), ...);
  }
  template <int K, int A>
  LW_MEMBER void uniform() {
    constexpr ChainOp op = kChain.ops[K];
    if constexpr (op.args[A] < 0 && isUniform(op.function, A)) same[~op.args[A]] = set1(*from[~op.args[A]]);
  }
  // Reads the values of W columns.
  LW_MEMBER void readColumns(int64_t i) { readColumns(i, std::make_index_sequence<kChainOperands>()); }
  template <size_t... O>
  LW_MEMBER void readColumns(int64_t i, std::index_sequence<O...>) {
    (((kChain.columns >> O & 1) ? (void)(same[O] = load(from[O] + i)) : (void)0), ...);
  }

  static constexpr bool isColumn(int argument) { return ROWS && argument < 0 && (kChain.columns >> ~argument & 1); }

  template <int K, int A, bool PART>
  LW_MEMBER VF argument(const VF* values, int64_t i, int64_t rest) const {
    constexpr ChainOp op = kChain.ops[K];
    constexpr int arg = op.args[A];
    if constexpr (arg == kNothing || (DRAWN && A == 2 && keepsLanes(op.function))) return zero();
    else if constexpr (arg >= 0) return values[arg];
    else if constexpr (isUniform(op.function, A) || isColumn(arg)) return same[~arg];
    else if constexpr (PART) return loadPartial(from[~arg] + i, rest);
    else return load(from[~arg] + i);
  }
  template <int K, bool PART>
  LW_MEMBER void step(VF* values, int64_t i, int64_t rest, uint32_t around, uint32_t bits) const {
    constexpr ChainOp op = kChain.ops[K];
    values[K] = valueOf<op.function, DRAWN>(argument<K, 0, PART>(values, i, rest), argument<K, 1, PART>(values, i, rest),
                                            argument<K, 2, PART>(values, i, rest), bits);
    if constexpr (op.stored) {
      const bool past = around >> K & 1;
      if constexpr (PART) {
        if (past) storeFewAround(to[K] + i, values[K], rest);
        else storePartial(to[K] + i, values[K], rest);
      } else {
        if (past) storeAround(to[K] + i, values[K]);
        else store(to[K] + i, values[K]);
      }
    }
  }
  template <bool PART, size_t... K>
  LW_MEMBER void steps(int64_t i, int64_t rest, uint32_t around, uint32_t bits, std::index_sequence<K...>) const {
    VF values[kChainOps];
    (step<K, PART>(values, i, rest, around, bits), ...);
  }
  // Asks for the line of lane i of everything that is read lane by lane.
  LW_MEMBER void ask(int64_t i, bool intoL1) const { asks(i, intoL1, std::make_index_sequence<kChain.nOps>()); }
  template <size_t... K>
  LW_MEMBER void asks(int64_t i, bool intoL1, std::index_sequence<K...>) const {
    ((ask<K, 0>(i, intoL1), ask<K, 1>(i, intoL1), ask<K, 2>(i, intoL1)), ...);
  }
  template <int K, int A>
  LW_MEMBER void ask(int64_t i, bool intoL1) const {
    constexpr ChainOp op = kChain.ops[K];
    constexpr int arg = op.args[A];
    if constexpr (arg < 0 && !isUniform(op.function, A) && !isColumn(arg) && !(A == 2 && keepsLanes(op.function))) {
      askLine(from[~arg] + i, intoL1);
    }
  }
  // Lanes i to i + rest, of which PART are less than a vector. `around`: what is stored around the caches, as bits.
  template <bool PART>
  LW_MEMBER void lanes(int64_t i, int64_t rest, uint32_t around, uint32_t bits = 0) const {
    steps<PART>(i, rest, around, bits, std::make_index_sequence<kChain.nOps>());
  }
};

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
