// Chains of instructions: the bits of the instructions one by one, in place, at every length, and around the caches.
#include <algorithm>
#include <cmath>
#include <functional>

#include "../chains.h"
#include "../cpu.h"
#include "support/random.h"
#include "support/reference.h"

using namespace layerwise;
using namespace layerwise::test;

namespace {

LAYERWISE_KERNEL_SUITE(ChainTest);

constexpr int kUpdates = 5;  // chains of optimizers; the others are of layers

// One instruction on one lane, rounded by itself.
float valueOf(const Instruction& step, const float args[3]) {
  const volatile float a = args[0], b = args[1];
  volatile float y = 0;
  switch (step.op) {
    case i_add: y = a + b; break;
    case i_sub: y = a - b; break;
    case i_mul: y = a * b; break;
    case i_div: y = a / b; break;
    case i_square: y = a * a; break;
    case i_sqrt: y = std::sqrt(a); break;
    case i_rsqrt: { const volatile float root = std::sqrt(a); y = 1 / root; break; }
    case i_relu: y = a < 0 ? 0 : a; break;
    case i_less: y = a < b; break;
    case i_select: y = a != 0 ? b : args[2]; break;
    case i_constFloat: y = (float)step.constants[0]; break;
    default: ADD_FAILURE() << "no reference for " << instructionName(step.op);
  }
  return y;
}

// Chains give the bits of their instructions one by one, in place and at every length.
struct Update {
  const char* name;
  int inputs;
  std::vector<int> scalars;    // inputs with one element
  std::vector<Instruction> steps;
  std::vector<int> results;    // registers
  std::vector<int> states;     // the inputs that they are written over
};

TEST_P(ChainTest, UpdatesLikeInstructions) {
  // Register 0 is the gradient, those after it as named.
  const std::vector<Update> updates = {
      // v, rate, w, μ
      {"momentum", 5, {2, 4}, {{i_mul, 5, {0, 2}}, {i_mul, 6, {1, 4}}, {i_sub, 6, {6, 5}}, {i_add, 7, {3, 6}}},
       {6, 7}, {1, 3}},
      {"nesterov", 5, {2, 4}, {{i_mul, 5, {0, 2}}, {i_mul, 6, {1, 4}}, {i_sub, 6, {6, 5}}, {i_mul, 7, {6, 4}},
       {i_sub, 7, {7, 5}}, {i_add, 8, {3, 7}}}, {6, 8}, {1, 3}},
      // s, 1 − ρ, ε, rate, w
      {"rmsprop", 6, {2, 3, 4}, {{i_square, 6, {0}}, {i_sub, 6, {6, 1}}, {i_mul, 6, {6, 2}}, {i_add, 7, {6, 1}},
       {i_add, 8, {7, 3}}, {i_rsqrt, 8, {8}}, {i_mul, 9, {0, 4}}, {i_mul, 9, {9, 8}}, {i_sub, 9, {5, 9}}},
       {7, 9}, {1, 5}},
      // m, 1 − β₁, v, 1 − β₂, ε, rate, w
      {"adam", 8, {2, 4, 5, 6}, {{i_sub, 8, {0, 1}}, {i_mul, 8, {8, 2}}, {i_add, 8, {1, 8}}, {i_square, 9, {0}},
       {i_sub, 9, {9, 3}}, {i_mul, 9, {9, 4}}, {i_add, 9, {9, 3}}, {i_sqrt, 10, {9}}, {i_add, 10, {10, 5}},
       {i_mul, 11, {8, 6}}, {i_div, 11, {11, 10}}, {i_sub, 11, {7, 11}}}, {8, 9, 11}, {1, 3, 7}},
      // the same, and rate·λ
      {"adamw", 9, {2, 4, 5, 6, 8}, {{i_mul, 9, {7, 8}}, {i_sub, 9, {7, 9}}, {i_sub, 10, {0, 1}}, {i_mul, 10, {10, 2}},
       {i_add, 10, {1, 10}}, {i_square, 11, {0}}, {i_sub, 11, {11, 3}}, {i_mul, 11, {11, 4}}, {i_add, 11, {11, 3}},
       {i_sqrt, 12, {11}}, {i_add, 12, {12, 5}}, {i_mul, 13, {10, 6}}, {i_div, 13, {13, 12}}, {i_sub, 13, {9, 13}}},
       {10, 11, 13}, {1, 3, 7}},
  };
  ASSERT_EQ((int)updates.size(), kUpdates);
  Random random(7);
  for (size_t chain = 0; chain < updates.size(); chain++) {
    const Update& update = updates[chain];
    // From 2¹⁸ on blocks are longer.
    for (int64_t n : {0, 1, 3, 15, 16, 17, 100, 511, 512, 513, 1100, (1 << 18) - 1, (1 << 18) + 2047}) {
      SCOPED_TRACE(testing::Message() << update.name << " of " << n);
      const auto isScalar = [&](int i) {
        return std::find(update.scalars.begin(), update.scalars.end(), i) != update.scalars.end();
      };
      std::vector<Bytes> before;
      std::vector<std::vector<float>> x;
      ProgramBuilder builder;
      std::vector<int> ids, outputs;
      Tile tile{{n}, {}, update.steps, update.results};
      for (int i = 0; i < update.inputs; i++) {
        const int64_t size = isScalar(i) ? 1 : n;
        x.push_back(random.floats(size, isScalar(i) || i == 3 || i == 1 ? 0.01f : -1, 1));
        before.push_back(bytesOf(x.back()));
        ids.push_back(builder.bind(kFloat32, {size}));
        tile.strides.push_back({isScalar(i) ? 0 : 1});
      }
      for (int state : update.states) outputs.push_back(ids[(size_t)state]);
      builder.call(k_map, ids, outputs, {}, {}, &tile);
      std::string error;
      const auto program = load(GetParam(), builder.encode(), &error);
      ASSERT_TRUE(program) << error;
      // One element makes everything uniform, and none leaves nothing to run.
      if (n > 1) {
        EXPECT_EQ(program->calls()[0].tile->chain, (int)chain);
      }
      const auto got = run(builder, before);
      // One instruction after the other, each with its own rounding.
      std::vector<std::vector<float>> registers(16, std::vector<float>((size_t)n));
      for (int64_t i = 0; i < n; i++) {
        for (int k = 0; k < update.inputs; k++) registers[(size_t)k][(size_t)i] = x[(size_t)k][isScalar(k) ? 0 : (size_t)i];
        for (const Instruction& step : update.steps) {
          float args[3] = {};
          for (size_t a = 0; a < step.args.size(); a++) args[a] = registers[(size_t)step.args[a]][(size_t)i];
          registers[(size_t)step.dst][(size_t)i] = valueOf(step, args);
        }
      }
      for (size_t r = 0; r < update.results.size(); r++) {
        EXPECT_EQ(got[(size_t)update.states[r]], bytesOf(registers[(size_t)update.results[r]])) << "result " << r;
      }
      if (HasFailure()) return;
    }
  }
}

enum Part { kWhole, kRow, kOne };

// What layers run. Inputs: x, mean, scale, offset, another tensor, slope, 0, a factor, seed and step; registers from 10 on.
const std::vector<Part> kInputs = {kWhole, kRow, kRow, kRow, kWhole, kRow, kOne, kOne, kOne, kOne};
constexpr int kSeed = 8, kFirstRegister = 10, kMask = 13;

struct Layer {
  const char* name;
  std::vector<Instruction> steps;
  std::vector<int> results;  // registers: 12 of relu's mask, 13 of dropout's, as bools, others as floats
};

const Instruction kNormalise[] = {{i_sub, 10, {0, 1}}, {i_mul, 10, {10, 2}}, {i_add, 10, {10, 3}}};
const Instruction kDraw = {i_philoxBelow, kMask, {8, 9}, {7, 9, 3e9}}, kNothingKept = {i_constFloat, 15, {}, {0}};
const Instruction kRelu = {i_relu, 11, {10}}, kPasses = {i_less, 12, {6, 11}};

const std::vector<Layer> kLayers = {
    {"relu", {{i_relu, 10, {0}}}, {10}},
    {"normalised", {kNormalise[0], kNormalise[1], kNormalise[2]}, {10}},
    {"with relu's mask", {kNormalise[0], kNormalise[1], kNormalise[2], kRelu, kPasses}, {11, 12}},
    {"with a residual", {kNormalise[0], kNormalise[1], kNormalise[2], {i_add, 10, {10, 4}}, kRelu, kPasses}, {11, 12}},
    {"with relu and dropout",
     {kDraw, kNormalise[0], kNormalise[1], kNormalise[2], kRelu, {i_mul, 14, {11, 7}}, kNothingKept,
      {i_select, 14, {kMask, 14, 15}}, kPasses},
     {14, 12, kMask}},
    {"scaled, with relu", {{i_mul, 10, {0, 2}}, {i_add, 10, {10, 3}}, kRelu}, {11}},
    {"gradient of normalising",
     {{i_mul, 10, {4, 2}}, {i_sub, 10, {10, 3}}, {i_sub, 11, {0, 1}}, {i_mul, 11, {11, 5}}, {i_sub, 14, {10, 11}}},
     {14}},
    {"gradient of what was scaled",
     {{i_sub, 11, {0, 1}}, {i_mul, 11, {11, 2}}, {i_sub, 14, {4, 3}}, {i_sub, 14, {14, 11}}},
     {14}},
    {"dropout", {kDraw, {i_mul, 10, {0, 7}}, kNothingKept, {i_select, 10, {kMask, 10, 15}}}, {10, kMask}},
    {"dropout and its gradient",
     {kDraw, {i_mul, 10, {0, 7}}, kNothingKept, {i_select, 10, {kMask, 10, 15}}, {i_mul, 11, {4, 7}},
      {i_select, 11, {kMask, 11, 15}}},
     {10, 11, kMask}},
};

using RunPrograms = std::function<std::vector<Bytes>(const ProgramBuilder&, const std::vector<Bytes>&)>;

struct LayerOptions {
  DType maskType = kBool;
  bool rowsAtOnce = false;  // demanded of the plan
  int over = -1;            // the input that the result is written over
};

void expectLayer(const KernelTable* table, const RunPrograms& run, const Layer& layer, int chain, int64_t rows, int64_t cols,
                 const LayerOptions& options = {}) {
  SCOPED_TRACE(testing::Message() << layer.name << " of " << rows << "x" << cols);
  Random random((uint64_t)(rows * 31 + cols));
  ProgramBuilder builder;
  std::vector<int> ids, outputs;
  std::vector<std::vector<float>> x;
  std::vector<Bytes> before;
  Tile tile{{rows, cols}, {}, layer.steps, layer.results};
  for (int i = 0; i < kFirstRegister; i++) {
    const Part part = kInputs[(size_t)i];
    const int64_t size = part == kWhole ? rows * cols : part == kRow ? cols : 1;
    x.push_back(i == 6 ? std::vector<float>{0} : random.floats(size));
    before.push_back(i < kSeed ? bytesOf(x.back()) : bytesOf(std::vector<int32_t>{5}));
    ids.push_back(builder.bind(i < kSeed ? kFloat32 : kInt32, {size}, i == options.over ? Access::kReadWrite : Access::kRead));
    tile.strides.push_back({part == kWhole ? cols : 0, part == kOne ? 0 : 1});
  }
  const auto typeOf = [&](int reg) { return reg == 12 ? kBool : reg == kMask ? options.maskType : kFloat32; };
  const auto bytesAt = [&](int reg) { return typeOf(reg) == kBool ? 1 : 4; };
  for (int reg : layer.results) {
    if (options.over >= 0) {
      outputs.push_back(ids[(size_t)options.over]);
      continue;
    }
    outputs.push_back(builder.bind(typeOf(reg), {rows, cols}, Access::kWrite));
    before.push_back(Bytes((size_t)(rows * cols * bytesAt(reg))));
  }
  builder.call(k_map, ids, outputs, {}, {}, &tile);
  std::string error;
  const auto program = load(table, builder.encode(), &error);
  ASSERT_TRUE(program) << error;
  EXPECT_EQ(program->calls()[0].tile->chain, chain);
  if (options.rowsAtOnce) {
    EXPECT_TRUE(program->calls()[0].tile->rowsAtOnce);
  }
  const auto got = run(builder, before);
  const auto resultAt = [&](size_t r, int64_t i) {
    const size_t place = options.over >= 0 ? (size_t)options.over : kFirstRegister + r;
    const uint8_t* const at = (const uint8_t*)got[place].data() + i * bytesAt(layer.results[r]);
    if (typeOf(layer.results[r]) == kBool) return (float)*at;
    float value;
    memcpy(&value, at, 4);
    int32_t whole;
    memcpy(&whole, at, 4);
    return typeOf(layer.results[r]) == kInt32 ? (float)whole : value;
  };
  for (int64_t i = 0; i < rows * cols; i++) {
    float registers[16] = {};
    for (int k = 0; k < kSeed; k++) {
      const Part part = kInputs[(size_t)k];
      registers[k] = x[(size_t)k][(size_t)(part == kWhole ? i : part == kRow ? i % cols : 0)];
    }
    // What was drawn is taken from the result; TileTest has what it must be.
    for (size_t r = 0; r < layer.results.size(); r++) {
      if (layer.results[r] == kMask) registers[kMask] = resultAt(r, i);
    }
    for (const Instruction& step : layer.steps) {
      float args[3] = {};
      for (size_t a = 0; a < step.args.size(); a++) args[a] = registers[step.args[a]];
      if (step.op != i_philoxBelow) registers[step.dst] = valueOf(step, args);
    }
    for (size_t r = 0; r < layer.results.size(); r++) {
      const float want = registers[layer.results[r]];
      const float value = resultAt(r, i);
      ASSERT_EQ(memcmp(&value, &want, 4), 0) << "result " << r << " at " << i << ": " << value << ", not " << want;
    }
  }
}

void expectLayer(const KernelTable* table, const RunPrograms& run, size_t which, int64_t rows, int64_t cols,
                 const LayerOptions& options = {}) {
  expectLayer(table, run, kLayers[which], kUpdates + (int)which, rows, cols, options);
}

TEST_P(ChainTest, RunsLayersLikeInstructions) {
  ASSERT_EQ((int)kLayers.size(), kChainCount - kUpdates);
  for (size_t which = 0; which < kLayers.size(); which++) {
    for (const Dims& dims : std::vector<Dims>{{2, 2}, {3, 5}, {40, 16}, {7, 17}, {70, 64}, {2, 257}, {3, 513}, {5, 1030}}) {
      expectLayer(GetParam(), [&](const auto& builder, const auto& before) { return run(builder, before); }, which,
                  dims[0], dims[1]);
      if (HasFailure()) return;
    }
  }
}

// From 2¹⁸ elements on blocks are longer than a tile; the last one of a row, or its only one, may be any length.
TEST_P(ChainTest, RunsLongBlocks) {
  for (size_t which = 0; which < kLayers.size(); which++) {
    for (const Dims& dims : std::vector<Dims>{{1, (1 << 18) + 2049}, {257, 1025}, {103, 2563}}) {
      expectLayer(GetParam(), [&](const auto& builder, const auto& before) { return run(builder, before); }, which,
                  dims[0], dims[1]);
      if (HasFailure()) return;
    }
  }
}

// From 2²² elements on results are stored around the caches; rows begin anywhere in a line. One, one with a mask that
// is not, and two.
TEST_P(ChainTest, StoresLargeResultsAroundTheCaches) {
  for (size_t which : {1, 3, 9}) {
    expectLayer(GetParam(), [&](const auto& builder, const auto& before) { return run(builder, before); }, which, 2049,
                2051);
    if (HasFailure()) return;
  }
}

// Sets what is known of L1 while it lives.
struct SmallL1 {
  const int64_t known = l1Bytes;
  SmallL1() { l1Bytes = 32 * 1024; }
  ~SmallL1() { l1Bytes = known; }
};

// Rows of whole vectors that share a row of columns run four at a time where L1 is small: fewer, and none, one and three left
// over, in the caches and around them, in several blocks of columns.
TEST_P(ChainTest, RunsRowsAtOnce) {
  const SmallL1 small;
  const auto run = [&](const auto& builder, const auto& before) { return this->run(builder, before); };
  for (size_t which : {6, 7}) {
    for (const Dims& dims : std::vector<Dims>{{2, 512}, {3, 512}, {8, 512}, {9, 1040}, {131, 2064}, {2051, 2064}}) {
      expectLayer(GetParam(), run, which, dims[0], dims[1], {kBool, true});
      if (HasFailure()) return;
    }
  }
}

TEST_P(ChainTest, RunsRowsAtOnceInPlace) {
  const SmallL1 small;
  const auto run = [&](const auto& builder, const auto& before) { return this->run(builder, before); };
  for (size_t which : {6, 7}) {
    for (int over : {0, 4}) {
      for (int64_t rows : {3, 9, 70}) {
        expectLayer(GetParam(), run, which, rows, 528, {kBool, true, over});
        if (HasFailure()) return;
      }
    }
  }
}

// A mean and a slope that are computed by column, as batch norm's gradient has them.
TEST_P(ChainTest, RunsRowsAtOnceOfComputedColumns) {
  const SmallL1 small;
  const auto run = [&](const auto& builder, const auto& before) { return this->run(builder, before); };
  const Layer layer = {"gradient of normalising, columns computed",
                       {{i_mul, 12, {2, 5}}, {i_add, 13, {1, 3}}, {i_mul, 10, {4, 12}}, {i_sub, 10, {10, 3}},
                        {i_sub, 11, {0, 13}}, {i_mul, 11, {11, 5}}, {i_sub, 14, {10, 11}}},
                       {14}};
  for (const Dims& dims : std::vector<Dims>{{3, 512}, {9, 1040}, {131, 2064}, {2051, 2064}}) {
    expectLayer(GetParam(), run, layer, kUpdates + 6, dims[0], dims[1], {kBool, true});
    if (HasFailure()) return;
  }
}

// A result that the instruction before the chain makes, and that is stored around the caches as well.
TEST_P(ChainTest, StoresWhatStandsBeforeTheChain) {
  for (size_t which : {5, 8}) {
    expectLayer(GetParam(), [&](const auto& builder, const auto& before) { return run(builder, before); }, which, 2049,
                2051, {kInt32});
    if (HasFailure()) return;
  }
}

}  // namespace
