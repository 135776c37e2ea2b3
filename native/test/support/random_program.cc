#include "random_program.h"

#include <string.h>

#include <limits>

#include "random_tile.h"

namespace layerwise::test {
namespace {

// One member per line of kernels.def: a kernel that has none doesn't compile.
class Generator : RandomTiles {
 public:
  explicit Generator(Random& random) : RandomTiles(random) {}

  Encoded make() {
    const int64_t calls = 1 + (r_.chance(0.6) ? 0 : r_.below(5));
    for (int64_t c = 0; c < calls; c++) one((KernelId)r_.below(kKernelCount));
    if (r_.chance(0.3)) b_.letOperandsLast();
    return b_.encode();
  }

 private:
  void one(KernelId kernel) {
    switch (kernel) {
#define KERNEL(name) \
  case k_##name: return name();
#include "../../kernels.def"
#undef KERNEL
      case kKernelCount: return;
    }
  }

  void map() {
    Dims dims;
    const int64_t rank = r_.below(4);
    for (int64_t d = 0; d < rank; d++) dims.push_back(d == rank - 1 ? dim() : smallDim());
    const bool isLong = r_.chance(0.04);  // dropout draws while it runs then
    if (isLong) dims = {8150 + r_.below(4000)};
    Tiled t = tileInputs(dims, false);
    if (isLong) randomBits(t);
    else instructions(t);
    const std::vector<int> outputs = tileOutputs(t, sizeOf(dims));
    b_.call(k_map, t.inputs, outputs, {}, {}, &t.tile);
  }

  void reduce() {
    const Dims dims =
        r_.chance(0.5) ? Dims{smallDim(), dim(), 1} : Dims{smallDim(), smallDim(), dim()};
    Tiled t = tileInputs(dims, false);
    instructions(t);
    std::vector<int> outputs;
    std::vector<int64_t> reducers;
    std::vector<double> scales;
    const int64_t results = 1 + (r_.chance(0.7) ? 0 : r_.below(3));
    for (int64_t n = 0; n < results; n++) {
      outputs.push_back(output(result(t, true), dims[0] * dims[2]));
      reducers.push_back(r_.below(4));
      scales.push_back(reducers.back() == 0 ? 0.5 : 1);
    }
    b_.call(k_reduce, t.inputs, outputs, reducers, scales, &t.tile);
  }

  void gemm() {
    const int64_t batch = r_.chance(0.6) ? 1 : smallDim(), m = dim(), n = dim(), k = dim();
    const int64_t strideA = r_.chance(0.3) ? 0 : m * k, strideB = r_.chance(0.3) ? 0 : k * n;
    const int64_t last = batch > 0 ? batch - 1 : 0;
    const int a = input(kFloat32, m * k + last * strideA),
              b = input(kFloat32, k * n + last * strideB);
    const std::vector<int64_t> ints = {batch, m, n, k, flag(), flag(), strideA, strideB};
    product(k_gemm, a, b, batch * m, n, ints);
  }

  // C of rows × columns, as it is or through an epilogue.
  void product(KernelId kernel, int a, int b, int64_t rows, int64_t columns, const std::vector<int64_t>& ints) {
    if (r_.chance(0.4)) {
      b_.call(kernel, {a, b}, {output(kFloat32, rows * columns)}, ints);
      return;
    }
    Tiled t = tileInputs({rows, columns}, true);
    instructions(t);
    const std::vector<int> outputs = tileOutputs(t, rows * columns);
    std::vector<int> inputs = {a, b};
    inputs.insert(inputs.end(), t.inputs.begin(), t.inputs.end());
    b_.call(kernel, inputs, outputs, ints, {}, &t.tile);
  }

  void conv2d() { convolution(k_conv2d); }
  void conv2dInputGradient() { convolution(k_conv2dInputGradient); }
  void conv2dFilterGradient() { convolution(k_conv2dFilterGradient); }
  void convolution(KernelId kernel) {
    const bool winograd = r_.chance(0.3);  // where its shapes are likely
    const bool manyImages = !winograd && r_.chance(0.25);  // each in a lane, if there are few channels
    const bool manyTaps = !winograd && !manyImages && r_.chance(0.1);
    const auto side = [&] { return r_.chance(0.05) ? 0 : 1 + r_.below(winograd || manyTaps ? 30 : 16); };
    const int64_t groups = !winograd && !manyImages && r_.chance(0.4) ? 1 + r_.below(5) : 1;
    const auto depth = [&] {
      return manyTaps ? 1 + r_.below(2) : winograd ? 16 + r_.below(40) : smallDim() * r_.pick<int64_t>({1, 1, 3});
    };
    const int64_t batch = manyImages ? 16 + r_.below(4) : r_.below(4), height = side(), width = side();
    int64_t channels = groups * depth(), filters = groups * depth();
    const bool apart = r_.chance(0.2) && channels > 0;  // every channel a group
    if (apart) filters = channels = r_.chance(0.5) ? channels : 16 * (1 + r_.below(3));
    const auto few = [&](int64_t most) { return winograd || r_.chance(0.5) ? 1 : 1 + r_.below(most); };
    const auto tapsOf = [&] { return winograd ? 3 : 1 + r_.below(manyTaps ? 24 : 4); };
    const int64_t taps[] = {tapsOf(), tapsOf()};
    const int64_t strides[] = {few(4), few(20)}, pads[] = {r_.below(4), r_.below(3)};
    const int64_t dilations[] = {few(3), few(4)};
    int64_t out[2];
    for (int d = 0; d < 2; d++) {
      const int64_t room = (d ? width : height) + 2 * pads[d] - (taps[d] - 1) * dilations[d] - 1;
      out[d] = room < 0 ? 0 : room / strides[d] + 1;
      if (r_.chance(0.1)) out[d] = smallDim();
    }
    const int64_t own = apart ? 1 : channels / groups;
    const int64_t x = batch * height * width, y = batch * out[0] * out[1], terms = taps[0] * taps[1] * own;
    const std::vector<int64_t> ints = {batch,      height,     width,   channels, out[0],       out[1],
                                       filters,    taps[0],    taps[1], strides[0], strides[1], pads[0],
                                       pads[1], dilations[0], dilations[1], apart ? channels : groups,
                                       winograd};
    if (kernel == k_conv2d) {
      product(kernel, input(kFloat32, x * channels), input(kFloat32, terms * filters), y, filters, ints);
    } else if (kernel == k_conv2dInputGradient) {
      product(kernel, input(kFloat32, y * filters), input(kFloat32, terms * filters), x, channels, ints);
    } else {
      product(kernel, input(kFloat32, x * channels), input(kFloat32, y * filters), terms, filters, ints);
    }
  }

  void copy() {
    const DType dtype = anyType();
    const int64_t rank = r_.below(4);
    Dims dims, to;
    for (int64_t d = 0; d < rank; d++) dims.push_back(d == rank - 1 ? dim() : smallDim());
    // Any source; the destination in some order of the dimensions, with a margin.
    Dims from(dims.size()), order(dims.size());
    to.resize(dims.size());
    int64_t low = 0, high = 0, size = 1;
    for (size_t d = 0; d < dims.size(); d++) {
      from[d] = r_.below(7) - 2;
      (from[d] < 0 ? low : high) += from[d] * (dims[d] - 1);
    }
    for (size_t k = 0; k < dims.size(); k++) {
      const size_t d = flagged_ ? k : dims.size() - 1 - k;
      to[d] = size;
      size *= dims[d];
    }
    flagged_ = !flagged_;
    const int64_t margin = r_.below(3);
    std::vector<int64_t> ints = {rank, -low, margin};
    for (const Dims* part : {&dims, &from, &to})
      ints.insert(ints.end(), part->begin(), part->end());
    const bool empty = sizeOf(dims) == 0;
    const int64_t sourceSize = empty ? 1 : high - low + 1 + r_.below(2);
    b_.call(k_copy, {input(dtype, sourceSize)}, {output(dtype, size + margin + r_.below(2))}, ints);
  }

  void gather() {
    const int64_t outer = smallDim(), axis = dim(), inner = dim(), count = smallDim();
    const DType dtype = anyType();
    b_.call(k_gather, {input(dtype, outer * axis * inner), input(kInt32, count)},
            {output(dtype, outer * count * inner)}, {outer, axis, inner, count});
  }
  void scatterAdd() {
    const int64_t outer = smallDim(), axis = smallDim(), inner = dim(), count = smallDim();
    b_.call(k_scatterAdd, {input(kFloat32, outer * count * inner), input(kInt32, count)},
            {output(kFloat32, outer * axis * inner)}, {outer, axis, inner, count});
  }
  void scatterRows() {
    const int64_t axis = smallDim(), inner = dim(), count = smallDim();
    const DType dtype = anyType();
    b_.call(k_scatterRows,
            {input(dtype, axis * inner), input(kInt32, count), input(dtype, count * inner)},
            {output(dtype, axis * inner)}, {axis, inner, count});
  }
  void softmax() {
    const int64_t rows = smallDim(), cols = dim();
    b_.call(k_softmax, {input(kFloat32, rows * cols)}, {output(kFloat32, rows * cols)},
            {rows, cols, flag()});
  }
  void softmaxCrossEntropy() { crossEntropy(false); }
  void sparseSoftmaxCrossEntropy() { crossEntropy(true); }
  void crossEntropy(bool sparse) {
    const int64_t rows = smallDim(), cols = dim();
    const int targets = sparse ? input(kInt32, rows) : input(kFloat32, rows * cols);
    b_.call(sparse ? k_sparseSoftmaxCrossEntropy : k_softmaxCrossEntropy,
            {input(kFloat32, rows * cols), targets},
            {output(kFloat32, rows), output(kFloat32, rows * cols)}, {rows, cols},
            {r_.pick({0.0, 0.1})});
  }
  void moments() {
    const int64_t outer = smallDim(), axis = dim(), inner = r_.chance(0.5) ? 1 : dim();
    b_.call(k_moments, {input(kFloat32, outer * axis * inner)},
            {output(kFloat32, outer * inner), output(kFloat32, outer * inner)},
            {outer, axis, inner});
  }
  void argReduce() {
    const int64_t outer = smallDim(), axis = 1 + r_.below(40), inner = r_.chance(0.5) ? 1 : dim();
    b_.call(k_argReduce, {input(r_.pick({kFloat32, kInt32}), outer * axis * inner)},
            {output(kInt32, outer * inner)}, {outer, axis, inner, flag()});
  }
  void topK() {
    const int64_t rows = smallDim(), cols = dim(), k = r_.below(cols + 1);
    b_.call(k_topK, {input(kFloat32, rows * cols)},
            {output(kFloat32, rows * k), output(kInt32, rows * k)}, {rows, cols, k});
  }
  void cumsum() {
    const int64_t outer = smallDim(), axis = dim(), inner = r_.chance(0.5) ? 1 : dim();
    const DType dtype = r_.pick({kFloat32, kInt32});
    const int64_t size = outer * axis * inner;
    b_.call(k_cumsum, {input(dtype, size)}, {output(dtype, size)},
            {outer, axis, inner, flag(), flag()});
  }
  void maxPool() { pooling(k_maxPool); }
  void maxPoolGradient() { pooling(k_maxPoolGradient); }
  void avgPool() { pooling(k_avgPool); }
  void avgPoolGradient() { pooling(k_avgPoolGradient); }
  void pooling(KernelId kernel) {
    const int64_t n = smallDim(), channels = dim();
    Dims size, window, stride, pad, windows;
    for (int axis = 0; axis < 2; axis++) {
      size.push_back(1 + r_.below(12));
      window.push_back(1 + r_.below(r_.chance(0.1) ? 20 : 4));
      stride.push_back(1 + r_.below(3));
      pad.push_back(r_.below(window[axis]));
      windows.push_back(r_.below((size[axis] - 1 + pad[axis]) / stride[axis] + 2));
    }
    std::vector<int64_t> ints = {n, size[0], size[1], channels};
    for (const Dims* part : {&window, &stride, &pad, &windows})
      ints.insert(ints.end(), part->begin(), part->end());
    const int64_t inside = n * size[0] * size[1] * channels;
    const int64_t outside = n * windows[0] * windows[1] * channels;
    const DType index = window[0] * window[1] <= 256 ? kUint8 : kInt32;
    if (kernel == k_maxPool) {
      std::vector<int> outputs = {output(kFloat32, outside)};
      if (r_.chance(0.7)) outputs.push_back(output(index, outside));
      b_.call(kernel, {input(kFloat32, inside)}, outputs, ints);
    } else if (kernel == k_maxPoolGradient) {
      b_.call(kernel, {input(kFloat32, outside), input(index, outside)}, {output(kFloat32, inside)},
              ints);
    } else {
      const bool back = kernel == k_avgPoolGradient;
      b_.call(kernel, {input(kFloat32, back ? outside : inside)},
              {output(kFloat32, back ? inside : outside)}, ints);
    }
  }
  void transformImages() { transform(false); }
  void transformImagesGradient() { transform(true); }
  void transform(bool back) {
    const int64_t n = smallDim(), channels = dim();
    const int64_t h = r_.below(9), w = r_.below(9), oh = r_.below(9), ow = r_.below(9);
    const int64_t transforms = r_.chance(0.5) ? 1 : n;
    const int64_t inside = n * h * w * channels, outside = n * oh * ow * channels;
    b_.call(back ? k_transformImagesGradient : k_transformImages,
            {input(kFloat32, back ? outside : inside), input(kFloat32, transforms * 8)},
            {output(kFloat32, back ? inside : outside)},
            {n, h, w, channels, oh, ow, transforms, flag(), r_.below(4)},
            back ? std::vector<double>{} : std::vector<double>{0.5});
  }

  // Shapes that take every way through the recurrent kernels: threads that share rows or blocks of units,
  // weights packed or not, products in several blocks.
  struct Sequences {
    int64_t batch, time, units, cell;
    bool lstm() const { return cell == 4; }
    int64_t gates() const { return lstm() ? 4 : cell > 4 ? 3 : 1; }
    int64_t narrow() const { return batch * time * units; }
    int64_t wide() const { return narrow() * gates(); }
    int64_t state() const { return batch * units; }
    int64_t weights() const { return units * gates() * units; }
  };
  Sequences sequences() {
    Sequences s = {r_.chance(0.8) ? smallDim() : r_.pick<int64_t>({8, 16, 17, 24, 49, 60}),
                   r_.chance(0.05) ? 0 : 1 + r_.below(9), 1 + r_.below(9), r_.below(7)};
    if (r_.chance(0.4)) s.units = r_.pick<int64_t>({0, 15, 16, 17, 31, 33, 48, 64, 65, 100});
    // In memory that the fuzzer allows, long rows fit weights of few gates only.
    if (r_.chance(0.1)) s.units = s.gates() == 1 ? r_.pick<int64_t>({255, 256, 257, 289, 300}) : 130;
    return s;
  }
  // Operands that a call may have: each is there if its flag is, which becomes an attribute.
  void optional(std::vector<int64_t>& ints, std::vector<int>& inputs, bool possible,
                std::initializer_list<int64_t> sizes) {
    const bool present = possible && flag();
    ints.push_back(present);
    for (int64_t size : sizes) {
      if (present) inputs.push_back(input(kFloat32, size));
    }
  }
  void optionalLengths(std::vector<int64_t>& ints, std::vector<int>& inputs, const Sequences& s) {
    ints.push_back(flag());
    if (ints.back()) inputs.push_back(numbers(s.batch, s.time));
  }
  // Some of the results that `allowed` has bits of, at least one.
  std::vector<int> wantedOutputs(int64_t wanted, const std::vector<int64_t>& sizes) {
    std::vector<int> outputs;
    for (size_t bit = 0; bit < sizes.size(); bit++) {
      if (wanted >> bit & 1) outputs.push_back(output(kFloat32, sizes[bit]));
    }
    return outputs;
  }
  int64_t anyOf(int64_t allowed) {
    const int64_t wanted = r_.chance(0.4) ? allowed : (int64_t)r_.bits() & allowed;
    return wanted ? wanted : allowed;
  }
  void recurrent() {
    const Sequences s = sequences();
    const int64_t wanted = anyOf(s.lstm() ? 0x7f : s.gates() == 3 ? 0x1f : 0x0f);
    std::vector<int64_t> ints = {s.batch, s.time, s.units, s.cell, wanted, flag()};
    std::vector<int> inputs = {input(kFloat32, s.wide()), input(kFloat32, s.weights())};
    optional(ints, inputs, true, {s.gates() * s.units});
    optional(ints, inputs, s.cell == 6, {s.gates() * s.units});
    if (s.lstm()) optional(ints, inputs, true, {s.state(), s.state()});
    else optional(ints, inputs, true, {s.state()});
    optional(ints, inputs, s.lstm(), {3 * s.units});
    optional(ints, inputs, true, {s.state()});
    optionalLengths(ints, inputs, s);
    const std::vector<int64_t> sizes = {s.narrow(), s.state(), s.wide(),  s.narrow(),
                                        s.narrow(), s.state(), s.narrow()};
    b_.call(k_recurrent, inputs, wantedOutputs(wanted, sizes), ints);
  }
  void recurrentGradient() {
    const Sequences s = sequences();
    const int64_t wanted = anyOf(s.lstm() ? 0xd : s.cell == 6 ? 0x7 : 0x5);
    std::vector<int64_t> ints = {s.batch, s.time, s.units, s.cell, wanted, flag()};
    std::vector<int> inputs = {input(kFloat32, s.weights()), input(kFloat32, s.wide())};
    const int narrow = (s.gates() == 3) + (s.gates() > 1) + s.lstm();  // previous, inner, previousCells
    for (int i = 0; i < narrow; i++) inputs.push_back(input(kFloat32, s.narrow()));
    optional(ints, inputs, s.lstm(), {3 * s.units});
    optional(ints, inputs, true, {s.state()});
    optionalLengths(ints, inputs, s);
    optional(ints, inputs, true, {s.narrow()});
    optional(ints, inputs, true, {s.state()});
    optional(ints, inputs, s.lstm(), {s.state()});
    b_.call(k_recurrentGradient, inputs,
            wantedOutputs(wanted, {s.wide(), s.wide(), s.state(), s.state()}), ints);
  }
  void sequenceProduct() {
    const int64_t batch = smallDim(), time = r_.below(20), inputs = dim(), units = dim();
    b_.call(k_sequenceProduct,
            {input(kFloat32, batch * time * inputs), input(kFloat32, inputs * units), numbers(batch, time)},
            {output(kFloat32, batch * time * units)}, {batch, time, inputs, units, flag()});
  }
  void sequenceOuter() {
    const int64_t batch = smallDim(), time = r_.below(100), rows = dim(), columns = dim();
    b_.call(k_sequenceOuter,
            {input(kFloat32, batch * time * rows), input(kFloat32, batch * time * columns),
             numbers(batch, time)},
            {output(kFloat32, rows * columns)}, {batch, time, rows, columns});
  }

  bool flagged_ = false;
};

float someFloat(Random& random) {
  if (random.chance(0.01)) {
    return random.pick({std::numeric_limits<float>::quiet_NaN(), -0.0f, 1e-40f, 3e38f,
                        std::numeric_limits<float>::infinity(),
                        -std::numeric_limits<float>::infinity()});
  }
  return random.between(-2, 2);
}

}  // namespace

Encoded randomProgram(Random& random) { return Generator(random).make(); }

std::vector<Bytes> randomBindings(const Program& program, Random& random) {
  std::vector<Bytes> bindings;
  for (const ProgramBinding& binding : program.bindings()) {
    Bytes bytes((size_t)(binding.size * binding.elementBytes()));
    // Indices beyond a small axis are data errors; let most Programs run to their end.
    const int64_t most = random.chance(0.2) ? 40 : 1 + random.below(3);
    for (int64_t i = 0; i < binding.size; i++) {
      if (binding.dtype == kFloat32) {
        const float value = someFloat(random);
        memcpy(bytes.data() + 4 * i, &value, 4);
      } else if (binding.dtype == kInt32) {
        const int32_t value =
            random.chance(0.001) ? (int32_t)random.bits() : (int32_t)random.below(most);
        memcpy(bytes.data() + 4 * i, &value, 4);
      } else {
        bytes[(size_t)i] = (uint8_t)random.below(binding.dtype == kBool ? 2 : 256);
      }
    }
    bindings.push_back(std::move(bytes));
  }
  return bindings;
}

}  // namespace layerwise::test
