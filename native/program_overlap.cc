// Which operands of a call may share memory: a kernel reads and writes in any order, so only those may that it
// is known to read before it writes.
#include "program.h"

namespace layerwise {
namespace {

bool isIdentity(const std::vector<int64_t>& strides, const std::vector<int64_t>& dims) {
  int64_t stride = 1;
  for (size_t d = dims.size(); d-- > 0;) {
    if (dims[d] != 1 && strides[d] != stride) return false;
    stride *= dims[d];
  }
  return true;
}

}  // namespace

bool tensorsOverlap(const ProgramTensor& a, const ProgramTensor& b) {
  if (a.place != b.place || a.size == 0 || b.size == 0) return false;
  if (a.place == Place::kBinding) return a.value == b.value;
  return a.value < b.value + (uint64_t)b.bytes() && b.value < a.value + (uint64_t)a.bytes();
}

// No operands may share memory, but for an output on a tile input of the same layout, and scatterRows'
// on its input 0.
std::string checkOverlap(const Call& call, const EncodedTile* tile,
                         const std::vector<ProgramTensor>& tensors) {
  const int firstTileInput = hasEpilogue(call.kernel) ? 2 : 0;
  for (int o = 0; o < call.nOutputs; o++) {
    const ProgramTensor& out = tensors[call.outputs[o]];
    for (int p = 0; p < o; p++) {
      if (tensorsOverlap(out, tensors[call.outputs[p]])) {
        return "outputs " + std::to_string(p) + " and " + std::to_string(o) + " share memory";
      }
    }
    for (int i = 0; i < call.nInputs; i++) {
      const ProgramTensor& in = tensors[call.inputs[i]];
      if (!tensorsOverlap(in, out)) continue;
      if (call.kernel == k_scatterRows && i == 0 && in.value == out.value) continue;
      const bool tileInput = tile && i >= firstTileInput;
      const size_t row = (size_t)(hasEpilogue(call.kernel) ? i - 1 : i);
      if (tileInput && in.value == out.value &&
          in.bytes() / (in.size ? in.size : 1) == out.bytes() / (out.size ? out.size : 1) &&
          row < tile->strides.size() && isIdentity(tile->strides[row], tile->dims)) {
        continue;
      }
      return "output " + std::to_string(o) + " shares memory with input " + std::to_string(i);
    }
  }
  return "";
}

}  // namespace layerwise
