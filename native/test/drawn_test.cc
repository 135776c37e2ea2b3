// Chains whose mask is drawn while they run: dropout of long tensors, alone and with its gradient, with masks that are
// kept and that are not.
#include "../chains.h"
#include "support/philox.h"
#include "support/random.h"
#include "support/reference.h"

using namespace layerwise;
using namespace layerwise::test;

namespace {

LAYERWISE_KERNEL_SUITE(DrawnTest);

constexpr uint32_t kSeed = 12345, kKey = 7, kCounter = 9, kStep = 3;
constexpr float kFactor = 1.25f;

// A counter has one bit of each of 128 elements, so these are drawn at once.
std::vector<uint32_t> bitsUpTo(int64_t n) {
  std::vector<uint32_t> bits((size_t)((n + 127) / 128 * 128));
  for (int64_t first = 0; first < n; first += 128) {
    for (uint32_t last = 0; last < 32; last++) {
      for (uint32_t word = 0; word < 4; word++) {
        const uint32_t plane = philoxWord(kSeed, kKey, kCounter, kStep, (uint32_t)(first / 32) + word, last);
        for (uint32_t bit = 0; bit < 32; bit++) {
          uint32_t& all = bits[(size_t)first + word * 32 + bit];
          all = all << 1 | (plane >> bit & 1);
        }
      }
    }
  }
  return bits;
}

// Thresholds of 0, 1, 2, 4, 5, 7, 8, 12, 20 and 32 bits.
const std::vector<uint32_t> kThresholds = {0,           1u << 31,    3u << 30,     5u << 28,       9u << 27,
                                           0x41u << 25, 0x81u << 24, 0x801u << 20, 0x80001u << 12, ~0u};

std::vector<float> kept(const std::vector<float>& x, const std::vector<uint32_t>& bits, uint32_t threshold) {
  std::vector<float> y;
  for (size_t i = 0; i < x.size(); i++) y.push_back(bits[i] < threshold ? x[i] * kFactor : 0);
  return y;
}

// Inputs: seed, step, and one or two tensors; results from register 10 on, then the mask from 4.
Tile dropout(int64_t n, uint32_t threshold, int tensors, bool withMask = false) {
  Tile tile{{n}, {{0}, {0}}, {}, {}};
  tile.instructions = {{i_philoxBelow, 4, {0, 1}, {kKey, kCounter, (double)threshold}},
                       {i_constFloat, 5, {}, {0}},
                       {i_constFloat, 6, {}, {kFactor}}};
  for (int t = 0; t < tensors; t++) {
    tile.strides.push_back({1});
    tile.instructions.push_back({i_mul, 10 + t, {2 + t, 6}});
    tile.instructions.push_back({i_select, 10 + t, {4, 10 + t, 5}});
    tile.results.push_back(10 + t);
  }
  if (withMask) tile.results.push_back(4);
  return tile;
}

class Dropout {
 public:
  Dropout(int64_t n) : n_(n), random_(n) {
    word(kSeed);
    word(kStep);
  }
  int tensor() {
    values_.push_back(random_.floats(n_));
    values_.back()[(size_t)(n_ / 2)] = INFINITY;
    values_.back()[(size_t)(n_ - 1)] = NAN;
    return bind(bytesOf(values_.back()), Access::kReadWrite);
  }
  int result() { return bind(Bytes((size_t)n_ * 4), Access::kWrite); }
  int mask(DType dtype) {
    before.push_back(Bytes((size_t)(n_ * bytesPerElement(dtype))));
    return builder.bind(dtype, {n_}, Access::kWrite);
  }
  // Whether the mask of the first call is drawn while the rest runs.
  bool drawn(const KernelTable* table) const {
    std::string error;
    const auto program = load(table, builder.encode(), &error);
    EXPECT_TRUE(program) << error;
    return program && program->calls()[0].tile->drawn;
  }
  const std::vector<float>& values(int t) const { return values_[(size_t)t]; }
  ProgramBuilder builder;
  std::vector<Bytes> before;

 private:
  void word(uint32_t value) {
    before.push_back(bytesOf(std::vector<uint32_t>{value}));
    builder.bind(kInt32, {1}, Access::kRead);
  }
  int bind(const Bytes& bytes, Access access) {
    before.push_back(bytes);
    return builder.bind(kFloat32, {n_}, access);
  }
  int64_t n_;
  Random random_;
  std::vector<std::vector<float>> values_;
};

// The bits, so that NaN is compared as well.
void expectFloats(const Bytes& got, const std::vector<float>& want) {
  ASSERT_EQ(got.size(), want.size() * 4);
  const std::vector<float> values = valuesOf<float>(got);
  for (size_t i = 0; i < want.size(); i++) {
    if (std::isnan(want[i]) && std::isnan(values[i])) continue;
    ASSERT_EQ(memcmp(&values[i], &want[i], 4), 0) << "at " << i << ": " << values[i] << ", not " << want[i];
  }
}

TEST_P(DrawnTest, DropsByEveryThreshold) {
  const int64_t longest = 70001;
  const std::vector<uint32_t> bits = bitsUpTo(longest);
  // What some lanes decide by their last bit.
  std::vector<uint32_t> thresholds = kThresholds;
  for (int64_t at : {6, 1023, 8190, 70000}) {
    for (uint32_t more : {0u, 1u}) thresholds.push_back(bits[(size_t)at] + more);
  }
  for (int64_t n : {(int64_t)8191, (int64_t)8192, (int64_t)8209, (int64_t)9216, (int64_t)16386, (int64_t)20477, longest}) {
    for (uint32_t threshold : thresholds) {
      SCOPED_TRACE(testing::Message() << n << " elements, threshold " << threshold);
      Dropout one(n);
      const int x = one.tensor(), y = one.result();
      const Tile tile = dropout(n, threshold, 1);
      one.builder.call(k_map, {0, 1, x}, {y}, {}, {}, &tile);
      EXPECT_TRUE(one.drawn(GetParam()));
      expectFloats(run(one.builder, one.before)[(size_t)y], kept(one.values(0), bits, threshold));
      if (HasFailure()) return;
    }
  }
}

TEST_P(DrawnTest, DropsTwoTensorsAtOnce) {
  for (int64_t n : {8193, 12001, 33000}) {
    const std::vector<uint32_t> bits = bitsUpTo(n);
    for (uint32_t threshold : kThresholds) {
      SCOPED_TRACE(testing::Message() << n << " elements, threshold " << threshold);
      Dropout two(n);
      const int x = two.tensor(), dy = two.tensor(), y = two.result(), dx = two.result();
      const Tile tile = dropout(n, threshold, 2);
      two.builder.call(k_map, {0, 1, x, dy}, {y, dx}, {}, {}, &tile);
      EXPECT_TRUE(two.drawn(GetParam()));
      const auto got = run(two.builder, two.before);
      expectFloats(got[(size_t)y], kept(two.values(0), bits, threshold));
      expectFloats(got[(size_t)dx], kept(two.values(1), bits, threshold));
      if (HasFailure()) return;
    }
  }
}

// As a network whose gradient runs later keeps it: as bools, or as int32, which isn't drawn so.
TEST_P(DrawnTest, KeepsTheMask) {
  for (int64_t n : {8192, 8255, 10240, 16387, 33000}) {
    const std::vector<uint32_t> bits = bitsUpTo(n);
    for (uint32_t threshold : kThresholds) {
      for (DType dtype : {kBool, kInt32, kUint8}) {
        for (int tensors : {1, 2}) {
          SCOPED_TRACE(testing::Message() << n << " elements, threshold " << threshold << ", dtype " << dtype);
          Dropout some(n);
          std::vector<int> inputs = {0, 1}, outputs;
          for (int t = 0; t < tensors; t++) inputs.push_back(some.tensor());
          for (int t = 0; t < tensors; t++) outputs.push_back(some.result());
          outputs.push_back(some.mask(dtype));
          const Tile tile = dropout(n, threshold, tensors, true);
          some.builder.call(k_map, inputs, outputs, {}, {}, &tile);
          EXPECT_EQ(some.drawn(GetParam()), dtype == kBool);
          const auto got = run(some.builder, some.before);
          for (int t = 0; t < tensors; t++) {
            expectFloats(got[(size_t)outputs[(size_t)t]], kept(some.values(t), bits, threshold));
          }
          const Bytes& mask = got[(size_t)outputs.back()];
          const size_t size = (size_t)bytesPerElement(dtype);
          for (size_t i = 0; i < (size_t)n; i++) ASSERT_EQ(mask[i * size], bits[i] < threshold) << "mask at " << i;
          if (HasFailure()) return;
        }
      }
    }
  }
}

// Each over its own input, and each over the other's.
TEST_P(DrawnTest, DropsInPlace) {
  const int64_t n = 20003;
  const uint32_t threshold = 3000000000u;
  const std::vector<uint32_t> bits = bitsUpTo(n);
  for (bool crossed : {false, true}) {
    SCOPED_TRACE(crossed ? "crossed" : "in place");
    Dropout two(n);
    const int x = two.tensor(), dy = two.tensor();
    const Tile tile = dropout(n, threshold, 2);
    two.builder.call(k_map, {0, 1, x, dy}, crossed ? std::vector<int>{dy, x} : std::vector<int>{x, dy}, {}, {}, &tile);
    const auto got = run(two.builder, two.before);
    expectFloats(got[(size_t)x], kept(two.values(crossed), bits, threshold));
    expectFloats(got[(size_t)dy], kept(two.values(!crossed), bits, threshold));
  }
}

// Around the caches: one result, with the mask, which isn't stored so; two that become aligned at once; and one in the arena
// and one anywhere.
TEST_P(DrawnTest, DropsLargeTensors) {
  const int64_t n = (1 << 22) + 37;
  const uint32_t threshold = 3000000000u;
  const std::vector<uint32_t> bits = bitsUpTo(n);
  Dropout one(n);
  const int only = one.tensor(), result = one.result(), mask = one.mask(kBool);
  const Tile alone = dropout(n, threshold, 1, true);
  one.builder.call(k_map, {0, 1, only}, {result, mask}, {}, {}, &alone);
  const auto dropped = run(one.builder, one.before);
  expectFloats(dropped[(size_t)result], kept(one.values(0), bits, threshold));
  for (size_t i = 0; i < (size_t)n; i++) ASSERT_EQ(dropped[(size_t)mask][i], bits[i] < threshold) << "mask at " << i;
  for (bool inArena : {false, true}) {
    SCOPED_TRACE(inArena ? "one in the arena" : "both bound");
    Dropout two(n);
    const int x = two.tensor(), dy = two.tensor(), y = two.result(), dx = two.result();
    const int first = inArena ? two.builder.arena(kFloat32, {n}) : y;
    const Tile tile = dropout(n, threshold, 2);
    two.builder.call(k_map, {0, 1, x, dy}, {first, dx}, {}, {}, &tile);
    const Tile copied{{n}, {{1}}, {}, {0}};
    if (inArena) two.builder.call(k_map, {first}, {y}, {}, {}, &copied);
    const auto got = run(two.builder, two.before);
    expectFloats(got[(size_t)y], kept(two.values(0), bits, threshold));
    expectFloats(got[(size_t)dx], kept(two.values(1), bits, threshold));
  }
}

}  // namespace
