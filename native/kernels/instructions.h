// The tile machine's instructions as functions over whole registers, one table per instruction set.
#pragma once

#include "../call.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// dst, a, b, c: registers of n lanes; `index` is the linear position of lane 0 in the domain (philox).
// Nothing beyond n lanes is read or written.
using InstructionFunction = void (*)(void* dst, const void* a, const void* b, const void* c, int64_t n,
                                     const TileOp& op, int64_t index);
// By functionOf and functionOfPair; null where there is no such variant.
extern const InstructionFunction kInstructions[kTileFunctions];

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
