// Finds out whether a tile program's ops are a chain, after those that draw random bits: by which function each runs,
// whose result or which other slot it reads, and what is stored.
#include "chains.h"
#include "tile_values.h"

namespace layerwise {
namespace {

constexpr int16_t kUnknown = -1;

// The last op before `op` that writes a slot, −1 for none.
int writerOf(const std::vector<TileOp>& ops, int op, int16_t slot) {
  int writer = op - 1;
  while (writer >= 0 && ops[(size_t)writer].dst != slot) writer--;
  return writer;
}

// Whether what the op writes is a result: the last thing written to a result's slot, which others use before.
bool isResult(const std::vector<TileOp>& ops, int op, const std::vector<TileResult>& results) {
  const int16_t slot = ops[(size_t)op].dst;
  if (writerOf(ops, (int)ops.size(), slot) != op) return false;
  for (const TileResult& result : results) {
    if (result.slot == slot) return true;
  }
  return false;
}

// Whether the ops from `from` on are this chain; `operands` gets the slots of what it reads.
bool matches(const Chain& chain, const std::vector<TileOp>& ops, int from, const std::vector<TileResult>& results,
             int16_t operands[kChainOperands]) {
  if ((int)ops.size() != from + chain.nOps) return false;
  for (int i = 0; i < kChainOperands; i++) operands[i] = kUnknown;
  for (int k = 0; k < chain.nOps; k++) {
    const TileOp& op = ops[(size_t)(from + k)];
    const ChainOp& wanted = chain.ops[k];
    if (op.function != wanted.function || isResult(ops, from + k, results) != wanted.stored) return false;
    const int16_t slots[3] = {op.a, op.b, op.c};
    for (int a = 0; a < 3; a++) {
      const ChainArgument argument = wanted.args[a];
      if (argument == kNothing) continue;
      const int writer = writerOf(ops, from + k, slots[a]) - from;
      if (argument >= 0 ? writer != argument : writer >= 0) return false;
      if (argument >= 0) continue;
      int16_t& operand = operands[~argument];
      if (operand == kUnknown) operand = slots[a];
      if (operand != slots[a]) return false;
    }
  }
  return true;
}

}  // namespace

void findChain(const std::vector<TileOp>& ops, const std::vector<TileResult>& results, TilePlan* plan) {
  plan->chain = -1;
  int from = 0;
  while (from < (int)ops.size() && ops[(size_t)from].function == functionOf(i_philoxBelow, 0)) from++;
  plan->chainFrom = from;
  for (int c = 0; c < kChainCount; c++) {
    int16_t operands[kChainOperands];
    if (!matches(kChains[c], ops, from, results, operands)) continue;
    plan->chain = c;
    for (int i = 0; i < kChainOperands; i++) plan->chainOperands[i] = operands[i] == kUnknown ? 0 : operands[i];
    for (size_t k = (size_t)from; k < ops.size(); k++) plan->chainResults[k - (size_t)from] = ops[k].dst;
    return;
  }
}

void findRows(const std::vector<TileInput>& inputs, const std::vector<TileOp>& columnOps,
              const std::vector<TileResult>& results, TilePlan* plan) {
  // Of one dimension only rows are evenly apart, and filled registers are no longer than a block.
  if (plan->chain < 0 || plan->chainFrom != 0 || plan->outerRank != 1 || plan->nFills > 0) return;
  const Chain& chain = kChains[plan->chain];
  // Rows of whole lines: all begin as the first one does.
  if (chain.columns == 0 || plan->cols % 16 != 0) return;
  for (const TileInput& input : inputs) {
    if (input.kind != kUniform && (input.dtype >= kUint8 || input.copyIn)) return;
  }
  const auto kindOf = [&](int16_t slot) {
    for (const TileOp& op : columnOps) {
      if (op.dst == slot) return kPeriodic;
    }
    return slot < (int)inputs.size() ? inputs[(size_t)slot].kind : kGeneral;
  };
  for (int k = 0; k < chain.nOps; k++) {
    for (const ChainArgument argument : chain.ops[k].args) {
      if (argument >= 0) continue;
      const bool isColumn = chain.columns >> ~argument & 1;
      if (kindOf(plan->chainOperands[~argument]) != (isColumn ? kPeriodic : kLinear)) return;
    }
  }
  for (const TileResult& result : results) {
    if (result.direct != kDirect) return;
  }
  plan->rowsAtOnce = 1;
}

void findDrawn(const std::vector<TileInput>& inputs, const std::vector<TileOp>& ops,
               const std::vector<TileResult>& results, TilePlan* plan) {
  if (plan->chain < 0 || plan->chainFrom != 1 || plan->rows != 1 || plan->nFills > 0) return;
  const Chain& chain = kChains[plan->chain];
  const int16_t drawn = ops[0].dst;
  if (!isDrawable(chain) || plan->chainOperands[maskOf(chain)] != drawn) return;
  for (const TileInput& input : inputs) {
    if (input.kind != kUniform && (input.kind != kLinear || input.dtype >= kUint8 || input.copyIn)) return;
  }
  int others = 0, mask = -1;
  for (size_t r = 0; r < results.size(); r++) {
    if (results[r].direct == kDirect) others++;
    else if (results[r].slot == drawn && results[r].dtype == kBool && mask < 0) mask = (int)r;
    else return;
  }
  // A mask that is stored directly, as int32, is one more.
  if (others != __builtin_popcount(storedOf(chain))) return;
  plan->drawn = 1;
  plan->drawnMask = mask;
}

}  // namespace layerwise
