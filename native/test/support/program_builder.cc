#include "program_builder.h"

#include <algorithm>

namespace layerwise::test {
namespace {

int64_t roundUp64(int64_t bytes) { return (bytes + 63) / 64 * 64; }

void append(std::vector<int32_t>& words, const std::vector<int>& ids) {
  words.push_back((int32_t)ids.size());
  words.insert(words.end(), ids.begin(), ids.end());
}

}  // namespace

int64_t sizeOf(const Dims& dims) {
  int64_t size = 1;
  for (int64_t dim : dims) size *= dim;
  return size;
}

int64_t bytesPerElement(DType dtype) { return dtype == kUint8 || dtype == kBool ? 1 : 4; }

Dims contiguous(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (size_t d = dims.size(); d-- > 1;) strides[d - 1] = strides[d] * dims[d];
  return strides;
}

int ProgramBuilder::tensor(DType dtype, Place place, int64_t value, const Dims& dims) {
  tensors_.insert(tensors_.end(), {dtype, (int32_t)place, (int32_t)value, (int32_t)(value >> 32),
                                   (int32_t)dims.size()});
  for (int64_t dim : dims) tensors_.push_back((int32_t)dim);
  bindingOf_.push_back(place == Place::kBinding ? (int)value : -1);
  return tensorCount_++;
}

int ProgramBuilder::bind(DType dtype, const Dims& dims, Access access) {
  bindings_.insert(bindings_.end(), {dtype, (int32_t)sizeOf(dims), (int32_t)access});
  return tensor(dtype, Place::kBinding, bindingCount_++, dims);
}

int ProgramBuilder::arena(DType dtype, const Dims& dims) {
  const int64_t at = arenaBytes_;
  arenaBytes_ += roundUp64(sizeOf(dims) * bytesPerElement(dtype));
  return tensor(dtype, Place::kArena, at, dims);
}

int ProgramBuilder::constant(DType dtype, const Dims& dims, const Bytes& data) {
  const int64_t at = roundUp64((int64_t)constants_.size());
  constants_.resize((size_t)at);
  constants_.insert(constants_.end(), data.begin(), data.end());
  return tensor(dtype, Place::kConstant, at, dims);
}

void ProgramBuilder::call(KernelId kernel, const std::vector<int>& inputs,
                          const std::vector<int>& outputs, const std::vector<int64_t>& ints,
                          const std::vector<double>& floats, const Tile* tile) {
  std::vector<double> own = floats;
  std::vector<int32_t> encoded;
  if (tile) {
    int registers = (int)tile->strides.size();
    encoded.push_back((int32_t)tile->dims.size());
    for (int64_t dim : tile->dims) encoded.push_back((int32_t)dim);
    encoded.push_back((int32_t)tile->strides.size());
    for (const Dims& row : tile->strides) {
      for (int64_t stride : row) encoded.push_back((int32_t)stride);
    }
    for (const Instruction& i : tile->instructions) registers = std::max(registers, i.dst + 1);
    encoded.push_back(registers);
    encoded.push_back((int32_t)tile->instructions.size());
    for (const Instruction& i : tile->instructions) {
      int32_t args[3] = {-1, -1, -1};
      for (size_t a = 0; a < i.args.size(); a++) args[a] = i.args[a];
      if (!i.constants.empty()) args[i.op == i_philox || i.op == i_philoxBelow ? 2 : 0] = (int32_t)own.size();
      own.insert(own.end(), i.constants.begin(), i.constants.end());
      encoded.insert(encoded.end(), {i.op, i.dst, args[0], args[1], args[2]});
    }
    append(encoded, tile->results);
  }
  if (hasEpilogue(kernel) && inputs.size() > 1) secondOperands_.push_back(inputs[1]);
  calls_.push_back(kernel);
  append(calls_, inputs);
  append(calls_, outputs);
  calls_.push_back((int32_t)ints.size());
  for (int64_t value : ints) calls_.push_back((int32_t)value);
  calls_.push_back((int32_t)own.size());
  calls_.push_back(tile ? 1 : 0);
  calls_.insert(calls_.end(), encoded.begin(), encoded.end());
  floats_.insert(floats_.end(), own.begin(), own.end());
  callCount_++;
}

bool ProgramBuilder::letOperandsLast() {
  bool any = false;
  for (int tensor : secondOperands_) {
    const int binding = bindingOf_[(size_t)tensor];
    if (binding < 0 || bindings_[3 * (size_t)binding + 2] != (int32_t)Access::kRead) continue;
    bindings_[3 * (size_t)binding + 2] = (int32_t)Access::kLasts;
    any = true;
  }
  if (any) bind(kInt32, {1}, Access::kStamp);
  return any;
}

Encoded ProgramBuilder::encode() const {
  constexpr int32_t kMagic = 0x4c575031, kVersion = 1;
  std::vector<int32_t> words = {kMagic,
                                kVersion,
                                tensorCount_,
                                bindingCount_,
                                callCount_,
                                (int32_t)arenaBytes_,
                                (int32_t)(arenaBytes_ >> 32)};
  for (const auto* part : {&tensors_, &bindings_, &calls_}) {
    words.insert(words.end(), part->begin(), part->end());
  }
  return {words, floats_, constants_};
}

std::shared_ptr<Program> load(const KernelTable* table, const Encoded& encoded,
                              std::string* error) {
  return Program::load(table, encoded.words.data(), encoded.words.size(), encoded.floats.data(),
                       encoded.floats.size(), encoded.constants.data(), encoded.constants.size(),
                       error);
}

}  // namespace layerwise::test
