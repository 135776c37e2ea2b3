// copy, gather and scatterAdd: exact, whatever the dtype, strides and indices.
#include "support/random.h"
#include "support/reference.h"

using namespace layerwise;
using namespace layerwise::test;

namespace {

LAYERWISE_KERNEL_SUITE(MovementTest);

Bytes randomBytes(Random& random, int64_t n) {
  Bytes bytes((size_t)n);
  for (uint8_t& byte : bytes) byte = (uint8_t)random.below(256);
  return bytes;
}

// An offset and one stride per dimension.
struct Walk {
  int64_t offset;
  Dims strides;
};

int64_t at(const Walk& walk, const Dims& index) {
  int64_t position = walk.offset;
  for (size_t d = 0; d < index.size(); d++) position += walk.strides[d] * index[d];
  return position;
}

TEST_P(MovementTest, CopiesByStrides) {
  struct Copy {
    Dims dims;
    Walk from, to;
    int64_t fromSize, toSize;
  };
  const std::vector<Copy> copies = {
      {{}, {2, {}}, {1, {}}, 3, 2},
      {{17}, {0, {1}}, {0, {1}}, 17, 17},
      {{9}, {8, {-1}}, {0, {1}}, 9, 9},                       // reverse
      {{5, 33}, {0, {33, 1}}, {0, {1, 5}}, 165, 165},         // transpose
      {{64, 70}, {0, {1, 64}}, {0, {70, 1}}, 4480, 4480},     // transpose
      {{3, 4, 5}, {0, {20, 5, 1}}, {0, {1, 3, 12}}, 60, 60},  // permute
      {{4, 7}, {12, {10, 1}}, {0, {7, 1}}, 49, 28},           // slice
      {{4, 7}, {0, {7, 1}}, {11, {9, 1}}, 28, 45},            // pad
      {{6, 8}, {0, {0, 1}}, {0, {8, 1}}, 8, 48},              // broadcast
      {{300, 3}, {0, {1, 300}}, {1, {4, 1}}, 900, 1200},
      {{2, 0, 3}, {0, {0, 3, 1}}, {0, {0, 3, 1}}, 1, 1}};
  Random random(1);
  for (const Copy& c : copies) {
    for (DType dtype : {kFloat32, kInt32, kUint8, kBool}) {
      const int64_t width = bytesPerElement(dtype);
      const Bytes x = randomBytes(random, c.fromSize * width);
      Bytes want = randomBytes(random, c.toSize * width);
      ProgramBuilder builder;
      const int in = builder.bind(dtype, {c.fromSize}, Access::kRead);
      const int out = builder.bind(dtype, {c.toSize});
      std::vector<int64_t> ints = {(int64_t)c.dims.size(), c.from.offset, c.to.offset};
      for (const Dims* part : {&c.dims, &c.from.strides, &c.to.strides}) {
        ints.insert(ints.end(), part->begin(), part->end());
      }
      builder.call(k_copy, {in}, {out}, ints);
      const auto got = run(builder, {x, want});
      for (int64_t e = 0; e < sizeOf(c.dims); e++) {
        Dims index(c.dims.size());
        int64_t rest = e;
        for (size_t d = c.dims.size(); d-- > 0;) {
          index[d] = rest % c.dims[d];
          rest /= c.dims[d];
        }
        memcpy(want.data() + at(c.to, index) * width, x.data() + at(c.from, index) * width,
               (size_t)width);
      }
      ASSERT_EQ(got[1], want) << "dims of rank " << c.dims.size() << ", dtype " << dtype;
    }
  }
}

const std::vector<Dims> kShapes = {
    {1, 1, 1, 1},   {1, 5, 3, 7}, {2, 9, 17, 4}, {3, 4, 1, 33},
    {1, 2, 513, 5}, {4, 3, 0, 2}, {2, 6, 16, 0}};  // outer, axis, inner, count

TEST_P(MovementTest, Gathers) {
  Random random(2);
  for (const Dims& s : kShapes) {
    for (DType dtype : {kFloat32, kBool}) {
      const int64_t row = s[2] * bytesPerElement(dtype);
      const Bytes x = randomBytes(random, s[0] * s[1] * row);
      const std::vector<int32_t> indices = random.ints(s[3], 0, s[1]);
      ProgramBuilder builder;
      const int in = builder.bind(dtype, {s[0], s[1], s[2]}, Access::kRead);
      const int index = builder.bind(kInt32, {s[3]}, Access::kRead);
      const int out = builder.bind(dtype, {s[0], s[3], s[2]}, Access::kWrite);
      builder.call(k_gather, {in, index}, {out}, s);
      Bytes want;
      for (int64_t o = 0; o < s[0]; o++) {
        for (int32_t i : indices) {
          const auto from = x.begin() + (o * s[1] + i) * row;
          want.insert(want.end(), from, from + row);
        }
      }
      ASSERT_EQ(run(builder, {x, bytesOf(indices), Bytes(want.size())})[2], want);
    }
  }
}

TEST_P(MovementTest, ScattersInOrder) {
  Random random(3);
  for (const Dims& s : kShapes) {
    const std::vector<float> updates = random.floats(s[0] * s[3] * s[2]);
    const std::vector<int32_t> indices = random.ints(s[3], 0, s[1]);
    ProgramBuilder builder;
    const int in = builder.bind(kFloat32, {s[0], s[3], s[2]}, Access::kRead);
    const int index = builder.bind(kInt32, {s[3]}, Access::kRead);
    const int out = builder.bind(kFloat32, {s[0], s[1], s[2]}, Access::kWrite);
    builder.call(k_scatterAdd, {in, index}, {out}, s);
    std::vector<float> want((size_t)(s[0] * s[1] * s[2]), 0.0f);
    for (int64_t o = 0; o < s[0]; o++) {
      for (int64_t j = 0; j < s[3]; j++) {
        for (int64_t i = 0; i < s[2]; i++) {
          want[(size_t)((o * s[1] + indices[(size_t)j]) * s[2] + i)] +=
              updates[(size_t)((o * s[3] + j) * s[2] + i)];
        }
      }
    }
    // The order is part of the contract, so the bits are.
    expectEqual(run(builder, {bytesOf(updates), bytesOf(indices), Bytes(want.size() * 4, 0xff)})[2],
                want);
  }
}

TEST_P(MovementTest, ReplacesRowsInOrderAndInPlace) {
  Random random(4);
  for (const Dims& s : kShapes) {
    for (DType dtype : {kFloat32, kBool}) {
      const int64_t row = s[2] * bytesPerElement(dtype);
      const Bytes x = randomBytes(random, s[1] * row), updates = randomBytes(random, s[3] * row);
      const std::vector<int32_t> indices = random.ints(s[3], 0, s[1]);
      Bytes want = x;
      for (int64_t j = 0; j < s[3]; j++) {
        std::copy(updates.begin() + j * row, updates.begin() + (j + 1) * row,
                  want.begin() + indices[(size_t)j] * row);
      }
      for (bool inPlace : {false, true}) {
        ProgramBuilder builder;
        const int in = builder.bind(dtype, {s[1], s[2]}, inPlace ? Access::kReadWrite : Access::kRead);
        const int index = builder.bind(kInt32, {s[3]}, Access::kRead);
        const int rows = builder.bind(dtype, {s[3], s[2]}, Access::kRead);
        const int out = inPlace ? in : builder.bind(dtype, {s[1], s[2]}, Access::kWrite);
        builder.call(k_scatterRows, {in, index, rows}, {out}, {s[1], s[2], s[3]});
        std::vector<Bytes> arrays = {x, bytesOf(indices), updates};
        if (!inPlace) arrays.push_back(Bytes(want.size()));
        ASSERT_EQ(run(builder, arrays)[inPlace ? 0 : 3], want);
      }
    }
  }
}

TEST_P(MovementTest, RefusesAnIndexOutOfRange) {
  const auto message = [](KernelId kernel, int32_t bad) {
    return std::string(kernelName(kernel)) + ": index " + std::to_string(bad) +
           " at position 2 lies outside [0, 5) (Program call 0)";
  };
  for (int32_t bad : {-1, 5, INT32_MIN, INT32_MAX}) {
    const Bytes indices = bytesOf(std::vector<int32_t>{4, 0, bad});
    for (KernelId kernel : {k_gather, k_scatterAdd}) {
      ProgramBuilder builder;
      const int in = builder.bind(kFloat32, {kernel == k_gather ? 5 : 3}, Access::kRead);
      const int index = builder.bind(kInt32, {3}, Access::kRead);
      const int out = builder.bind(kFloat32, {kernel == k_gather ? 3 : 5}, Access::kWrite);
      builder.call(kernel, {in, index}, {out}, {1, 5, 1, 3});
      const size_t inSize = kernel == k_gather ? 20 : 12;
      EXPECT_EQ(failure(builder, {Bytes(inSize), indices, Bytes(32 - inSize)}), message(kernel, bad));
    }
    ProgramBuilder builder;
    const int rows = builder.bind(kFloat32, {5});
    const int index = builder.bind(kInt32, {3}, Access::kRead);
    const int updates = builder.bind(kFloat32, {3}, Access::kRead);
    builder.call(k_scatterRows, {rows, index, updates}, {rows}, {5, 1, 3});
    EXPECT_EQ(failure(builder, {Bytes(20), indices, Bytes(12)}), message(k_scatterRows, bad));
  }
}

}  // namespace
