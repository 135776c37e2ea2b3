// Runs a Program's kernels one by one in guarded memory, every call split into a given number of
// parts even where the executor would not split it: what a kernel may not do to its neighbours
// shows here.
#pragma once

#include <string>
#include <vector>

#include "guarded.h"
#include "program_builder.h"

namespace layerwise::test {

struct Outcome {
  std::vector<Bytes> bindings;  // after the run
  std::string error;            // a data error
  std::string violation;        // what was written beside the tensors; never to be seen
};

// Where two runs of a Program differ in a bit, for a message; empty if nowhere. The sign and
// payload of a NaN are of no account: they follow the order of operands, which the compiler may
// choose.
std::string difference(const Program& program, const Outcome& a, const Outcome& b);

enum class Parts { kInThreads, kInTurn };

// `bindings` hold the values before the run. Read-only bindings are mapped read-only.
Outcome runGuarded(Program& program, const std::vector<Bytes>& bindings, int parts, Parts how,
                   Guard guard);

}  // namespace layerwise::test
