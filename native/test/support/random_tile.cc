#include "random_tile.h"

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

}  // namespace

int64_t RandomTiles::dim() {
  if (r_.chance(0.04)) return 0;
  if (r_.chance(0.6)) return 1 + r_.below(9);
  if (r_.chance(0.8)) return r_.pick<int64_t>({15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100});
  return r_.pick<int64_t>({127, 255, 256, 257, 300, 511, 512, 513, 530});
}

int RandomTiles::input(DType dtype, int64_t size) {
  if (r_.chance(0.5)) {
    for (const Tensor& t : have_) {
      if (t.dtype == dtype && t.size == size && r_.chance(0.7)) return t.id;
    }
  }
  const bool readOnly = r_.chance(0.5);
  int id;
  if (r_.chance(0.1)) {
    const int64_t width = bytesPerElement(dtype);
    Bytes data((size_t)(size * width));
    // Floats around 0.2; integers 0 or 1.
    for (size_t i = 0; i < data.size(); i++) {
      data[i] = isFloat(dtype) ? 0x3e : i % (size_t)width ? 0 : (uint8_t)r_.below(2);
    }
    id = b_.constant(dtype, {size}, data);
  } else if (r_.chance(0.1)) {
    id = b_.arena(dtype, {size});
  } else {
    id = b_.bind(dtype, {size}, readOnly ? Access::kRead : Access::kReadWrite);
  }
  have_.push_back({id, dtype, size, !readOnly});
  return id;
}

int RandomTiles::output(DType dtype, int64_t size) {
  const int id = r_.chance(0.3) ? b_.arena(dtype, {size}) : b_.bind(dtype, {size});
  have_.push_back({id, dtype, size, true});
  return id;
}

int RandomTiles::numbers(int64_t count, int64_t most) {
  if (r_.chance(0.3)) return input(kInt32, count);
  return b_.constant(kInt32, {count}, bytesOf(r_.ints(count, 0, most + 1)));
}

RandomTiles::Tiled RandomTiles::tileInputs(const Dims& dims, bool block) {
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

int RandomTiles::anyRegister(const Tiled& t, DType lane) {
  const int64_t start = r_.below((int64_t)t.lanes.size() + 1);
  for (size_t k = 0; k < t.lanes.size(); k++) {
    const size_t reg = ((size_t)start + k) % t.lanes.size();
    if (t.lanes[reg] == lane) return (int)reg;
  }
  return -1;
}

void RandomTiles::instructions(Tiled& t) {
  const int64_t count = r_.below(8);
  const size_t inputs = t.tile.strides.size();
  for (int64_t n = 0; n < count; n++) {
    const InstructionRow& row = kRows[r_.below(kInstructionCount)];
    Instruction instruction{row.id, (int)t.lanes.size(), {}, {}};
    const char* wanted = row.lanes + 2;
    DType any = r_.chance(0.5) ? kFloat32 : kInt32;
    if (*wanted == 'P' || *wanted == 'T') continue;  // see randomBits
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
  if (r_.chance(0.15)) randomBits(t);
}

int RandomTiles::seed(Tiled& t) {
  const bool block = t.tile.strides.size() > t.inputs.size();
  for (size_t i = block ? 1 : 0; i < t.tile.strides.size() && r_.chance(0.8); i++) {
    const Dims& strides = t.tile.strides[i];
    const bool uniform = strides == Dims(strides.size(), 0);
    if (uniform && t.lanes[i] == kInt32) return (int)i;
  }
  t.lanes.push_back(kInt32);
  const int reg = (int)t.lanes.size() - 1;
  t.tile.instructions.push_back({i_constInt, reg, {}, {(double)r_.below(1000)}});
  return reg;
}

void RandomTiles::randomBits(Tiled& t) {
  const int key = seed(t), step = seed(t);
  const auto word = [&] {
    return r_.chance(0.5) ? (double)r_.below(int64_t{1} << 32) : r_.pick({0.0, 65535.0, 4294967295.0});
  };
  const int bits = (int)t.lanes.size();
  t.lanes.push_back(kInt32);
  if (r_.chance(0.5)) {
    t.lanes.push_back(kFloat32);
    t.tile.instructions.push_back({i_philox, bits, {key, step}, {word(), word()}});
    t.tile.instructions.push_back({i_bitsToUniform, bits + 1, {bits}, {}});
    return;
  }
  t.tile.instructions.push_back({i_philoxBelow, bits, {key, step}, {word(), word(), word()}});
  // What dropout makes of it: x·scale or 0.
  const int x = anyRegister(t, kFloat32);
  if (x < 0) return;
  t.lanes.insert(t.lanes.end(), 4, kFloat32);
  t.tile.instructions.push_back({i_constFloat, bits + 1, {}, {0}});
  t.tile.instructions.push_back({i_constFloat, bits + 2, {}, {1.25}});
  t.tile.instructions.push_back({i_mul, bits + 3, {x, r_.chance(0.7) ? bits + 2 : x}, {}});
  t.tile.instructions.push_back({i_select, bits + 4, {bits, bits + 3, bits + 1}, {}});
}

DType RandomTiles::result(Tiled& t, bool wide) {
  const int reg =
      (int)t.lanes.size() - 1 - (int)r_.below(r_.chance(0.7) ? 1 : (int64_t)t.lanes.size());
  t.tile.results.push_back(reg);
  if (t.lanes[(size_t)reg] == kFloat32) return kFloat32;
  return wide ? kInt32 : r_.pick({kInt32, kUint8, kBool});
}

std::vector<int> RandomTiles::tileOutputs(Tiled& t, int64_t size) {
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

}  // namespace layerwise::test
