// How the terms of products are cut into blocks, each of which is one chain of fma from zero.
#pragma once

#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// The k terms of a product are cut into near-equal blocks of at most kBlockK: a short last block would
// read and write C for a few terms. 288 is 9·32: convolutions of 3×3 taps come out even.
constexpr int64_t kBlockK = 288;
struct BlocksOfK {
  int64_t k, count;
  explicit BlocksOfK(int64_t terms) : k(terms), count((terms + kBlockK - 1) / kBlockK) {}
  int64_t begin(int64_t block) const { return k * block / count; }  // block may be count
  // The largest block's length.
  int64_t longest() const { return count > 0 ? (k + count - 1) / count : 0; }
};

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
