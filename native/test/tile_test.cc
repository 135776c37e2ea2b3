// map: single instructions against their definition, tile programs with every kind of input,
// storing as every dtype, work in place, philox.
#include <algorithm>
#include <cmath>
#include <limits>

#include "support/philox.h"
#include "support/random.h"
#include "support/reference.h"

using namespace layerwise;
using namespace layerwise::test;

namespace {

LAYERWISE_KERNEL_SUITE(TileTest);

struct Unary {
  InstructionId op;
  double (*function)(double);
  double ulps;  // bound as in src/kernels/instructions.ts, for the arguments below
  float low, high;
};

double signOf(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }
double rsqrtOf(double x) { return 1 / std::sqrt(x); }
double reciprocalOf(double x) { return 1 / x; }
double squareOf(double x) { return x * x; }
double sigmoidOf(double x) { return 1 / (1 + std::exp(-x)); }
double softplusOf(double x) { return std::log1p(std::exp(-std::abs(x))) + std::max(x, 0.0); }
double reluOf(double x) { return std::max(x, 0.0); }
double negative(double x) { return -x; }

const Unary kUnary[] = {
    {i_neg, negative, 0, -9, 9},          {i_abs, std::abs, 0, -9, 9},
    {i_sign, signOf, 0, -1, 1},           {i_floor, std::floor, 0, -9, 9},
    {i_ceil, std::ceil, 0, -9, 9},        {i_round, std::nearbyint, 0, -9, 9},
    {i_trunc, std::trunc, 0, -9, 9},      {i_exp, std::exp, 4, -80, 80},
    {i_expm1, std::expm1, 4, -20, 20},    {i_log, std::log, 4, 0.001f, 1000},
    {i_log1p, std::log1p, 4, -0.9f, 9},   {i_sqrt, std::sqrt, 1, 0, 100},
    {i_rsqrt, rsqrtOf, 2, 0.01f, 100},    {i_reciprocal, reciprocalOf, 1, 0.01f, 100},
    {i_square, squareOf, 1, -9, 9},       {i_tanh, std::tanh, 4, -12, 12},
    {i_erf, std::erf, 4, -5, 5},          {i_sigmoid, sigmoidOf, 4, -80, 80},
    {i_softplus, softplusOf, 4, -80, 80}, {i_relu, reluOf, 0, -9, 9},
    {i_atan, std::atan, 4, -50, 50},      {i_sinh, std::sinh, 4, -9, 9},
};

TEST_P(TileTest, ComputesEveryLengthOfATail) {
  Random random(1);
  for (const Unary& row : kUnary) {
    for (int64_t n : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 511, 512, 513, 1100}) {
      const std::vector<float> x = random.floats(n, row.low, row.high);
      ProgramBuilder builder;
      const int in = builder.bind(kFloat32, {n}, Access::kRead);
      const int out = builder.bind(kFloat32, {n}, Access::kWrite);
      const Tile tile{{n}, {{1}}, {{row.op, 1, {0}}}, {1}};
      builder.call(k_map, {in}, {out}, {}, {}, &tile);
      std::vector<double> want;
      for (float v : x) want.push_back(row.function(v));
      SCOPED_TRACE(testing::Message() << instructionName(row.op) << " of " << n);
      expectNear(run(builder, {bytesOf(x), Bytes((size_t)n * 4)})[1], want,
                 [&](size_t i) { return row.ulps * 2 * kHalfUlp * std::abs(want[i]) + 1e-37; });
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(TileTest, ReadsEveryKindOfInput) {
  // y = a·b + c − d over [r, m, n], with a whole, b a row, c a column, d with gaps between
  // elements.
  Random random(2);
  for (const Dims& dims : std::vector<Dims>{
           {1, 1, 1}, {2, 3, 5}, {3, 4, 17}, {2, 70, 16}, {1, 3, 513}, {4, 1, 600}, {2, 0, 4}}) {
    const int64_t r = dims[0], m = dims[1], n = dims[2], size = sizeOf(dims);
    const int64_t gaps = size > 0 ? ((r - 1) * m + m - 1) * 2 * n + (n - 1) * 2 + 1 : 0;
    const std::vector<float> a = random.floats(size), b = random.floats(n),
                             c = random.floats(r * m);
    const std::vector<float> d = random.floats(gaps);
    ProgramBuilder builder;
    const int A = builder.bind(kFloat32, {size}, Access::kRead);
    const int B = builder.bind(kFloat32, {n}, Access::kRead);
    const int C = builder.bind(kFloat32, {r * m}, Access::kRead);
    const int D = builder.bind(kFloat32, {gaps}, Access::kRead);
    const int Y = builder.bind(kFloat32, dims, Access::kWrite);
    const Tile tile{dims,
                    {{m * n, n, 1}, {0, 0, 1}, {m, 1, 0}, {2 * m * n, 2 * n, 2}},
                    {{i_mul, 4, {0, 1}}, {i_add, 4, {4, 2}}, {i_sub, 4, {4, 3}}},
                    {4}};
    builder.call(k_map, {A, B, C, D}, {Y}, {}, {}, &tile);
    std::vector<double> want;
    for (int64_t i = 0; i < size; i++) {
      want.push_back((double)a[(size_t)i] * b[(size_t)(i % n)] + c[(size_t)(i / n)] -
                     d[(size_t)(2 * i)]);
    }
    SCOPED_TRACE(testing::Message() << r << "x" << m << "x" << n);
    const auto got =
        run(builder, {bytesOf(a), bytesOf(b), bytesOf(c), bytesOf(d), Bytes((size_t)size * 4)});
    // Three roundings of values below 3.
    expectNear(got[4], want, [](size_t) { return 3 * kHalfUlp * 4; });
    if (HasFatalFailure()) return;
  }
}

TEST_P(TileTest, StoresAsEveryDType) {
  Random random(3);
  for (int64_t n : {1, 5, 16, 33, 519}) {
    const std::vector<int32_t> x = random.ints(n, -300, 600);
    ProgramBuilder builder;
    const int in = builder.bind(kInt32, {n}, Access::kRead);
    std::vector<int> outputs;
    for (DType dtype : {kInt32, kUint8, kBool, kFloat32}) {
      outputs.push_back(builder.bind(dtype, {n}, Access::kWrite));
    }
    const Tile tile{{n}, {{1}}, {{i_toFloat, 1, {0}}}, {0, 0, 0, 1}};
    builder.call(k_map, {in}, outputs, {}, {}, &tile);
    const size_t size = (size_t)n;
    const auto got =
        run(builder, {bytesOf(x), Bytes(4 * size), Bytes(size), Bytes(size), Bytes(4 * size)});
    std::vector<uint8_t> saturated, truth;
    std::vector<float> converted;
    for (int32_t v : x) {
      saturated.push_back((uint8_t)std::clamp(v, 0, 255));
      truth.push_back(v != 0);
      converted.push_back((float)v);
    }
    expectEqual(got[1], x);
    expectEqual(got[2], saturated);
    expectEqual(got[3], truth);
    expectEqual(got[4], converted);
  }
}

TEST_P(TileTest, LoadsBytes) {
  Random random(4);
  for (int64_t n : {1, 3, 4, 9, 17, 40, 515}) {
    const std::vector<int32_t> x = random.ints(n, 0, 256);
    ProgramBuilder builder;
    const int in = builder.bind(kUint8, {n}, Access::kRead);
    const int out = builder.bind(kInt32, {n}, Access::kWrite);
    const Tile tile{{n}, {{1}}, {{i_addInt, 1, {0, 0}}}, {1}};
    builder.call(k_map, {in}, {out}, {}, {}, &tile);
    std::vector<int32_t> want;
    for (int32_t v : x) want.push_back(2 * v);
    expectEqual(run(builder, {Bytes(x.begin(), x.end()), Bytes((size_t)n * 4)})[1], want);
  }
}

TEST_P(TileTest, WorksInPlace) {
  // Two outputs, one on the input that the other still reads.
  Random random(5);
  for (int64_t n : {1, 7, 16, 511, 1030}) {
    const std::vector<float> x = random.floats(n), y = random.floats(n);
    ProgramBuilder builder;
    const int X = builder.bind(kFloat32, {n}), Y = builder.bind(kFloat32, {n});
    const Tile tile{{n}, {{1}, {1}}, {{i_add, 2, {0, 1}}, {i_sub, 3, {0, 1}}}, {2, 3}};
    builder.call(k_map, {X, Y}, {X, Y}, {}, {}, &tile);
    std::vector<float> sum, difference;
    for (size_t i = 0; i < x.size(); i++) {
      sum.push_back(x[i] + y[i]);
      difference.push_back(x[i] - y[i]);
    }
    const auto got = run(builder, {bytesOf(x), bytesOf(y)});
    expectEqual(got[0], sum);
    expectEqual(got[1], difference);
  }
}

TEST_P(TileTest, DrawsPhilox) {
  for (int64_t n : {1, 3, 5, 31, 64, 517, 2000}) {
    ProgramBuilder builder;
    const int seed = builder.bind(kInt32, {1}, Access::kRead);
    const int step = builder.bind(kInt32, {1}, Access::kRead);
    const int out = builder.bind(kInt32, {n}, Access::kWrite);
    const Tile tile{{n}, {{0}, {0}}, {{i_philox, 2, {0, 1}, {7, 9}}}, {2}};
    builder.call(k_map, {seed, step}, {out}, {}, {}, &tile);
    std::vector<int32_t> want;
    for (int64_t i = 0; i < n; i++)
      want.push_back((int32_t)philoxWord(12345, 7, 9, 3, (uint32_t)i));
    const auto got = run(builder, {bytesOf(std::vector<int32_t>{12345}),
                                   bytesOf(std::vector<int32_t>{3}), Bytes((size_t)n * 4)});
    expectEqual(got[2], want);
  }
}

TEST_P(TileTest, ChoosesByPhilox) {
  // Of 1, 2, 4, 8, 12 and 20 bits; then elements tie in all bits but the last.
  std::vector<uint32_t> thresholds = {0, 1u << 31, 3u << 30, 5u << 28, 0x81u << 24, 0x801u << 20, 0x80001u << 12, ~0u};
  for (uint32_t at : {0u, 6u, 77u}) {
    for (uint32_t more : {0u, 1u}) thresholds.push_back(philoxBits(12345, 7, 9, 3, at) + more);
  }
  for (int64_t n : {1, 3, 15, 16, 17, 63, 128, 130, 517, 1024, 2000}) {
    for (uint32_t threshold : thresholds) {
      ProgramBuilder builder;
      const int seed = builder.bind(kInt32, {1}, Access::kRead);
      const int step = builder.bind(kInt32, {1}, Access::kRead);
      const int x = builder.bind(kFloat32, {n}, Access::kRead);
      const int kept = builder.bind(kBool, {n}, Access::kWrite);
      const int y = builder.bind(kFloat32, {n}, Access::kWrite);
      const int z = builder.bind(kFloat32, {n}, Access::kWrite);  // as y, but scaled after the choice
      const Tile tile{{n},
                      {{0}, {0}, {1}},
                      {{i_philoxBelow, 3, {0, 1}, {7, 9, (double)threshold}},
                       {i_constFloat, 4, {}, {0}},
                       {i_constFloat, 5, {}, {1.25}},
                       {i_mul, 6, {2, 5}},
                       {i_select, 7, {3, 6, 4}},
                       {i_select, 8, {3, 2, 4}},
                       {i_mul, 8, {8, 5}}},
                      {3, 7, 8}};
      builder.call(k_map, {seed, step, x}, {kept, y, z}, {}, {}, &tile);
      Random random(7);
      std::vector<float> values = random.floats(n);
      std::vector<uint8_t> want;
      std::vector<float> scaled;
      for (int64_t i = 0; i < n; i++) {
        want.push_back(philoxBits(12345, 7, 9, 3, (uint32_t)i) < threshold);
        if (!want.back()) values[(size_t)i] = INFINITY;  // dropped all the same
        scaled.push_back(want.back() ? values[(size_t)i] * 1.25f : 0);
      }
      const auto got = run(builder, {bytesOf(std::vector<int32_t>{12345}),
                                     bytesOf(std::vector<int32_t>{3}), bytesOf(values),
                                     Bytes((size_t)n), Bytes((size_t)n * 4), Bytes((size_t)n * 4)});
      expectEqual(got[3], want);
      expectEqual(got[4], scaled);
      expectEqual(got[5], scaled);
    }
  }
}

TEST_P(TileTest, ComputesLanesApart) {
  // What a lane gives may not depend on its neighbours, or it would depend on the number of
  // threads: the same 64 arguments alone and with every other one huge.
  for (InstructionId op : {i_exp, i_log, i_tanh, i_erf, i_sigmoid, i_sin, i_cos}) {
    ProgramBuilder builder;
    const int in = builder.bind(kFloat32, {64}, Access::kRead);
    const int out = builder.bind(kFloat32, {64}, Access::kWrite);
    const Tile tile{{64}, {{1}}, {{op, 1, {0}}}, {1}};
    builder.call(k_map, {in}, {out}, {}, {}, &tile);
    Random random(6);
    std::vector<float> x = random.floats(64, 0.01f, 9);
    const std::vector<float> alone = valuesOf<float>(run(builder, {bytesOf(x), Bytes(256)})[1]);
    for (size_t i = 1; i < 64; i += 2) x[i] = 2e4f;
    const std::vector<float> among = valuesOf<float>(run(builder, {bytesOf(x), Bytes(256)})[1]);
    for (size_t i = 0; i < 64; i += 2) {
      EXPECT_EQ(alone[i], among[i]) << instructionName(op) << " of " << x[i];
    }
  }
}

TEST_P(TileTest, KeepsNaNAndInfinity) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const std::vector<float> x = {nan, inf, -inf, 0.0f, -0.0f, 1, -1};
  const int64_t n = (int64_t)x.size();
  ProgramBuilder builder;
  const int in = builder.bind(kFloat32, {n}, Access::kRead);
  const int out = builder.bind(kFloat32, {n}, Access::kWrite);
  const int bad = builder.bind(kBool, {n}, Access::kWrite);
  const Tile tile{
      {n}, {{1}}, {{i_maximum, 1, {0, 0}}, {i_relu, 1, {1}}, {i_isNaN, 2, {0}}}, {1, 2}};
  builder.call(k_map, {in}, {out, bad}, {}, {}, &tile);
  const auto got = run(builder, {bytesOf(x), Bytes((size_t)n * 4), Bytes((size_t)n)});
  expectNear(got[1], {NAN, inf, 0, 0, 0, 1, 0}, [](size_t) { return 0.0; });
  EXPECT_EQ(got[2], (Bytes{1, 0, 0, 0, 0, 0, 0}));
}

}  // namespace
