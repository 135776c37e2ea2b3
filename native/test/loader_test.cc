// The loader: valid Programs load, and run the same on every instruction set and in any parts;
// changed words are refused with a message or stay inside their memory. The fuzzer (fuzz/) digs
// deeper.
#include <gtest/gtest.h>

#include "../dispatch.h"
#include "support/guarded_run.h"
#include "support/random_program.h"

using namespace layerwise;
using namespace layerwise::test;

namespace {

std::string refusal(const Encoded& encoded) {
  std::string error;
  return load(currentTable(), encoded, &error) ? "" : error;
}

// softmax over [2, 3], all bindings.
Encoded example() {
  ProgramBuilder builder;
  const int x = builder.bind(kFloat32, {2, 3}, Access::kRead);
  const int y = builder.bind(kFloat32, {2, 3}, Access::kWrite);
  builder.call(k_softmax, {x}, {y}, {2, 3, 0});
  return builder.encode();
}

TEST(LoaderTest, LoadsWhatIsValid) { EXPECT_EQ(refusal(example()), ""); }

TEST(LoaderTest, NamesWhatIsWrong) {
  struct Change {
    size_t at;
    int32_t value;
    const char* message;
  };
  // Words 0–6 are the header, 7–13 and 14–20 the tensors, 21–26 the bindings, 27 on the call.
  for (const Change& change : {
           Change{0, 7, "Program does not begin with the magic number"},
           {1, 2, "Program has version 2, expected 1"},
           {2, -1, "Program has a negative count"},
           {7, 4, "Program tensor 0 has unknown dtype 4"},
           {8, 3, "Program tensor 0 has unknown place 3"},
           {9, 2, "Program tensor 0 is binding 2 of 2"},
           {11, 17, "Program tensor 0 has rank 17"},
           {12, -2, "Program tensor 0 has dimension -2"},
           {13, INT32_MAX, "Program tensor 0 has 2^31 elements or more"},
           {22, 5, "Program tensor 0 does not have the dtype and size of binding 0"},
           {23, 5, "Program binding 0 has unknown access 5"},
           {27, 99, "Program call 0 has unknown kernel id 99"},
           {29, 2, "Program call 0 (softmax): inputs name tensor 2 of 2"},
           {31, 0, "Program call 0 (softmax): writes tensor 0, a read-only binding"},
           {33, 3, "Program call 0 (softmax): input 0 has 6 elements, the attributes say 9"},
           {35, 2, "Program call 0 (softmax): integer attribute 2 is 2, expected 0 or 1"},
           {36, 1, "Program call 0 (softmax): takes 1 floats, 0 are left"},
           {37, 2, "Program call 0 (softmax): has tile flag 2"},
       }) {
    Encoded encoded = example();
    ASSERT_LT(change.at, encoded.words.size());
    encoded.words[change.at] = change.value;
    EXPECT_EQ(refusal(encoded), change.message) << "word " << change.at;
  }
}

TEST(LoaderTest, LetsNoCopyWriteTwice) {
  const auto copied = [](Dims dims, Dims to) {
    ProgramBuilder builder;
    std::vector<int64_t> ints = {(int64_t)dims.size(), 0, 400};
    for (const Dims& part : {dims, Dims(dims.size()), to}) ints.insert(ints.end(), part.begin(), part.end());
    builder.call(k_copy, {builder.bind(kFloat32, {1}, Access::kRead)}, {builder.bind(kFloat32, {10000})}, ints);
    return refusal(builder.encode());
  };
  EXPECT_EQ(copied({6, 6, 255}, {255, 1530, 1}), "");
  EXPECT_EQ(copied({4, 8}, {-9, 1}), "");
  EXPECT_EQ(copied({4, 1, 8}, {2, 0, 16}), "");
  // Row 1 begins among the columns of row 0: which of them stays would depend on the order.
  EXPECT_EQ(copied({6, 6, 255}, {16, 255, 1}),
            "Program call 0 (copy): writes the same elements again along dimension 0");
  EXPECT_EQ(copied({4, 8}, {-7, 1}), "Program call 0 (copy): writes the same elements again along dimension 0");
  EXPECT_EQ(copied({3, 5}, {0, 1}), "Program call 0 (copy): writes the same elements again along dimension 0");
}

TEST(LoaderTest, RefusesWindowsThatReachTooFar) {
  // One image of one row: kernels would copy the rows that windows reach.
  const auto convolved = [](int64_t width, int64_t outWidth, int64_t taps, int64_t stride, int64_t dilation) {
    ProgramBuilder builder;
    const int x = builder.bind(kFloat32, {width}, Access::kRead), w = builder.bind(kFloat32, {taps}, Access::kRead);
    builder.call(k_conv2d, {x, w}, {builder.bind(kFloat32, {outWidth})},
                 {1, 1, width, 1, 1, outWidth, 1, 1, taps, 1, stride, 0, 0, 1, dilation, 1, 0});
    return refusal(builder.encode());
  };
  const char* const tooFar = "Program call 0 (conv2d): windows reach over an image of 2^31 elements or more";
  EXPECT_EQ(convolved(3, 3, 2, 1000, 1000), "");
  EXPECT_EQ(convolved(3, 3, 1, INT32_MAX, 1), tooFar);
  EXPECT_EQ(convolved(3, 1, 2, 1, INT32_MAX), tooFar);
  EXPECT_EQ(convolved(3, 3, 3, INT32_MAX, INT32_MAX), tooFar);
}

TEST(LoaderTest, WantsOneStampForWhatLasts) {
  const auto program = [](const std::vector<Access>& accesses, DType stamp = kInt32, int64_t size = 1) {
    ProgramBuilder builder;
    std::vector<int> ids;
    for (Access access : accesses) {
      const bool isStamp = access == Access::kStamp;
      ids.push_back(builder.bind(isStamp ? stamp : kFloat32, {isStamp ? size : 4}, access));
    }
    builder.call(k_gemm, {ids[0], ids[1]}, {ids[2]}, {1, 2, 2, 2, 0, 0, 0, 0});
    return refusal(builder.encode());
  };
  const Access read = Access::kRead, lasts = Access::kLasts, write = Access::kWrite, stamp = Access::kStamp;
  EXPECT_EQ(program({read, lasts, write, stamp}), "");
  EXPECT_EQ(program({read, lasts, write}), "Program binding 1 lasts, but there is no stamp");
  EXPECT_EQ(program({read, lasts, write, stamp, stamp}), "Program binding 4 is a second stamp");
  EXPECT_EQ(program({read, lasts, write, stamp}, kFloat32), "Program binding 3 is a stamp, but not one int32");
  EXPECT_EQ(program({read, lasts, write, stamp}, kInt32, 2), "Program binding 3 is a stamp, but not one int32");
  EXPECT_EQ(program({read, read, lasts, stamp}), "Program call 0 (gemm): writes tensor 2, a read-only binding");
}

TEST(LoaderTest, RefusesEveryTruncation) {
  Encoded encoded = example();
  encoded.words.push_back(0);
  EXPECT_EQ(refusal(encoded), "Program has 1 words too many");
  for (size_t n = encoded.words.size() - 2; n > 0; n--) {
    encoded.words.resize(n);
    EXPECT_NE(refusal(encoded), "") << n << " words";
  }
}

// How often Programs that ran to their end had a kernel, an instruction, an algorithm of a convolution.
struct Seen {
  int kernels[kKernelCount] = {};
  int instructions[kInstructionCount] = {};
  int algorithms[kKernelCount][4] = {};

  void add(const Program& program) {
    for (const Call& call : program.calls()) {
      kernels[call.kernel]++;
      if (isConvolution(call.kernel)) algorithms[call.kernel][call.custom[15]]++;
      if (!call.tile) continue;
      const TilePlan& tile = *call.tile;
      add(tile.uniformOps, tile.nUniformOps);
      add(tile.columnOps, tile.nColumnOps);
      add(tile.ops, tile.nOps);
    }
  }
  void add(const TileOp* ops, int count) {
    for (int i = 0; i < count; i++) {
      if (ops[i].function < kFirstPair) instructions[ops[i].function / kMasks]++;
    }
  }
  static bool isConvolution(int32_t kernel) {
    return kernel == k_conv2d || kernel == k_conv2dInputGradient || kernel == k_conv2dFilterGradient;
  }
};

// Loads and, if it is small, runs in guarded memory, whole and in parts, on all instruction sets.
bool loadAndRun(const Encoded& encoded, Random& random, Seen* seen = nullptr) {
  bool loaded = false;
  for (const KernelTable* table : availableTables()) {
    std::string error;
    const std::shared_ptr<Program> program = load(table, encoded, &error);
    if (!program) {
      EXPECT_NE(error, "");
      return false;
    }
    loaded = true;
    int64_t size = program->stateBytes();
    for (const ProgramBinding& b : program->bindings()) size += b.size * b.elementBytes();
    for (const Call& call : program->calls()) size += call.work;
    if (size > 1 << 24) continue;
    const std::vector<Bytes> bindings = randomBindings(*program, random);
    const Outcome whole = runGuarded(*program, bindings, 1, Parts::kInTurn, Guard::kBehind);
    const Outcome parts = runGuarded(*program, bindings, 3, Parts::kInTurn, Guard::kBefore);
    EXPECT_EQ(whole.violation, "");
    EXPECT_EQ(parts.violation, "");
    EXPECT_EQ(whole.error.empty(), parts.error.empty());
    if (!whole.error.empty()) continue;
    EXPECT_EQ(difference(*program, whole, parts), "") << table->name;
    if (seen && table == availableTables()[0]) seen->add(*program);
  }
  return loaded;
}

TEST(LoaderTest, DoesNothingWhereNothingIsWritten) {
  // No channels, and windows that would take minutes to walk.
  ProgramBuilder builder;
  const int dy = builder.bind(kFloat32, {0}, Access::kRead), dx = builder.bind(kFloat32, {0});
  constexpr int64_t kSide = 1 << 15;
  builder.call(k_avgPoolGradient, {dy}, {dx}, {1, kSide, kSide, 0, 1, 1, 1, 1, 0, 0, kSide, kSide});
  // Indices are checked all the same.
  const int indices = builder.bind(kInt32, {1}, Access::kRead);
  builder.call(k_gather, {dy, indices}, {dx}, {1 << 30, 5, 0, 1});
  for (const KernelTable* table : availableTables()) {
    std::string error;
    const std::shared_ptr<Program> program = load(table, builder.encode(), &error);
    ASSERT_TRUE(program) << error;
    EXPECT_EQ(program->calls()[0].phases, 0);
    const auto run = [&](int32_t index) {
      const std::vector<Bytes> bindings = {{}, {}, bytesOf(std::vector<int32_t>{index})};
      return runGuarded(*program, bindings, 1, Parts::kInTurn, Guard::kBehind).error;
    };
    EXPECT_EQ(run(4), "");
    EXPECT_EQ(run(5), "gather: index 5 at position 0 lies outside [0, 5) (Program call 1)");
  }
}

TEST(LoaderTest, RunsRandomPrograms) {
  int loaded = 0;
  Seen seen;
  constexpr int kPrograms = 3000;
  for (int seed = 0; seed < kPrograms; seed++) {
    Random random((uint64_t)seed);
    loaded += loadAndRun(randomProgram(random), random, &seen);
    ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
  }
  // The rest asks for what the loader rightly refuses, such as results of the wrong lanes.
  EXPECT_GT(loaded, kPrograms * 8 / 10);
  // Nothing that the fuzzer could start from is missing.
  constexpr int kOften = kPrograms / 100;
  for (int k = 0; k < kKernelCount; k++) {
    EXPECT_GT(seen.kernels[k], kOften) << kernelName(k);
    for (int a = 0; a < 4 && Seen::isConvolution(k); a++) {
      if (a == 3 && k == k_conv2dFilterGradient) continue;  // not on all instruction sets
      EXPECT_GT(seen.algorithms[k][a], 3) << kernelName(k) << ", algorithm " << a;
    }
  }
  for (int i = 0; i < kInstructionCount; i++) EXPECT_GT(seen.instructions[i], 0) << instructionName(i);
}

TEST(LoaderTest, SurvivesChangedWords) {
  for (int seed = 0; seed < 2000; seed++) {
    Random random((uint64_t)seed);
    Encoded encoded = randomProgram(random);
    for (int64_t changes = 1 + random.below(4); changes > 0; changes--) {
      int32_t& word = encoded.words[(size_t)random.below((int64_t)encoded.words.size())];
      if (random.chance(0.2)) word = (int32_t)((uint32_t)word + 1);
      else word = random.pick({-1, 0, 1, 2, 3, 8, 16, 64, 513, INT32_MAX, INT32_MIN});
    }
    loadAndRun(encoded, random);
    ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
  }
}

}  // namespace
