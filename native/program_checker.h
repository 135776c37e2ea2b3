// What the checks of a call are written with: numbers as text, sizes, and the collector of the first complaint.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "program.h"

namespace layerwise {

constexpr const char* kDTypeNames[] = {"float32", "int32", "uint8", "bool"};

inline std::string text(int64_t n) { return std::to_string(n); }

// Product of non-negative factors, or −1 from 2³¹ on: no tensor is that large.
inline int64_t product(std::initializer_list<int64_t> factors) {
  int64_t p = 1;
  for (int64_t f : factors) {
    if (f == 0) return 0;
  }
  for (int64_t f : factors) {
    if (f < 0 || f > INT32_MAX) return -1;
    p *= f;
    if (p > INT32_MAX) return -1;
  }
  return p;
}

// Collects the first complaint.
struct Checker {
  const Call& call;
  const EncodedTile* tile;
  const std::vector<ProgramTensor>& tensors;
  std::string error;

  bool fail(const std::string& message) {
    if (error.empty()) error = message;
    return false;
  }
  bool counts(int inputs, int outputs, int ints, int floats) {
    if (tile) return fail("takes no tile program");
    if (call.nInputs != inputs) return count("inputs", call.nInputs, inputs);
    if (call.nOutputs != outputs) return count("outputs", call.nOutputs, outputs);
    if (call.nInts != ints) return count("integer attributes", call.nInts, ints);
    if (call.nFloats != floats) return count("float attributes", call.nFloats, floats);
    return true;
  }
  bool count(const char* what, int64_t got, int64_t wanted) {
    return fail(std::string("has ") + text(got) + " " + what + ", expected " + text(wanted));
  }
  bool notNegative(std::initializer_list<int> positions) {
    for (int p : positions) {
      if (call.ints[p] < 0) {
        return fail("integer attribute " + text(p) + " is " + text(call.ints[p]) +
                    ", expected 0 or more");
      }
    }
    return true;
  }
  bool flag(int position) {
    if (call.ints[position] == 0 || call.ints[position] == 1) return true;
    return fail("integer attribute " + text(position) + " is " + text(call.ints[position]) +
                ", expected 0 or 1");
  }
  bool types(const char* what, const DType* got, int at, std::initializer_list<DType> allowed) {
    for (DType t : allowed) {
      if (got[at] == t) return true;
    }
    return fail(std::string(what) + " " + text(at) + " is " + kDTypeNames[got[at]]);
  }
  bool input(int at, DType type, int64_t size) {
    return types("input", call.inputTypes, at, {type}) && sized("input", call.inputs[at], at, size);
  }
  bool output(int at, DType type, int64_t size) {
    return types("output", call.outputTypes, at, {type}) &&
           sized("output", call.outputs[at], at, size);
  }
  bool sized(const char* what, int32_t tensor, int at, int64_t size) {
    if (size < 0) return fail("attributes describe a tensor of 2^31 elements or more");
    if (tensors[tensor].size == size) return true;
    return fail(std::string(what) + " " + text(at) + " has " + text(tensors[tensor].size) +
                " elements, the attributes say " + text(size));
  }
  // The rest of a call that may carry an epilogue, after its two operands: C of rows × columns.
  bool product(int64_t rows, int64_t columns, const char* domain) {
    if (tile) {
      if (tile->dims.size() != 2) return count("tile dimensions", (int64_t)tile->dims.size(), 2);
      if (tile->dims[0] != rows || tile->dims[1] != columns) {
        return fail(std::string("tile domain is not ") + domain);
      }
      if (call.nOutputs < 1) return count("outputs", 0, 1);
      for (int o = 0; o < call.nOutputs; o++) {
        if (!sized("output", call.outputs[o], o, rows * columns)) return false;
      }
      return true;
    }
    if (call.nInputs != 2) return count("inputs", call.nInputs, 2);
    if (call.nOutputs != 1) return count("outputs", call.nOutputs, 1);
    if (call.nFloats != 0) return count("float attributes", call.nFloats, 0);
    return output(0, kFloat32, rows * columns);
  }
  bool atLeast(const char* what, int32_t tensor, int at, int64_t size) {
    if (tensors[tensor].size >= size) return true;
    return fail(std::string(what) + " " + text(at) + " has " + text(tensors[tensor].size) +
                " elements, the attributes reach " + text(size));
  }
};

}  // namespace layerwise
