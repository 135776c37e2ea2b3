// Random valid Programs: any kernel, awkward sizes, random tile programs, tensors in all places,
// chains of calls, work in place. Where the fuzzer starts from, and a test of its own.
#pragma once

#include "program_builder.h"
#include "random.h"

namespace layerwise::test {

Encoded randomProgram(Random& random);

// Values for all bindings: mostly tame, now and then NaN, infinities and indices out of range.
std::vector<Bytes> randomBindings(const Program& program, Random& random);

}  // namespace layerwise::test
