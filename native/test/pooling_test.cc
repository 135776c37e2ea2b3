// Pooling and its gradients against plain loops: windows over every edge, channels around the vector
// width, equal elements, NaN; what the loader refuses.
#include "support/random.h"
#include "support/reference.h"

using namespace layerwise;
using namespace layerwise::test;

namespace {

LAYERWISE_KERNEL_SUITE(PoolingTest);

struct Pool {
  int64_t n, h, w, c, kh, kw, sh, sw, top, left, oh, ow;
  std::vector<int64_t> ints() const { return {n, h, w, c, kh, kw, sh, sw, top, left, oh, ow}; }
  int64_t inside() const { return n * h * w * c; }
  int64_t outside() const { return n * oh * ow * c; }
  DType index() const { return kh * kw <= 256 ? kUint8 : kInt32; }
};

const Pool kPools[] = {
    {1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1},     {2, 4, 6, 3, 2, 2, 2, 2, 0, 0, 2, 3},
    {2, 5, 5, 7, 3, 3, 1, 1, 1, 1, 5, 5},     {1, 6, 5, 16, 3, 2, 2, 3, 2, 1, 4, 2},
    {1, 4, 4, 33, 2, 2, 3, 3, 0, 0, 1, 1},    {3, 3, 3, 65, 3, 3, 2, 2, 1, 1, 2, 2},
    {1, 18, 17, 2, 17, 16, 1, 1, 1, 0, 3, 2}, {1, 2, 9, 130, 1, 4, 1, 2, 0, 3, 2, 6},
    {0, 3, 3, 4, 2, 2, 1, 1, 0, 0, 2, 2},     {1, 3, 3, 0, 2, 2, 1, 1, 0, 0, 2, 2}};

// visit(input, output, element of the window) of everything that a window covers.
template <class Visit>
void visit(const Pool& p, Visit each) {
  for (int64_t n = 0; n < p.n; n++)
    for (int64_t y = 0; y < p.oh; y++)
      for (int64_t x = 0; x < p.ow; x++)
        for (int64_t tap = 0; tap < p.kh * p.kw; tap++) {
          const int64_t row = y * p.sh - p.top + tap / p.kw, col = x * p.sw - p.left + tap % p.kw;
          if (row < 0 || row >= p.h || col < 0 || col >= p.w) continue;
          for (int64_t c = 0; c < p.c; c++) {
            each((size_t)(((n * p.h + row) * p.w + col) * p.c + c),
                 (size_t)(((n * p.oh + y) * p.ow + x) * p.c + c), tap);
          }
        }
}

Bytes indexBytes(const Pool& p, const std::vector<int32_t>& index) {
  if (p.index() == kInt32) return bytesOf(index);
  return Bytes(index.begin(), index.end());
}

TEST_P(PoolingTest, FindsTheFirstLargest) {
  Random random(1);
  for (const Pool& p : kPools) {
    std::vector<float> x = random.floats(p.inside());
    // Few values, some NaN: equal elements in most windows.
    for (float& v : x) v = random.chance(0.1) ? __builtin_nanf("") : (float)random.below(3);
    std::vector<float> want((size_t)p.outside());
    std::vector<int32_t> index((size_t)p.outside(), -1);
    visit(p, [&](size_t in, size_t out, int64_t tap) {
      const bool better = x[in] > want[out] || (x[in] != x[in] && want[out] == want[out]);
      if (index[out] >= 0 && !better) return;
      want[out] = x[in];
      index[out] = (int32_t)tap;
    });
    ProgramBuilder builder;
    const int in = builder.bind(kFloat32, {p.inside()}, Access::kRead);
    const int out = builder.bind(kFloat32, {p.outside()}, Access::kWrite);
    const int which = builder.bind(p.index(), {p.outside()}, Access::kWrite);
    const int alone = builder.bind(kFloat32, {p.outside()}, Access::kWrite);
    builder.call(k_maxPool, {in}, {out, which}, p.ints());
    builder.call(k_maxPool, {in}, {alone}, p.ints());
    const Bytes indices = indexBytes(p, index), empty((size_t)p.outside() * 4, 0xee);
    const auto got = run(builder, {bytesOf(x), empty, Bytes(indices.size(), 0xee), empty});
    const std::vector<double> values(want.begin(), want.end());
    expectNear(got[1], values, [](size_t) { return 0.0; });
    expectNear(got[3], values, [](size_t) { return 0.0; });
    ASSERT_EQ(got[2], indices);
  }
}

TEST_P(PoolingTest, GivesGradientsToTheLargest) {
  Random random(2);
  for (const Pool& p : kPools) {
    const std::vector<float> dy = random.floats(p.outside());
    const std::vector<int32_t> index = random.ints(p.outside(), 0, p.kh * p.kw);
    std::vector<float> want((size_t)p.inside(), 0.0f);
    visit(p, [&](size_t in, size_t out, int64_t tap) {
      if (index[out] == tap) want[in] += dy[out];
    });
    ProgramBuilder builder;
    const int in = builder.bind(kFloat32, {p.outside()}, Access::kRead);
    const int which = builder.bind(p.index(), {p.outside()}, Access::kRead);
    const int out = builder.bind(kFloat32, {p.inside()}, Access::kWrite);
    builder.call(k_maxPoolGradient, {in, which}, {out}, p.ints());
    const Bytes empty((size_t)p.inside() * 4, 0xee);
    // The order is part of the contract, so the bits are.
    expectEqual(run(builder, {bytesOf(dy), indexBytes(p, index), empty})[2], want);
  }
}

TEST_P(PoolingTest, AveragesWhatIsThere) {
  Random random(3);
  for (const Pool& p : kPools) {
    const std::vector<float> x = random.floats(p.inside()), dy = random.floats(p.outside());
    std::vector<double> count((size_t)p.outside()), mean((size_t)p.outside());
    std::vector<double> gradient((size_t)p.inside());
    visit(p, [&](size_t, size_t out, int64_t) { count[out]++; });
    visit(p, [&](size_t in, size_t out, int64_t) {
      mean[out] += x[in] / count[out];
      gradient[in] += dy[out] / count[out];
    });
    ProgramBuilder builder;
    const int in = builder.bind(kFloat32, {p.inside()}, Access::kRead);
    const int out = builder.bind(kFloat32, {p.outside()}, Access::kWrite);
    const int dOut = builder.bind(kFloat32, {p.outside()}, Access::kRead);
    const int dIn = builder.bind(kFloat32, {p.inside()}, Access::kWrite);
    builder.call(k_avgPool, {in}, {out}, p.ints());
    builder.call(k_avgPoolGradient, {dOut}, {dIn}, p.ints());
    const auto got = run(builder, {bytesOf(x), Bytes((size_t)p.outside() * 4), bytesOf(dy),
                                   Bytes((size_t)p.inside() * 4)});
    // |x| ≤ 1: a chain of kh + kw + 1 roundings of partial means below 1; of kh·kw + 2 for gradients.
    expectNear(got[1], mean, [&](size_t) { return (double)(p.kh + p.kw + 1) * kHalfUlp; });
    expectNear(got[3], gradient, [&](size_t) { return (double)(p.kh * p.kw + 2) * kHalfUlp; });
  }
}

TEST_P(PoolingTest, RefusesWindowsBesideTheInput) {
  const Pool bad[] = {{1, 4, 4, 1, 2, 2, 2, 2, 2, 0, 2, 2},   // padding as large as the window
                      {1, 4, 4, 1, 2, 2, 2, 2, 0, 0, 3, 2},   // a window that starts at the end
                      {1, 0, 4, 1, 2, 2, 2, 2, 1, 0, 1, 2},   // nothing to pool
                      {1, 4, 4, 1, 0, 2, 2, 2, 0, 0, 2, 2},   // no window
                      {1, 4, 4, 1, 2, 2, 0, 2, 0, 0, 2, 2}};  // no stride
  for (const Pool& p : bad) {
    ProgramBuilder builder;
    const int in = builder.bind(kFloat32, {p.inside()}, Access::kRead);
    const int out = builder.bind(kFloat32, {p.outside()}, Access::kWrite);
    builder.call(k_avgPool, {in}, {out}, p.ints());
    std::string error;
    EXPECT_EQ(load(GetParam(), builder.encode(), &error), nullptr);
    EXPECT_NE(error.find("avgPool"), std::string::npos) << error;
  }
}

}  // namespace
