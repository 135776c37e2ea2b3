// What calls of random Programs are made of: operands in all places and of awkward sizes, and tile
// programs over them.
#pragma once

#include "program_builder.h"
#include "random.h"

namespace layerwise::test {

class RandomTiles {
 protected:
  explicit RandomTiles(Random& random) : r_(random) {}

  // Mostly small, at and around the widths of vectors and tiles; sometimes empty.
  int64_t dim();
  int64_t smallDim() { return r_.chance(0.05) ? 0 : 1 + r_.below(6); }
  DType anyType() { return (DType)r_.below(4); }
  int64_t flag() { return r_.below(2); }

  // A tensor: one that the Program has already, or a new one.
  int input(DType dtype, int64_t size);
  int output(DType dtype, int64_t size);
  // `count` integers from 0 to `most`.
  int numbers(int64_t count, int64_t most);

  struct Tiled {
    Tile tile;
    std::vector<int> inputs;   // tensors; of an epilogue: without C
    std::vector<DType> lanes;  // by register: kFloat32 or kInt32
    Dims identity;
  };
  // Inputs of a tile over `dims`; with `block`, register 0 is a product's C.
  Tiled tileInputs(const Dims& dims, bool block);
  void instructions(Tiled& t);
  // Instructions that draw, and drop by what is drawn.
  void randomBits(Tiled& t);
  // A register for a result and a dtype it can be stored as.
  DType result(Tiled& t, bool wide);
  // Outputs of a map or an epilogue, now and then on one of its inputs.
  std::vector<int> tileOutputs(Tiled& t, int64_t size);

  Random& r_;
  ProgramBuilder b_;

 private:
  struct Tensor {
    int id;
    DType dtype;
    int64_t size;
    bool writable;
  };
  int anyRegister(const Tiled& t, DType lane);
  // An int32 register that is the same for all lanes.
  int seed(Tiled& t);

  std::vector<Tensor> have_;
};

}  // namespace layerwise::test
