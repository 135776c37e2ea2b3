// What each kernel demands of a call: counts, dtypes and sizes that match its attributes
// (docs/program.md has the table). One function per line of kernels.def. Sizes of tile inputs are
// checked where the tile is planned.
#include <algorithm>
#include <cstdlib>
#include <initializer_list>

#include "program_checker.h"

namespace layerwise {
namespace {

int64_t domainSize(const EncodedTile& tile) {
  int64_t n = 1;
  for (int64_t d : tile.dims) {
    if (d == 0) return 0;
  }
  for (int64_t d : tile.dims) {
    n *= d;
    if (d < 0 || n > INT32_MAX) return -1;
  }
  return n;
}

void check_map(Checker& c) {
  if (!c.tile) return (void)c.fail("lacks its tile program");
  if (c.call.nInts != 0) return (void)c.count("integer attributes", c.call.nInts, 0);
  const int64_t n = domainSize(*c.tile);
  for (int o = 0; o < c.call.nOutputs; o++) {
    if (!c.sized("output", c.call.outputs[o], o, n)) return;
  }
}

void check_reduce(Checker& c) {
  if (!c.tile) return (void)c.fail("lacks its tile program");
  const int results = c.call.nOutputs;
  if (c.call.nInts != results) return (void)c.count("integer attributes", c.call.nInts, results);
  if (c.call.nFloats < results) return (void)c.count("float attributes", c.call.nFloats, results);
  if (c.tile->dims.size() != 3) {
    return (void)c.count("tile dimensions", (int64_t)c.tile->dims.size(), 3);
  }
  const int64_t n = product({c.tile->dims[0], c.tile->dims[2]});
  for (int r = 0; r < results; r++) {
    if (c.call.ints[r] < 0 || c.call.ints[r] > 3) {
      return (void)c.fail("reducer " + text(c.call.ints[r]) + " is not 0 to 3");
    }
    if (!c.types("output", c.call.outputTypes, r, {kFloat32, kInt32})) return;
    if (!c.sized("output", c.call.outputs[r], r, n)) return;
  }
}

void check_gemm(Checker& c) {
  if (c.call.nInts != 8) return (void)c.count("integer attributes", c.call.nInts, 8);
  if (!c.notNegative({0, 1, 2, 3, 6, 7}) || !c.flag(4) || !c.flag(5)) return;
  if (c.call.nInputs < 2) return (void)c.count("inputs", c.call.nInputs, 2);
  if (!c.types("input", c.call.inputTypes, 0, {kFloat32})) return;
  if (!c.types("input", c.call.inputTypes, 1, {kFloat32})) return;
  const int64_t batch = c.call.ints[0], m = c.call.ints[1], n = c.call.ints[2], k = c.call.ints[3];
  const int64_t a = product({m, k}), b = product({k, n}), size = product({batch, m, n});
  if (a < 0 || b < 0 || size < 0) {
    return (void)c.fail("attributes describe a tensor of 2^31 elements or more");
  }
  if (size > 0) {
    if (!c.atLeast("input", c.call.inputs[0], 0, a + (batch - 1) * c.call.ints[6])) return;
    if (!c.atLeast("input", c.call.inputs[1], 1, b + (batch - 1) * c.call.ints[7])) return;
  }
  c.product(batch * m, n, "[batch·m, n]");
}

// Of all three convolutions: sizes of the attributes, and what else is the same.
struct Convolution {
  int64_t input, filter, output;
  int64_t pixels, inputPixels, terms, channels, filters;
};
bool convolution(Checker& c, Convolution* s) {
  constexpr int kAttributes = 17;
  if (c.call.nInts != kAttributes) {
    return c.count("integer attributes", c.call.nInts, kAttributes);
  }
  if (!c.notNegative({0, 1, 2, 3, 4, 5, 6, 11, 12}) || !c.flag(16)) return false;
  const int32_t* v = c.call.ints;
  for (int p : {7, 8, 9, 10, 13, 14, 15}) {
    if (v[p] < 1) {
      return c.fail("integer attribute " + text(p) + " is " + text(v[p]) + ", expected 1 or more");
    }
  }
  s->channels = v[3], s->filters = v[6];
  const int64_t groups = v[15];
  if (s->channels % groups != 0 || s->filters % groups != 0) {
    return c.fail(text(s->channels) + " channels and " + text(s->filters) +
                  " filters do not fall into " + text(groups) + " groups");
  }
  s->pixels = product({v[0], v[4], v[5]});
  s->inputPixels = product({v[0], v[1], v[2]});
  s->terms = product({v[7], v[8], s->channels / groups});
  s->input = product({v[0], v[1], v[2], s->channels});
  s->filter = product({v[7], v[8], s->channels / groups, s->filters});
  s->output = product({v[0], v[4], v[5], s->filters});
  for (int64_t size : {s->pixels, s->inputPixels, s->terms, s->input, s->filter, s->output}) {
    if (size < 0) return c.fail("attributes describe a tensor of 2^31 elements or more");
  }
  // An image with all that its windows reach, and what its gradient reaches in return: kernels copy rows of it.
  const auto reach = [&](int axis) {
    const double stride = v[9 + axis], last = (v[4 + axis] - 1.0) * stride + 1;
    return std::max((double)v[1 + axis], last) + (v[7 + axis] - 1.0) * v[13 + axis];
  };
  const double rows = reach(0), columns = reach(1);
  if (rows * columns * v[3] > INT32_MAX || (rows / v[9] + 2) * (columns / v[10] + 2) * v[6] > INT32_MAX) {
    return c.fail("windows reach over an image of 2^31 elements or more");
  }
  if (c.call.nInputs < 2) return c.count("inputs", c.call.nInputs, 2);
  return true;
}

void check_conv2d(Checker& c) {
  Convolution s;
  (void)(convolution(c, &s) && c.input(0, kFloat32, s.input) && c.input(1, kFloat32, s.filter) &&
         c.product(s.pixels, s.filters, "[batch·outHeight·outWidth, filters]"));
}

void check_conv2dInputGradient(Checker& c) {
  Convolution s;
  (void)(convolution(c, &s) && c.input(0, kFloat32, s.output) && c.input(1, kFloat32, s.filter) &&
         c.product(s.inputPixels, s.channels, "[batch·height·width, channels]"));
}

void check_conv2dFilterGradient(Checker& c) {
  Convolution s;
  (void)(convolution(c, &s) && c.input(0, kFloat32, s.input) && c.input(1, kFloat32, s.output) &&
         c.product(s.terms, s.filters, "[kernelHeight·kernelWidth·channels/groups, filters]"));
}

// A dimension along which strides lead to elements that shorter strides reach too, −1 for none: sorted by length,
// each has to step over all that the shorter ones reach. What would be written twice would depend on the order.
int writtenAgain(const int32_t* dims, const int32_t* strides, int rank) {
  int order[8], n = 0;
  for (int d = 0; d < rank; d++) {
    if (dims[d] > 1) order[n++] = d;
  }
  const auto length = [&](int d) { return std::abs((int64_t)strides[d]); };
  std::stable_sort(order, order + n, [&](int a, int b) { return length(a) < length(b); });
  int64_t reached = 0;
  for (int i = 0; i < n; i++) {
    if (length(order[i]) <= reached) return order[i];
    reached += length(order[i]) * (dims[order[i]] - 1);
  }
  return -1;
}

void check_copy(Checker& c) {
  if (c.call.nInts < 3) return (void)c.count("integer attributes", c.call.nInts, 3);
  const int32_t* v = c.call.ints;
  const int rank = v[0];
  if (rank < 0 || rank > 8) return (void)c.fail("rank " + text(rank) + " is not 0 to 8");
  if (!c.counts(1, 1, 3 + 3 * rank, 0)) return;
  if (c.call.inputTypes[0] != c.call.outputTypes[0]) {
    return (void)c.fail(std::string("copies ") + kDTypeNames[c.call.inputTypes[0]] + " to " +
                        kDTypeNames[c.call.outputTypes[0]]);
  }
  int64_t total = 1;
  bool empty = false;
  for (int d = 0; d < rank; d++) {
    const int64_t dim = v[3 + d];
    if (dim < 0) return (void)c.fail("dimension " + text(dim) + " is negative");
    empty = empty || dim == 0;
  }
  if (empty) return;
  for (int d = 0; d < rank; d++) {
    total *= v[3 + d];
    if (total > INT32_MAX) return (void)c.fail("copies 2^31 elements or more");
  }
  const int again = writtenAgain(v + 3, v + 3 + 2 * rank, rank);
  if (again >= 0) return (void)c.fail("writes the same elements again along dimension " + text(again));
  for (int side = 0; side < 2; side++) {
    int64_t low = v[1 + side], high = low;
    for (int d = 0; d < rank; d++) {
      const int64_t stride = v[3 + (1 + side) * rank + d], dim = v[3 + d];
      (stride < 0 ? low : high) += stride * (dim - 1);
    }
    const int64_t size = c.tensors[side ? c.call.outputs[0] : c.call.inputs[0]].size;
    if (low < 0 || high >= size) {
      return (void)c.fail(std::string(side ? "writes" : "reads") + " elements " + text(low) + " to " +
                          text(high) + " of a tensor of " + text(size));
    }
  }
}

void check_gather(Checker& c) {
  if (!c.counts(2, 1, 4, 0) || !c.notNegative({0, 1, 2, 3})) return;
  const int32_t* v = c.call.ints;
  if (c.call.inputTypes[0] != c.call.outputTypes[0]) {
    return (void)c.fail("input 0 and output 0 differ in dtype");
  }
  (void)(c.sized("input", c.call.inputs[0], 0, product({v[0], v[1], v[2]})) &&
         c.input(1, kInt32, v[3]) &&
         c.sized("output", c.call.outputs[0], 0, product({v[0], v[3], v[2]})));
}

void check_scatterAdd(Checker& c) {
  if (!c.counts(2, 1, 4, 0) || !c.notNegative({0, 1, 2, 3})) return;
  const int32_t* v = c.call.ints;
  (void)(c.input(0, kFloat32, product({v[0], v[3], v[2]})) && c.input(1, kInt32, v[3]) &&
         c.output(0, kFloat32, product({v[0], v[1], v[2]})));
}

void check_scatterRows(Checker& c) {
  if (!c.counts(3, 1, 3, 0) || !c.notNegative({0, 1, 2})) return;
  const int32_t* v = c.call.ints;
  if (c.call.inputTypes[0] != c.call.outputTypes[0] ||
      c.call.inputTypes[0] != c.call.inputTypes[2]) {
    return (void)c.fail("input 0, input 2 and output 0 differ in dtype");
  }
  (void)(c.sized("input", c.call.inputs[0], 0, product({v[0], v[1]})) && c.input(1, kInt32, v[2]) &&
         c.sized("input", c.call.inputs[2], 2, product({v[2], v[1]})) &&
         c.sized("output", c.call.outputs[0], 0, product({v[0], v[1]})));
}

void check_softmax(Checker& c) {
  if (!c.counts(1, 1, 3, 0) || !c.notNegative({0, 1}) || !c.flag(2)) return;
  const int64_t n = product({c.call.ints[0], c.call.ints[1]});
  (void)(c.input(0, kFloat32, n) && c.output(0, kFloat32, n));
}

void check_softmaxCrossEntropy(Checker& c) {
  if (!c.counts(2, 2, 2, 1) || !c.notNegative({0, 1})) return;
  const int64_t rows = c.call.ints[0], n = product({rows, c.call.ints[1]});
  (void)(c.input(0, kFloat32, n) && c.input(1, kFloat32, n) && c.output(0, kFloat32, rows) &&
         c.output(1, kFloat32, n));
}

void check_sparseSoftmaxCrossEntropy(Checker& c) {
  if (!c.counts(2, 2, 2, 1) || !c.notNegative({0, 1})) return;
  const int64_t rows = c.call.ints[0], n = product({rows, c.call.ints[1]});
  (void)(c.input(0, kFloat32, n) && c.input(1, kInt32, rows) && c.output(0, kFloat32, rows) &&
         c.output(1, kFloat32, n));
}

void check_moments(Checker& c) {
  if (!c.counts(1, 2, 3, 0) || !c.notNegative({0, 1, 2})) return;
  const int32_t* v = c.call.ints;
  const int64_t n = product({v[0], v[2]});
  (void)(c.input(0, kFloat32, product({v[0], v[1], v[2]})) && c.output(0, kFloat32, n) &&
         c.output(1, kFloat32, n));
}

void check_argReduce(Checker& c) {
  if (!c.counts(1, 1, 4, 0) || !c.notNegative({0, 1, 2}) || !c.flag(3)) return;
  const int32_t* v = c.call.ints;
  const int64_t n = product({v[0], v[2]});
  if (v[1] == 0 && n > 0) return (void)c.fail("has an empty axis");
  (void)(c.types("input", c.call.inputTypes, 0, {kFloat32, kInt32}) &&
         c.sized("input", c.call.inputs[0], 0, product({v[0], v[1], v[2]})) &&
         c.output(0, kInt32, n));
}

void check_topK(Checker& c) {
  if (!c.counts(1, 2, 3, 0) || !c.notNegative({0, 1, 2})) return;
  const int32_t* v = c.call.ints;
  if (v[2] > v[1]) return (void)c.fail("k = " + text(v[2]) + " of " + text(v[1]) + " columns");
  const int64_t n = product({v[0], v[2]});
  (void)(c.input(0, kFloat32, product({v[0], v[1]})) && c.output(0, kFloat32, n) &&
         c.output(1, kInt32, n));
}

void check_cumsum(Checker& c) {
  if (!c.counts(1, 1, 5, 0) || !c.notNegative({0, 1, 2}) || !c.flag(3) || !c.flag(4)) return;
  const int32_t* v = c.call.ints;
  const int64_t n = product({v[0], v[1], v[2]});
  (void)(c.types("input", c.call.inputTypes, 0, {kFloat32, kInt32}) &&
         c.sized("input", c.call.inputs[0], 0, n) && c.output(0, c.call.inputTypes[0], n));
}

// The twelve attributes of a pooling: no window may lie beside the input, so that none is empty.
bool pooling(Checker& c) {
  const int32_t* v = c.call.ints;
  if (!c.notNegative({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})) return false;
  for (int axis = 0; axis < 2; axis++) {
    const int64_t size = v[1 + axis], kernel = v[4 + axis], stride = v[6 + axis];
    const int64_t pad = v[8 + axis], windows = v[10 + axis];
    if (kernel < 1 || stride < 1) return c.fail("has a window or stride of 0");
    if (pad >= kernel || (windows > 0 && (size < 1 || (windows - 1) * stride - pad >= size))) {
      return c.fail("has a window beside its input");
    }
  }
  return product({v[4], v[5]}) >= 0 || c.fail("has a window of 2^31 elements or more");
}
int64_t poolInput(const int32_t* v) { return product({v[0], v[1], v[2], v[3]}); }
int64_t poolOutput(const int32_t* v) { return product({v[0], v[10], v[11], v[3]}); }
// What index tensors hold: the number of an element of the window.
DType poolIndex(const int32_t* v) { return product({v[4], v[5]}) <= 256 ? kUint8 : kInt32; }

void check_maxPool(Checker& c) {
  if (!c.counts(1, c.call.nOutputs == 1 ? 1 : 2, 12, 0) || !pooling(c)) return;
  const int32_t* v = c.call.ints;
  if (!c.input(0, kFloat32, poolInput(v)) || !c.output(0, kFloat32, poolOutput(v))) return;
  if (c.call.nOutputs == 2) c.output(1, poolIndex(v), poolOutput(v));
}

void check_maxPoolGradient(Checker& c) {
  if (!c.counts(2, 1, 12, 0) || !pooling(c)) return;
  const int32_t* v = c.call.ints;
  (void)(c.input(0, kFloat32, poolOutput(v)) && c.input(1, poolIndex(v), poolOutput(v)) &&
         c.output(0, kFloat32, poolInput(v)));
}

void check_avgPool(Checker& c) {
  if (!c.counts(1, 1, 12, 0) || !pooling(c)) return;
  const int32_t* v = c.call.ints;
  (void)(c.input(0, kFloat32, poolInput(v)) && c.output(0, kFloat32, poolOutput(v)));
}

void check_avgPoolGradient(Checker& c) {
  if (!c.counts(1, 1, 12, 0) || !pooling(c)) return;
  const int32_t* v = c.call.ints;
  (void)(c.input(0, kFloat32, poolOutput(v)) && c.output(0, kFloat32, poolInput(v)));
}

// n, h, w, c, outHeight, outWidth, transforms, bilinear, fillMode.
bool transformation(Checker& c, int floats) {
  if (!c.counts(2, 1, 9, floats) || !c.notNegative({0, 1, 2, 3, 4, 5, 6, 8}) || !c.flag(7)) {
    return false;
  }
  const int32_t* v = c.call.ints;
  if (v[6] != 1 && v[6] != v[0]) {
    return c.fail("has " + text(v[6]) + " transforms for " + text(v[0]) + " images");
  }
  if (v[8] > 3) return c.fail("fill mode " + text(v[8]) + " is not 0 to 3");
  return c.input(1, kFloat32, product({v[6], 8}));
}

void check_transformImages(Checker& c) {
  if (!transformation(c, 1)) return;
  const int32_t* v = c.call.ints;
  (void)(c.input(0, kFloat32, product({v[0], v[1], v[2], v[3]})) &&
         c.output(0, kFloat32, product({v[0], v[4], v[5], v[3]})));
}

void check_transformImagesGradient(Checker& c) {
  if (!transformation(c, 0)) return;
  const int32_t* v = c.call.ints;
  (void)(c.input(0, kFloat32, product({v[0], v[4], v[5], v[3]})) &&
         c.output(0, kFloat32, product({v[0], v[1], v[2], v[3]})));
}

// The attributes that both directions of a recurrent layer begin with, and what follows from them.
struct Recurrent {
  enum : int { kLstm = 4, kGru = 5, kGruAfter = 6 };
  int64_t batch, time, units, cell, gates;
  int64_t weights, wide, narrow, state;
  int wanted;
};
constexpr int64_t kMostOfNothing = 1 << 22;
bool recurrentCell(Checker& c, Recurrent* s) {
  constexpr int kAttributes = 12;
  if (c.tile) return c.fail("takes no tile program");
  if (c.call.nInts != kAttributes) return c.count("integer attributes", c.call.nInts, kAttributes);
  if (c.call.nFloats != 0) return c.count("float attributes", c.call.nFloats, 0);
  if (!c.notNegative({0, 1, 2, 3, 4})) return false;
  for (int p = 5; p < kAttributes; p++) {
    if (!c.flag(p)) return false;
  }
  const int32_t* v = c.call.ints;
  if (v[3] > Recurrent::kGruAfter) return c.fail("cell " + text(v[3]) + " is not 0 to 6");
  s->batch = v[0], s->time = v[1], s->units = v[2], s->cell = v[3], s->wanted = v[4];
  s->gates = s->cell == Recurrent::kLstm ? 4 : s->cell >= Recurrent::kGru ? 3 : 1;
  const auto one = [](int64_t n) { return n > 0 ? n : 1; };
  // States, the order of the rows and the number of phases follow from sizes whose product may be 0.
  if (product({2, one(s->batch), one(s->time), s->gates, one(s->units)}) < 0) {
    return c.fail("attributes describe a tensor of 2^31 elements or more");
  }
  // Where there are no steps no tensor stands behind the memory that states and the order of the rows take.
  const bool nothing = s->batch == 0 || s->time == 0 || s->units == 0;
  if (nothing && (s->time > kMostOfNothing || s->batch * one(s->units) > kMostOfNothing)) {
    return c.fail("has more than 2^22 steps or states of no size");
  }
  s->weights = product({s->units, s->gates, s->units});
  s->wide = product({s->batch, s->time, s->gates, s->units});
  s->narrow = product({s->batch, s->time, s->units});
  s->state = product({s->batch, s->units});
  return true;
}
// Operand by operand, in order; those that a call lacks are skipped.
struct OperandChecker {
  Checker& c;
  int inputs = 0, outputs = 0;
  bool input(bool present, DType type, int64_t size) {
    if (!present) return true;
    if (inputs >= c.call.nInputs) return c.count("inputs", c.call.nInputs, inputs + 1);
    return c.input(inputs++, type, size);
  }
  bool output(bool present, int64_t size) {
    if (!present) return true;
    if (outputs >= c.call.nOutputs) return c.count("outputs", c.call.nOutputs, outputs + 1);
    return c.output(outputs++, kFloat32, size);
  }
  void finish() {
    if (inputs != c.call.nInputs) return (void)c.count("inputs", c.call.nInputs, inputs);
    if (outputs != c.call.nOutputs) return (void)c.count("outputs", c.call.nOutputs, outputs);
  }
};

void check_recurrent(Checker& c) {
  Recurrent s;
  if (!recurrentCell(c, &s)) return;
  const int32_t* const has = c.call.ints + 6;  // bias, recurrentBias, initial, peepholes, mask, lengths
  const bool lstm = s.cell == Recurrent::kLstm;
  if ((has[3] && !lstm) || (has[1] && s.cell != Recurrent::kGruAfter)) {
    return (void)c.fail("has operands of another cell");
  }
  const int allowed = lstm ? 0x7f : s.gates == 3 ? 0x1f : 0x0f;
  if (s.wanted == 0 || (s.wanted & ~allowed) != 0) {
    return (void)c.fail("wants results " + text(s.wanted) + " of " + text(allowed));
  }
  OperandChecker o = {c};
  const int64_t sizes[] = {s.narrow, s.state, s.wide, s.narrow, s.narrow, s.state, s.narrow};
  const bool inputs = o.input(true, kFloat32, s.wide) && o.input(true, kFloat32, s.weights) &&
                      o.input(has[0], kFloat32, product({s.gates, s.units})) &&
                      o.input(has[1], kFloat32, product({s.gates, s.units})) &&
                      o.input(has[2], kFloat32, s.state) && o.input(has[2] && lstm, kFloat32, s.state) &&
                      o.input(has[3], kFloat32, product({3, s.units})) &&
                      o.input(has[4], kFloat32, s.state) && o.input(has[5], kInt32, s.batch);
  if (!inputs) return;
  for (int bit = 0; bit < 7; bit++) {
    if (!o.output((s.wanted >> bit & 1) != 0, sizes[bit])) return;
  }
  o.finish();
}

void check_recurrentGradient(Checker& c) {
  Recurrent s;
  if (!recurrentCell(c, &s)) return;
  const int32_t* const has = c.call.ints + 6;  // peepholes, mask, lengths, dOutputs, dH, dC
  const bool lstm = s.cell == Recurrent::kLstm;
  if (!lstm && (has[0] || has[5])) return (void)c.fail("has operands of another cell");
  const int allowed = lstm ? 0xd : s.cell == Recurrent::kGruAfter ? 0x7 : 0x5;
  if (s.wanted == 0 || (s.wanted & ~allowed) != 0) {
    return (void)c.fail("wants results " + text(s.wanted) + " of " + text(allowed));
  }
  OperandChecker o = {c};
  const int64_t sizes[] = {s.wide, s.wide, s.state, s.state};
  const bool inputs = o.input(true, kFloat32, s.weights) && o.input(true, kFloat32, s.wide) &&
                      o.input(s.gates == 3, kFloat32, s.narrow) && o.input(s.gates > 1, kFloat32, s.narrow) &&
                      o.input(lstm, kFloat32, s.narrow) &&
                      o.input(has[0], kFloat32, product({3, s.units})) &&
                      o.input(has[1], kFloat32, s.state) && o.input(has[2], kInt32, s.batch) &&
                      o.input(has[3], kFloat32, s.narrow) && o.input(has[4], kFloat32, s.state) &&
                      o.input(has[5], kFloat32, s.state);
  if (!inputs) return;
  for (int bit = 0; bit < 4; bit++) {
    if (!o.output((s.wanted >> bit & 1) != 0, sizes[bit])) return;
  }
  o.finish();
}

void check_sequenceProduct(Checker& c) {
  if (!c.counts(3, 1, 5, 0) || !c.notNegative({0, 1, 2, 3}) || !c.flag(4)) return;
  const int32_t* v = c.call.ints;
  (void)(c.input(0, kFloat32, product({v[0], v[1], v[2]})) && c.input(1, kFloat32, product({v[2], v[3]})) &&
         c.input(2, kInt32, v[0]) && c.output(0, kFloat32, product({v[0], v[1], v[3]})));
}

void check_sequenceOuter(Checker& c) {
  if (!c.counts(3, 1, 4, 0) || !c.notNegative({0, 1, 2, 3})) return;
  const int32_t* v = c.call.ints;
  (void)(c.input(0, kFloat32, product({v[0], v[1], v[2]})) &&
         c.input(1, kFloat32, product({v[0], v[1], v[3]})) && c.input(2, kInt32, v[0]) &&
         c.output(0, kFloat32, product({v[2], v[3]})));
}

using Check = void (*)(Checker&);
constexpr Check kChecks[] = {
#define KERNEL(name) check_##name,
#include "kernels.def"
#undef KERNEL
};
constexpr const char* kNames[] = {
#define KERNEL(name) #name,
#include "kernels.def"
#undef KERNEL
};
static_assert(sizeof kChecks / sizeof *kChecks == kKernelCount, "one check per kernel");

}  // namespace

const char* kernelName(int32_t kernel) { return kNames[kernel]; }

bool checksData(int32_t kernel) {
  switch (kernel) {
    case k_gather: case k_scatterAdd: case k_scatterRows: case k_sparseSoftmaxCrossEntropy:
    case k_recurrent: case k_recurrentGradient: case k_sequenceProduct: case k_sequenceOuter:
      return true;
    default: return false;
  }
}

std::string checkCall(const Call& call, const EncodedTile* tile,
                      const std::vector<ProgramTensor>& tensors) {
  Checker checker{call, tile, tensors, ""};
  kChecks[call.kernel](checker);
  if (!checker.error.empty()) return checker.error;
  return checkOverlap(call, tile, tensors);
}

}  // namespace layerwise
