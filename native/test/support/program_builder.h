// Hand-made Programs: an encoder that does what docs/program.md says and nothing else.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../../program.h"

namespace layerwise::test {

using Bytes = std::vector<uint8_t>;
using Dims = std::vector<int64_t>;

template <class T>
Bytes bytesOf(const std::vector<T>& values) {
  const auto* p = reinterpret_cast<const uint8_t*>(values.data());
  return Bytes(p, p + values.size() * sizeof(T));
}

struct Instruction {
  InstructionId op;
  int dst;
  std::vector<int> args{};
  std::vector<double> constants{};
};

struct Tile {
  Dims dims;
  std::vector<Dims> strides;  // one row per tile input; gemm: row 0 belongs to C
  std::vector<Instruction> instructions;
  std::vector<int> results;
};

// What Program::load takes.
struct Encoded {
  std::vector<int32_t> words;
  std::vector<double> floats;
  Bytes constants;
};

int64_t sizeOf(const Dims& dims);
int64_t bytesPerElement(DType dtype);
// Strides of a contiguous row-major domain.
Dims contiguous(const Dims& dims);

class ProgramBuilder {
 public:
  // Tensors; each gives the tensor's id. Bindings are numbered in the order in which they are made.
  int bind(DType dtype, const Dims& dims, Access access = Access::kReadWrite);
  int arena(DType dtype, const Dims& dims);
  int constant(DType dtype, const Dims& dims, const Bytes& data);

  void call(KernelId kernel, const std::vector<int>& inputs, const std::vector<int>& outputs,
            const std::vector<int64_t>& ints = {}, const std::vector<double>& floats = {},
            const Tile* tile = nullptr);

  // Lets every read-only binding that is the second operand of a product last, and adds a stamp, the last binding.
  // False, with nothing done, if there is none.
  bool letOperandsLast();

  Encoded encode() const;

 private:
  int tensor(DType dtype, Place place, int64_t value, const Dims& dims);

  std::vector<int32_t> tensors_, bindings_, calls_;
  std::vector<int> bindingOf_;      // by tensor, −1 for none
  std::vector<int> secondOperands_;  // tensors
  int tensorCount_ = 0, bindingCount_ = 0, callCount_ = 0;
  int64_t arenaBytes_ = 0;
  std::vector<double> floats_;
  Bytes constants_;
};

std::shared_ptr<Program> load(const KernelTable* table, const Encoded& encoded, std::string* error);

}  // namespace layerwise::test
