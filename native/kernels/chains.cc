// A function for each chain: one pass over the lanes, with all values in between in registers.
#include "../chains.h"

#include <utility>

#include "../simd/math.h"
#include "instructions.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

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

template <int Function>
LW_INLINE VF valueOf(VF a, VF b, VF c) {
  if constexpr (Function >= kFirstPair) {
    constexpr int pair = (Function - kFirstPair) / kMasks;
    return secondOf<pair % kSeconds>(firstOf<pair / kSeconds>(a, b), c);
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

template <int Id>
struct ChainRun {
  static constexpr const Chain& kChain = kChains[Id];
  const float* from[kChainOperands];
  float* to[kChainOps];
  VF same[kChainOperands];  // operands that are read from one lane

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

  template <int K, int A, bool PART>
  LW_MEMBER VF argument(const VF* values, int64_t i, int64_t rest) const {
    constexpr ChainOp op = kChain.ops[K];
    constexpr int arg = op.args[A];
    if constexpr (arg == kNothing) return zero();
    else if constexpr (arg >= 0) return values[arg];
    else if constexpr (isUniform(op.function, A)) return same[~arg];
    else if constexpr (PART) return loadPartial(from[~arg] + i, rest);
    else return load(from[~arg] + i);
  }
  template <int K, bool PART>
  LW_MEMBER void step(VF* values, int64_t i, int64_t rest, uint32_t around) const {
    constexpr ChainOp op = kChain.ops[K];
    values[K] = valueOf<op.function>(argument<K, 0, PART>(values, i, rest), argument<K, 1, PART>(values, i, rest),
                                     argument<K, 2, PART>(values, i, rest));
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
  LW_MEMBER void steps(int64_t i, int64_t rest, uint32_t around, std::index_sequence<K...>) const {
    VF values[kChainOps];
    (step<K, PART>(values, i, rest, around), ...);
  }
};

template <int Id>
void runChain(void* const* slot, const int16_t* operands, const int16_t* results, int64_t n, ChainAround around) {
  constexpr auto all = std::make_index_sequence<kChains[Id].nOps>();
  const ChainRun<Id> chain(slot, operands, results);
  int64_t i = 0;
  if (around.ops) {
    i = around.head < n ? around.head : n;
    if (i > 0) chain.template steps<true>(0, i, around.ops, all);
    for (; i + W <= n; i += W) chain.template steps<false>(i, W, around.ops, all);
  } else {
    for (; i + W <= n; i += W) chain.template steps<false>(i, W, 0, all);
  }
  if (i < n) chain.template steps<true>(i, n - i, around.ops, all);
}

template <size_t... Ids>
constexpr ChainFunctions functionsOf(std::index_sequence<Ids...>) {
  return {{runChain<Ids>...}};
}

}  // namespace

const ChainFunctions kChainFunctions = functionsOf(std::make_index_sequence<kChainCount>());

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
