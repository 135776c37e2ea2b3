// Two instructions in a row as one: a pass over the lanes less.
#include <string.h>

#include <utility>

#include "tile_values.h"

namespace layerwise {
namespace {

// −1 for what can't be the first of a pair.
int firstIdOf(int32_t instruction) {
  switch (instruction) {
    case i_add: return kFirstAdd;
    case i_sub: return kFirstSub;
    case i_mul: return kFirstMul;
    case i_div: return kFirstDiv;
    case i_square: return kFirstSquare;
    case i_sqrt: return kFirstSqrt;
    default: return -1;
  }
}

// `argument`: which argument of the second the first is.
int secondIdOf(int op, int argument) {
  switch (op) {
    case i_add: return kSecondAdd;
    case i_sub: return argument == 0 ? kSecondSub : kSecondRsub;
    case i_mul: return kSecondMul;
    case i_div: return argument == 0 ? kSecondDiv : kSecondRdiv;
    default: return -1;
  }
}

// A choice between a value and 0, by lanes that differ: a pair's second, of what its first computes.
bool keepsFirst(const std::vector<Value>& values, const Value& value) {
  if (value.op != i_select || values[(size_t)value.args[0]].uniform) return false;
  const Value& other = values[(size_t)value.args[2]];
  return other.op == i_constFloat && other.k0 == 0;
}

}  // namespace

// select(c, x, 0) · k becomes select(c, x · k, 0) where k is a positive constant: the same bits, and a pair. It is
// what dropout's gradient looks like.
void scaleBeforeKeeping(std::vector<Value>& values, int nInputs) {
  for (size_t v = (size_t)nInputs; v < values.size(); v++) {
    Value& value = values[v];
    for (int argument = 0; value.op == i_mul && argument < 2; argument++) {
      const int f = value.args[argument], k = value.args[1 - argument];
      if (f < nInputs || k < nInputs || values[(size_t)k].op != i_constFloat) continue;
      Value& first = values[(size_t)f];
      float factor;
      memcpy(&factor, &values[(size_t)k].k0, 4);
      if (!value.needed || first.uses != 1 || !keepsFirst(values, first) || !(factor > 0 && factor <= 1e30f)) continue;
      const int chosen = first.args[1], mask = first.args[0], zero = first.args[2];
      // It would be computed before k, which may stand behind it.
      if (values[(size_t)chosen].uniform) continue;
      first.op = i_mul;
      first.args[0] = chosen;
      first.args[1] = k;
      first.args[2] = -1;
      first.uniform = false;
      first.column = values[(size_t)chosen].column;
      value.op = i_select;
      value.args[0] = mask;
      value.args[1] = f;
      value.args[2] = zero;
    }
  }
}

// Joins instructions into pairs: one pass over the lanes instead of two.
void findPairs(std::vector<Value>& values, int nInputs) {
  for (size_t v = (size_t)nInputs; v < values.size(); v++) {
    Value& value = values[v];
    if (!value.needed || value.uniform) continue;
    const bool keeps = keepsFirst(values, value);
    for (int argument = 0; argument < 2 && value.first < 0; argument++) {
      const int f = value.args[argument];
      const int secondId = keeps && argument == 1 ? kSecondKeep : secondIdOf(value.op, argument);
      if (f < nInputs || secondId < 0) continue;
      Value& first = values[(size_t)f];
      const int firstId = firstIdOf(first.op);
      if (firstId < 0 || first.uses != 1 || first.uniform || first.first >= 0 ||
          first.column != value.column) {
        continue;
      }
      // The argument that may be uniform comes second.
      const bool swap = first.args[1] >= 0 && values[(size_t)first.args[0]].uniform;
      if (swap && firstId == kFirstDiv) continue;
      value.first = f;
      value.firstId = swap && firstId == kFirstSub ? kFirstRsub : firstId;
      value.secondId = secondId;
      if (swap) std::swap(first.args[0], first.args[1]);
      if (argument == 1) std::swap(value.args[0], value.args[1]);  // the first is argument 0 now
      first.pairedBy = (int)v;
    }
  }
}

}  // namespace layerwise
