// Tile programs that are compiled as a whole, instead of running instruction by instruction over blocks: updates of
// optimizers, normalising, dropout and their gradients, whose time is that of memory if the values in between stay in
// registers. The same roundings in the same order, so the same bits. Instructions that draw random bits may stand
// before a chain; they run as usual, or while it runs.
#pragma once

#include <initializer_list>

#include "call.h"

namespace layerwise {

// A result of an instruction before (from 0 on), or what lies in memory: ~i for the i-th of it in order of first use.
using ChainArgument = int8_t;
constexpr ChainArgument kNothing = 127;

struct ChainOp {
  int16_t function;  // functionOf or functionOfPair
  ChainArgument args[3];
  bool stored;  // a result of the tile program
};

struct Chain {
  const char* name;
  int nOps;
  ChainOp ops[kChainOps];
  // The operands that hold a value per column, as bits, where rows run several at once (kernels/chains_rows.cc).
  uint32_t columns = 0;
};
constexpr uint32_t operandBits(std::initializer_list<int> numbers) {
  uint32_t bits = 0;
  for (int number : numbers) bits |= 1u << number;
  return bits;
}

constexpr ChainOp kNormalised = {functionOfPair(kFirstSub, kSecondMul, 0), {~0, ~1, ~2}, false};
constexpr ChainOp kShifted = {functionOf(i_add, 0), {0, ~3, kNothing}, false};
constexpr int16_t kKeepScaled = functionOfPair(kFirstMul, kSecondKeep, kPairUniformB);

// As the compiler pairs what src/optimizers/rules.ts and the layers of src/layers/ emit.
constexpr Chain kChains[] = {
    // Momentum: v = v·μ − g·rate, w += v.
    {"momentum", 3,
     {{functionOf(i_mul, kUniformSecond), {~0, ~1, kNothing}, false},
      {functionOfPair(kFirstMul, kSecondSub, kPairUniformB), {~2, ~3, 0}, true},
      {functionOf(i_add, 0), {~4, 1, kNothing}, true}}},
    // Nesterov's: w += v·μ − g·rate.
    {"nesterov", 4,
     {{functionOf(i_mul, kUniformSecond), {~0, ~1, kNothing}, false},
      {functionOfPair(kFirstMul, kSecondSub, kPairUniformB), {~2, ~3, 0}, true},
      {functionOfPair(kFirstMul, kSecondSub, kPairUniformB), {1, ~3, 0}, false},
      {functionOf(i_add, 0), {~4, 2, kNothing}, true}}},
    // RMSProp: s += (g² − s)·(1 − ρ), w −= g·rate·(1 / √(s + ε)).
    {"rmsprop", 6,
     {{functionOfPair(kFirstSquare, kSecondSub, 0), {~0, kNothing, ~1}, false},
      {functionOfPair(kFirstMul, kSecondAdd, kPairUniformB), {0, ~2, ~1}, true},
      {functionOf(i_add, kUniformSecond), {1, ~3, kNothing}, false},
      {functionOf(i_rsqrt, 0), {2, kNothing, kNothing}, false},
      {functionOfPair(kFirstMul, kSecondMul, kPairUniformB), {~0, ~4, 3}, false},
      {functionOf(i_sub, 0), {~5, 4, kNothing}, true}}},
    // Adam: m += (g − m)·(1 − β₁), v += (g² − v)·(1 − β₂), w −= m·rate / (√v + ε).
    {"adam", 7,
     {{functionOfPair(kFirstSub, kSecondMul, kPairUniformC), {~0, ~1, ~2}, false},
      {functionOf(i_add, 0), {~1, 0, kNothing}, true},
      {functionOfPair(kFirstSquare, kSecondSub, 0), {~0, kNothing, ~3}, false},
      {functionOfPair(kFirstMul, kSecondAdd, kPairUniformB), {2, ~4, ~3}, true},
      {functionOfPair(kFirstSqrt, kSecondAdd, kPairUniformC), {3, kNothing, ~5}, false},
      {functionOfPair(kFirstMul, kSecondDiv, kPairUniformB), {1, ~6, 4}, false},
      {functionOf(i_sub, 0), {~7, 5, kNothing}, true}}},
    // AdamW: the same from w·(1 − rate·λ).
    {"adamw", 8,
     {{functionOfPair(kFirstMul, kSecondRsub, kPairUniformB), {~0, ~1, ~0}, false},
      {functionOfPair(kFirstSub, kSecondMul, kPairUniformC), {~2, ~3, ~4}, false},
      {functionOf(i_add, 0), {~3, 1, kNothing}, true},
      {functionOfPair(kFirstSquare, kSecondSub, 0), {~2, kNothing, ~5}, false},
      {functionOfPair(kFirstMul, kSecondAdd, kPairUniformB), {3, ~6, ~5}, true},
      {functionOfPair(kFirstSqrt, kSecondAdd, kPairUniformC), {4, kNothing, ~7}, false},
      {functionOfPair(kFirstMul, kSecondDiv, kPairUniformB), {2, ~8, 5}, false},
      {functionOf(i_sub, 0), {0, 6, kNothing}, true}}},
    // Relu.
    {"relu", 1, {{functionOf(i_relu, 0), {~0, kNothing, kNothing}, true}}},
    // Batch normalisation: (x − mean)·scale + offset.
    {"batchNormalization", 2, {kNormalised, {functionOf(i_add, 0), {0, ~3, kNothing}, true}}},
    // With relu, and where its gradient passes.
    {"batchNormalization, relu, mask", 4,
     {kNormalised,
      kShifted,
      {functionOf(i_relu, 0), {1, kNothing, kNothing}, true},
      {functionOf(i_less, kUniformFirst), {~4, 2, kNothing}, true}}},
    // After a residual was added.
    {"batchNormalization, residual, relu, mask", 4,
     {kNormalised,
      {functionOfPair(kFirstAdd, kSecondAdd, 0), {0, ~3, ~4}, false},
      {functionOf(i_relu, 0), {1, kNothing, kNothing}, true},
      {functionOf(i_less, kUniformFirst), {~5, 2, kNothing}, true}}},
    // With relu and dropout.
    {"batchNormalization, relu, dropout, mask", 5,
     {kNormalised,
      kShifted,
      {functionOf(i_relu, 0), {1, kNothing, kNothing}, false},
      {kKeepScaled, {2, ~4, ~5}, true},
      {functionOf(i_less, kUniformFirst), {~6, 2, kNothing}, true}}},
    // Batch normalisation in prediction, with relu: x·scale + offset.
    {"scale and offset, relu", 2,
     {{functionOfPair(kFirstMul, kSecondAdd, 0), {~0, ~1, ~2}, false},
      {functionOf(i_relu, 0), {0, kNothing, kNothing}, true}}},
    // The gradient of batch normalisation: dy·scale − offset − (x − mean)·slope.
    {"batchNormalization gradient", 3,
     {{functionOfPair(kFirstMul, kSecondSub, 0), {~0, ~1, ~2}, false},
      {functionOfPair(kFirstSub, kSecondMul, 0), {~3, ~4, ~5}, false},
      {functionOf(i_sub, 0), {0, 1, kNothing}, true}},
     operandBits({1, 2, 4, 5})},
    // Of dy that was scaled before.
    {"batchNormalization gradient, scaled", 2,
     {kNormalised, {functionOfPair(kFirstSub, kSecondSub, 0), {~3, ~4, 0}, true}}, operandBits({1, 2, 4})},
    // Dropout.
    {"dropout", 1, {{kKeepScaled, {~0, ~1, ~2}, true}}},
    // Of two tensors by the same mask: forward and backward at once.
    {"dropout, twice", 2, {{kKeepScaled, {~0, ~1, ~2}, true}, {kKeepScaled, {~3, ~1, ~2}, true}}},
};

// Whether a function is a pair that keeps some lanes of its first: its third argument is the mask.
constexpr bool keepsLanes(int function) {
  return function >= kFirstPair && (function - kFirstPair) / kMasks % kSeconds == kSecondKeep;
}
// The number of the operand that is the chain's mask, −1 for none.
constexpr int maskOf(const Chain& chain) {
  for (int k = 0; k < chain.nOps; k++) {
    if (keepsLanes(chain.ops[k].function)) return ~chain.ops[k].args[2];
  }
  return -1;
}
// The instructions whose values are results, as bits.
constexpr uint32_t storedOf(const Chain& chain) {
  uint32_t stored = 0;
  for (int k = 0; k < chain.nOps; k++) stored |= (uint32_t)chain.ops[k].stored << k;
  return stored;
}
// Whether the mask can be drawn while the chain runs: all that it keeps is kept by it, and its results are floats.
constexpr bool isDrawable(const Chain& chain) {
  if (maskOf(chain) < 0) return false;
  for (int k = 0; k < chain.nOps; k++) {
    const ChainOp& op = chain.ops[k];
    if (op.function / kMasks == i_less) return false;
    if (keepsLanes(op.function) && ~op.args[2] != maskOf(chain)) return false;
  }
  return true;
}
constexpr int kChainCount = (int)(sizeof kChains / sizeof *kChains);
// Whether `columns` names what the chain reads and no mask, and none of its operands is read from one lane.
constexpr bool hasProperColumns(const Chain& chain) {
  uint32_t seen = 0;
  for (int k = 0; k < chain.nOps; k++) {
    const int function = chain.ops[k].function;
    if (chain.columns != 0 && (function - (function >= kFirstPair ? kFirstPair : 0)) % kMasks != 0) return false;
    for (const ChainArgument argument : chain.ops[k].args) {
      if (argument < 0) seen |= 1u << ~argument;
    }
  }
  return (chain.columns & ~seen) == 0 && (chain.columns == 0 || maskOf(chain) < 0);
}
constexpr bool haveProperColumns() {
  for (const Chain& chain : kChains) {
    if (!hasProperColumns(chain)) return false;
  }
  return true;
}
static_assert(haveProperColumns(), "columns of chains");

}  // namespace layerwise
