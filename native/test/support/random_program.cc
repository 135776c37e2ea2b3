#include "random_program.h"

#include <string.h>

#include <limits>

namespace layerwise::test {
namespace {

struct InstructionRow {
  InstructionId id;
  const char* lanes;  // as in elementwise.def: "F_FF"
};
constexpr InstructionRow kRows[] = {
#define INSTRUCTION(name, lanes, expression) {i_##name, #lanes},
#include "../../elementwise.def"
#undef INSTRUCTION
};

bool isFloat(DType dtype) { return dtype == kFloat32; }

class Generator {
 public:
  explicit Generator(Random& random) : r_(random) {}

  Encoded make() {
    const int64_t calls = 1 + (r_.chance(0.6) ? 0 : r_.below(5));
    for (int64_t c = 0; c < calls; c++) one((KernelId)r_.below(kKernelCount));
    return b_.encode();
  }

 private:
  struct Tensor {
    int id;
    DType dtype;
    int64_t size;
    bool writable;
  };

  // Mostly small, at and around the widths of vectors and tiles; sometimes empty.
  int64_t dim() {
    if (r_.chance(0.04)) return 0;
    if (r_.chance(0.6)) return 1 + r_.below(9);
    if (r_.chance(0.8)) return r_.pick<int64_t>({15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100});
    return r_.pick<int64_t>({127, 255, 256, 257, 300, 511, 512, 513, 530});
  }
  int64_t smallDim() { return r_.chance(0.05) ? 0 : 1 + r_.below(6); }
  DType anyType() { return (DType)r_.below(4); }
  int64_t flag() { return r_.below(2); }

  int input(DType dtype, int64_t size) {
    if (r_.chance(0.5)) {
      for (const Tensor& t : have_) {
        if (t.dtype == dtype && t.size == size && r_.chance(0.7)) return t.id;
      }
    }
    const bool readOnly = r_.chance(0.5);
    int id;
    if (r_.chance(0.1)) {
      Bytes data((size_t)(size * bytesPerElement(dtype)));
      for (uint8_t& byte : data) byte = isFloat(dtype) ? 0x3e : (uint8_t)r_.below(2);
      id = b_.constant(dtype, {size}, data);
    } else if (r_.chance(0.1)) {
      id = b_.arena(dtype, {size});
    } else {
      id = b_.bind(dtype, {size}, readOnly ? Access::kRead : Access::kReadWrite);
    }
    have_.push_back({id, dtype, size, !readOnly});
    return id;
  }
  int output(DType dtype, int64_t size) {
    const int id = r_.chance(0.3) ? b_.arena(dtype, {size}) : b_.bind(dtype, {size});
    have_.push_back({id, dtype, size, true});
    return id;
  }

  void one(KernelId kernel) {
    switch (kernel) {
      case k_map: return map();
      case k_reduce: return reduce();
      case k_gemm: return gemm();
      case k_copy: return copy();
      case k_gather: return gather();
      case k_scatterAdd: return scatterAdd();
      case k_scatterRows: return scatterRows();
      case k_softmax: return softmax();
      case k_softmaxCrossEntropy: return crossEntropy(false);
      case k_sparseSoftmaxCrossEntropy: return crossEntropy(true);
      case k_moments: return moments();
      case k_argReduce: return argReduce();
      case k_topK: return topK();
      case k_cumsum: return cumsum();
      case k_conv2d:
      case k_conv2dInputGradient:
      case k_conv2dFilterGradient: return convolution(kernel);
      case k_maxPool: return pooling(k_maxPool);
      case k_maxPoolGradient: return pooling(k_maxPoolGradient);
      case k_avgPool: return pooling(k_avgPool);
      case k_avgPoolGradient: return pooling(k_avgPoolGradient);
      case k_transformImages: return transform(false);
      case k_transformImagesGradient: return transform(true);
      default: return;
    }
  }

  struct Tiled {
    Tile tile;
    std::vector<int> inputs;   // tensors; of an epilogue: without C
    std::vector<DType> lanes;  // by register: kFloat32 or kInt32
    Dims identity;
  };

  // Inputs of a tile over `dims`; with `block`, register 0 is a product's C.
  Tiled tileInputs(const Dims& dims, bool block) {
    Tiled t;
    t.tile.dims = dims;
    t.identity = contiguous(dims);
    if (block) {
      t.tile.strides.push_back(t.identity);
      t.lanes.push_back(kFloat32);
    }
    const int64_t inputs = r_.below(4) + (block ? 0 : 1);
    for (int64_t i = 0; i < inputs; i++) {
      const DType dtype = r_.chance(0.6) ? kFloat32 : anyType();
      Dims strides = t.identity;
      if (r_.chance(0.5)) {
        // Broadcast along some dimensions, or anything, with gaps.
        const bool gaps = r_.chance(0.3);
        int64_t stride = 1;
        for (size_t d = dims.size(); d-- > 0;) {
          if (r_.chance(0.4)) {
            strides[d] = 0;
          } else {
            strides[d] = stride;
            stride *= dims[d] + (gaps ? r_.below(3) : 0);
          }
        }
      }
      int64_t extent = 1;
      for (size_t d = 0; d < dims.size(); d++) extent += (dims[d] - 1) * strides[d];
      for (int64_t dim : dims) extent = dim == 0 ? 0 : extent;
      t.inputs.push_back(input(dtype, extent));
      t.tile.strides.push_back(strides);
      t.lanes.push_back(isFloat(dtype) ? kFloat32 : kInt32);
    }
    return t;
  }

  int anyRegister(const Tiled& t, DType lane) {
    const int64_t start = r_.below((int64_t)t.lanes.size() + 1);
    for (size_t k = 0; k < t.lanes.size(); k++) {
      const size_t reg = ((size_t)start + k) % t.lanes.size();
      if (t.lanes[reg] == lane) return (int)reg;
    }
    return -1;
  }

  void instructions(Tiled& t) {
    const int64_t count = r_.below(8);
    const size_t inputs = t.tile.strides.size();
    for (int64_t n = 0; n < count; n++) {
      const InstructionRow& row = kRows[r_.below(kInstructionCount)];
      Instruction instruction{row.id, (int)t.lanes.size(), {}, {}};
      const char* wanted = row.lanes + 2;
      DType any = r_.chance(0.5) ? kFloat32 : kInt32;
      if (*wanted == 'P' || *wanted == 'T') continue;  // seeds are uniform inputs: see philox()
      if (*wanted == 'K') {
        instruction.constants = {row.id == i_constFloat ? r_.uniform() : (double)r_.below(9)};
      } else {
        bool all = true;
        for (const char* w = wanted; *w; w++) {
          const int reg = anyRegister(t, *w == 'F' ? kFloat32 : *w == 'I' ? kInt32 : any);
          all = all && reg >= 0;
          instruction.args.push_back(reg);
        }
        if (!all) continue;
      }
      const DType result = row.lanes[0] == 'F' ? kFloat32 : row.lanes[0] == 'X' ? any : kInt32;
      // Sometimes over a register that holds something already.
      const size_t reg = r_.chance(0.2) ? inputs + (size_t)r_.below(8) : t.lanes.size();
      if (reg < t.lanes.size()) {
        instruction.dst = (int)reg;
        t.lanes[reg] = result;
      } else {
        t.lanes.push_back(result);
      }
      t.tile.instructions.push_back(instruction);
    }
    if (r_.chance(0.15)) philox(t);
  }

  void philox(Tiled& t) {
    t.lanes.push_back(kInt32);
    const int seed = (int)t.lanes.size() - 1;
    t.tile.instructions.push_back({i_constInt, seed, {}, {(double)r_.below(1000)}});
    t.lanes.push_back(kInt32);
    if (r_.chance(0.5)) {
      t.tile.instructions.push_back({i_philox, seed + 1, {seed, seed}, {7, 9}});
      t.lanes.push_back(kFloat32);
      t.tile.instructions.push_back({i_bitsToUniform, seed + 2, {seed + 1}, {}});
      return;
    }
    const double threshold = r_.pick({0.0, 65535.0, 3e9, 4294967295.0});
    t.tile.instructions.push_back({i_philoxBelow, seed + 1, {seed, seed}, {7, 9, threshold}});
    // What dropout makes of it: x·scale or 0.
    const int x = anyRegister(t, kFloat32);
    if (x < 0) return;
    t.lanes.insert(t.lanes.end(), 3, kFloat32);
    t.tile.instructions.push_back({i_constFloat, seed + 2, {}, {0}});
    t.tile.instructions.push_back({i_mul, seed + 3, {x, x}, {}});
    t.tile.instructions.push_back({i_select, seed + 4, {seed + 1, seed + 3, seed + 2}, {}});
  }

  // A register for a result and a dtype it can be stored as.
  DType result(Tiled& t, bool wide) {
    const int reg =
        (int)t.lanes.size() - 1 - (int)r_.below(r_.chance(0.7) ? 1 : (int64_t)t.lanes.size());
    t.tile.results.push_back(reg);
    if (t.lanes[(size_t)reg] == kFloat32) return kFloat32;
    return wide ? kInt32 : r_.pick({kInt32, kUint8, kBool});
  }

  // Outputs of a map or gemm tile, now and then on one of its inputs.
  std::vector<int> tileOutputs(Tiled& t, int64_t size) {
    std::vector<int> outputs;
    const int64_t results = 1 + (r_.chance(0.7) ? 0 : r_.below(3));
    const size_t first = t.tile.strides.size() - t.inputs.size();
    for (int64_t n = 0; n < results; n++) {
      const DType dtype = result(t, false);
      int id = -1;
      for (size_t i = 0; i < t.inputs.size() && r_.chance(0.4); i++) {
        if (t.tile.strides[first + i] != t.identity) continue;
        int users = 0;
        for (int other : t.inputs) users += other == t.inputs[i];
        for (int other : outputs) users += other == t.inputs[i];
        for (const Tensor& tensor : have_) {
          if (tensor.id == t.inputs[i] && tensor.writable && users == 1 && tensor.size == size &&
              tensor.dtype == dtype) {
            id = tensor.id;
          }
        }
      }
      outputs.push_back(id >= 0 ? id : output(dtype, size));
    }
    return outputs;
  }

  void map() {
    Dims dims;
    const int64_t rank = r_.below(4);
    for (int64_t d = 0; d < rank; d++) dims.push_back(d == rank - 1 ? dim() : smallDim());
    Tiled t = tileInputs(dims, false);
    instructions(t);
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

  void convolution(KernelId kernel) {
    const bool winograd = r_.chance(0.3);  // where its shapes are likely
    const auto side = [&] { return r_.chance(0.05) ? 0 : 1 + r_.below(winograd ? 30 : 16); };
    const int64_t groups = !winograd && r_.chance(0.4) ? 1 + r_.below(5) : 1;
    const auto depth = [&] { return winograd ? 16 + r_.below(40) : smallDim() * r_.pick<int64_t>({1, 1, 3}); };
    const int64_t batch = r_.below(4), height = side(), width = side();
    int64_t channels = groups * depth(), filters = groups * depth();
    const bool apart = r_.chance(0.2) && channels > 0;  // every channel a group
    if (apart) filters = channels;
    const auto few = [&](int64_t most) { return winograd || r_.chance(0.5) ? 1 : 1 + r_.below(most); };
    const int64_t taps[] = {winograd ? 3 : 1 + r_.below(4), winograd ? 3 : 1 + r_.below(4)};
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

  Random& r_;
  ProgramBuilder b_;
  std::vector<Tensor> have_;
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
