// Where the pieces of a call's scratch memory stand, for plan functions.
#pragma once

#include <stdint.h>

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// Gives each piece its byte offset, at the beginning of a cache line.
struct ScratchLayout {
  int64_t bytes = 0;
  int64_t operator()(int64_t size) {
    const int64_t at = bytes;
    bytes += (size + 63) & ~(int64_t)63;
    return at;
  }
};

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
