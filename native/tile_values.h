// What the passes over a tile program work on while it is planned; tile_plan.cc calls them.
#pragma once

#include <vector>

#include "program.h"

namespace layerwise {

// One value of the tile program in single-assignment form.
struct Value {
  int op = -1;  // −1: an input
  int args[3] = {-1, -1, -1};
  uint32_t k0 = 0, k1 = 0, k2 = 0;
  bool uniform = false;
  bool column = false;  // the same in every row, but not uniform
  bool needed = false;
  int uses = 0;      // how often ops and results read it
  int lastUse = -1;  // index of the last op that reads it; results count as after all ops
  int slot = -1;
  int first = -1;    // the value that this one computes on the way, as the first of a pair
  int pairedBy = -1; // the value that does so for this one, which then has no slot and no op
  int firstId = -1, secondId = -1;
  int mask = 0;                   // which arguments are uniform, as the variant wants it
  int reads[3] = {-1, -1, -1};    // the values that the op reads, of a pair both instructions' together
};

// The passes that join instructions; tile_pairs.cc.
void scaleBeforeKeeping(std::vector<Value>& values, int nInputs);
void findPairs(std::vector<Value>& values, int nInputs);

// Sets the plan's chain, if the ops are one; tile_chain.cc.
void findChain(const std::vector<TileOp>& ops, const std::vector<TileResult>& results, TilePlan* plan);
// Finds out whether the plan's chain can run on several rows at once.
void findRows(const std::vector<TileInput>& inputs, const std::vector<TileOp>& columnOps,
              const std::vector<TileResult>& results, TilePlan* plan);
// Finds out whether the plan's chain can draw its mask while it runs, and whether the mask is a result.
void findDrawn(const std::vector<TileInput>& inputs, const std::vector<TileOp>& ops,
               const std::vector<TileResult>& results, TilePlan* plan);

}  // namespace layerwise
