// A function for each chain: one pass over the lanes, with all values in between in registers.
#include "../chains.h"

#include <utility>

#include "instructions.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

template <int Function>
LW_INLINE VF valueOf(VF a, VF b, VF c) {
  if constexpr (Function >= kFirstPair) {
    constexpr int pair = (Function - kFirstPair) / kMasks;
    return secondOf<pair % kSeconds>(firstOf<pair / kSeconds>(a, b), c);
  } else {
    constexpr int instruction = Function / kMasks, first = firstIdOf(instruction);
    static_assert(first >= 0 || instruction == i_rsqrt, "an instruction that no chain had so far");
    if constexpr (first >= 0) return firstOf<first>(a, b);
    else return set1(1.0f) / sqrt(a);
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
  LW_MEMBER void step(VF* values, int64_t i, int64_t rest) const {
    constexpr ChainOp op = kChain.ops[K];
    values[K] = valueOf<op.function>(argument<K, 0, PART>(values, i, rest), argument<K, 1, PART>(values, i, rest),
                                     argument<K, 2, PART>(values, i, rest));
    if constexpr (op.stored && PART) storePartial(to[K] + i, values[K], rest);
    else if constexpr (op.stored) store(to[K] + i, values[K]);
  }
  template <bool PART, size_t... K>
  LW_MEMBER void steps(int64_t i, int64_t rest, std::index_sequence<K...>) const {
    VF values[kChainOps];
    (step<K, PART>(values, i, rest), ...);
  }
};

template <int Id>
void runChain(void* const* slot, const int16_t* operands, const int16_t* results, int64_t n) {
  constexpr auto all = std::make_index_sequence<kChains[Id].nOps>();
  const ChainRun<Id> chain(slot, operands, results);
  int64_t i = 0;
  for (; i + W <= n; i += W) chain.template steps<false>(i, W, all);
  if (i < n) chain.template steps<true>(i, n - i, all);
}

}  // namespace

static_assert(kChainCount == 5, "a function for each chain");
const ChainFunction kChainFunctions[kChainCount] = {runChain<0>, runChain<1>, runChain<2>, runChain<3>, runChain<4>};

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
