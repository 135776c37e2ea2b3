// reduce, moments and cumsum: sums over any axis, with a tile in front, over awkward lengths.
#include <algorithm>
#include <cmath>
#include <limits>

#include "support/random.h"
#include "support/reference.h"

using namespace layerwise;
using namespace layerwise::test;

namespace {

LAYERWISE_KERNEL_SUITE(ReduceTest);

const std::vector<Dims> kShapes = {{1, 1, 1},    {1, 0, 1},    {2, 5, 1}, {3, 17, 1},  {1, 257, 1},
                                   {1, 1000, 1}, {7, 33, 1},   {1, 5, 3}, {2, 16, 17}, {1, 300, 5},
                                   {3, 4, 64},   {1, 40, 513}, {2, 0, 3}, {0, 4, 2},   {1, 5000, 1},
                                   {600, 3, 1},  {1, 513, 16}, {1, 5, 2100}, {1, 2300, 20}};

TEST_P(ReduceTest, ReducesSquares) {
  // All four reducers over x², each in the same pass.
  Random random(1);
  for (const Dims& d : kShapes) {
    const int64_t outer = d[0], axis = d[1], inner = d[2];
    const std::vector<float> x = random.floats(sizeOf(d), -1.1f, 1.1f);
    ProgramBuilder builder;
    const int in = builder.bind(kFloat32, d, Access::kRead);
    std::vector<int> outputs;
    std::vector<Bytes> bindings = {bytesOf(x)};
    for (int r = 0; r < 4; r++) {
      outputs.push_back(builder.bind(kFloat32, {outer, inner}, Access::kWrite));
      bindings.emplace_back((size_t)(outer * inner * 4));
    }
    const Tile tile{d, {{axis * inner, inner, 1}}, {{i_square, 1, {0}}}, {1, 1, 1, 1}};
    builder.call(k_reduce, {in}, outputs, {0, 1, 2, 3}, {0.5, 1, 1, 1}, &tile);
    const double inf = std::numeric_limits<double>::infinity();
    std::vector<double> sum, most, least, product;
    for (int64_t o = 0; o < outer; o++) {
      for (int64_t i = 0; i < inner; i++) {
        double s = 0, high = -inf, low = inf, p = 1;
        for (int64_t a = 0; a < axis; a++) {
          const float v = x[(size_t)((o * axis + a) * inner + i)], square = v * v;
          s += square;
          high = std::max(high, (double)square);
          low = std::min(low, (double)square);
          p *= square;
        }
        sum.push_back(0.5 * s);
        most.push_back(high);
        least.push_back(low);
        product.push_back(p);
      }
    }
    SCOPED_TRACE(testing::Message() << outer << "x" << axis << "x" << inner);
    const auto got = run(builder, bindings);
    // float32 lanes hold at most 256 terms, all of one sign; the scale and the result round once
    // each.
    const double terms = (double)std::min<int64_t>(axis, 256) + 3;
    expectNear(got[1], sum, [&](size_t i) { return terms * kHalfUlp * sum[i]; });
    expectNear(got[2], most, [](size_t) { return 0.0; });
    expectNear(got[3], least, [](size_t) { return 0.0; });
    expectNear(got[4], product,
               [&](size_t i) { return 2 * (double)(axis + 1) * kHalfUlp * product[i] + 1e-36; });
    if (HasFatalFailure()) return;
  }
}

TEST_P(ReduceTest, SumsProductsWithCentredValues) {
  // Σ g and Σ g·(x − mean), as the gradient of batch normalisation has them; without the first too.
  Random random(5);
  for (const Dims& d : kShapes) {
    const int64_t outer = d[0], axis = d[1], inner = d[2];
    const std::vector<float> x = random.floats(sizeOf(d)), mean = random.floats(inner), g = random.floats(sizeOf(d));
    std::vector<double> sum, product, size;
    for (int64_t o = 0; o < outer; o++) {
      for (int64_t i = 0; i < inner; i++) {
        double s = 0, p = 0;
        for (int64_t a = 0; a < axis; a++) {
          const size_t at = (size_t)((o * axis + a) * inner + i);
          s += g[at];
          p += ((double)x[at] - mean[(size_t)i]) * g[at];
        }
        sum.push_back(s);
        product.push_back(p);
      }
    }
    for (bool both : {true, false}) {
      ProgramBuilder builder;
      const int X = builder.bind(kFloat32, d, Access::kRead), M = builder.bind(kFloat32, {inner}, Access::kRead);
      const int G = builder.bind(kFloat32, d, Access::kRead);
      std::vector<int> outputs, results;
      std::vector<int64_t> ints;
      std::vector<Bytes> bindings = {bytesOf(x), bytesOf(mean), bytesOf(g)};
      for (int reg : both ? std::vector<int>{2, 4} : std::vector<int>{4}) {
        outputs.push_back(builder.bind(kFloat32, {outer, inner}, Access::kWrite));
        bindings.emplace_back((size_t)(outer * inner * 4));
        ints.push_back(0);
        results.push_back(reg);
      }
      const Dims whole = {axis * inner, inner, 1};
      const Tile tile{d, {whole, {0, 0, 1}, whole}, {{i_sub, 3, {0, 1}}, {i_mul, 4, {3, 2}}}, results};
      builder.call(k_reduce, {X, M, G}, outputs, ints, std::vector<double>(ints.size(), 1), &tile);
      SCOPED_TRACE(testing::Message() << outer << "x" << axis << "x" << inner << (both ? ", both" : ""));
      const auto got = run(builder, bindings);
      // Terms below 2, at most 256 of them in float32 lanes, each with three roundings.
      const double bound = (double)(std::min<int64_t>(axis, 256) + 3) * 2 * kHalfUlp * (double)axis;
      if (both) expectNear(got[3], sum, [&](size_t) { return bound; });
      expectNear(got[both ? 4 : 3], product, [&](size_t) { return bound; });
      if (HasFailure()) return;
    }
  }
}

TEST_P(ReduceTest, AddsIntegersExactly) {
  Random random(2);
  for (const Dims& d : kShapes) {
    const std::vector<int32_t> x = random.ints(sizeOf(d), INT32_MIN, INT32_MAX);
    ProgramBuilder builder;
    const int in = builder.bind(kInt32, d, Access::kRead);
    const int out = builder.bind(kInt32, {d[0], d[2]}, Access::kWrite);
    const Tile tile{d, {{d[1] * d[2], d[2], 1}}, {}, {0}};
    builder.call(k_reduce, {in}, {out}, {0}, {1}, &tile);
    std::vector<int32_t> want((size_t)(d[0] * d[2]), 0);
    for (int64_t e = 0; e < sizeOf(d); e++) {
      int32_t& sum = want[(size_t)(e / (d[1] * d[2]) * d[2] + e % d[2])];
      sum = (int32_t)((uint32_t)sum + (uint32_t)x[(size_t)e]);
    }
    expectEqual(run(builder, {bytesOf(x), Bytes(want.size() * 4)})[1], want);
    if (HasFatalFailure()) return;
  }
}

TEST_P(ReduceTest, FindsMoments) {
  Random random(3);
  for (const Dims& d : kShapes) {
    if (d[1] == 0) continue;  // no mean of nothing
    const int64_t outer = d[0], axis = d[1], inner = d[2];
    // Far from zero: a one-pass formula would lose the variance.
    const std::vector<float> x = random.floats(sizeOf(d), 99, 101);
    ProgramBuilder builder;
    const int in = builder.bind(kFloat32, d, Access::kRead);
    const int mean = builder.bind(kFloat32, {outer, inner}, Access::kWrite);
    const int variance = builder.bind(kFloat32, {outer, inner}, Access::kWrite);
    builder.call(k_moments, {in}, {mean, variance}, d);
    std::vector<double> means, variances;
    for (int64_t o = 0; o < outer; o++) {
      for (int64_t i = 0; i < inner; i++) {
        double m = 0, v = 0;
        const auto at = [&](int64_t a) { return (double)x[(size_t)((o * axis + a) * inner + i)]; };
        for (int64_t a = 0; a < axis; a++) m += at(a) / (double)axis;
        for (int64_t a = 0; a < axis; a++) v += (at(a) - m) * (at(a) - m) / (double)axis;
        means.push_back(m);
        variances.push_back(v);
      }
    }
    SCOPED_TRACE(testing::Message() << outer << "x" << axis << "x" << inner);
    const size_t bytes = means.size() * 4;
    const auto got = run(builder, {bytesOf(x), Bytes(bytes), Bytes(bytes)});
    expectNear(got[1], means, [&](size_t i) { return 4 * kHalfUlp * std::abs(means[i]); });
    // The mean's own rounding, squared, and the summation's.
    expectNear(got[2], variances, [&](size_t i) { return 1e-4 * variances[i] + 1e-9; });
    if (HasFatalFailure()) return;
  }
}

TEST_P(ReduceTest, MergesMomentsOfRowsThatDrift) {
  // Columns are cut into chunks of rows from 2 048 rows on, chunks into blocks of at most 64. With a mean that
  // moves from row to row most of the variance lies between them, and what is left is small against the mean.
  Random random(5);
  for (const Dims& d : {Dims{1, 2048, 2}, {1, 2500, 3}, {3, 3000, 40}, {1, 5000, 65}}) {
    const int64_t outer = d[0], axis = d[1], inner = d[2];
    std::vector<float> x = random.floats(sizeOf(d));
    std::vector<double> means((size_t)(outer * inner)), variances(means.size());
    const auto over = [&](auto visit) {
      for (int64_t e = 0; e < sizeOf(d); e++) {
        visit(x[(size_t)e], (size_t)(e / (axis * inner) * inner + e % inner), e / inner % axis);
      }
    };
    over([&](float& v, size_t, int64_t row) { v += 1000 + 40 * (float)row / (float)axis; });
    over([&](float v, size_t i, int64_t) { means[i] += v / (double)axis; });
    over([&](float v, size_t i, int64_t) { variances[i] += (v - means[i]) * (v - means[i]) / (double)axis; });
    ProgramBuilder builder;
    const int in = builder.bind(kFloat32, d, Access::kRead);
    const int mean = builder.bind(kFloat32, {outer, inner}, Access::kWrite);
    const int variance = builder.bind(kFloat32, {outer, inner}, Access::kWrite);
    builder.call(k_moments, {in}, {mean, variance}, d);
    SCOPED_TRACE(testing::Message() << outer << "x" << axis << "x" << inner);
    const auto got = run(builder, {bytesOf(x), Bytes(means.size() * 4), Bytes(means.size() * 4)});
    expectNear(got[1], means, [&](size_t i) { return 2 * kHalfUlp * means[i]; });
    // A block's 64 squares are added in float32, everything else in double.
    expectNear(got[2], variances, [&](size_t i) { return 66 * kHalfUlp * variances[i]; });
    if (HasFatalFailure()) return;
  }
}

TEST_P(ReduceTest, FindsAVarianceBelowTheMeansRounding) {
  // Neighbouring floats in turns: their mean lies between them and is rounded by as much as they deviate.
  for (int64_t inner : {1, 3, 40}) {
    for (int64_t axis : {2, 64, 1000}) {
      std::vector<float> x;
      for (int64_t i = 0; i < axis * inner; i++) x.push_back(10000 + (float)(i / inner % 2) * 0x1p-10f);
      ProgramBuilder builder;
      const int in = builder.bind(kFloat32, {1, axis, inner}, Access::kRead);
      const int mean = builder.bind(kFloat32, {inner}, Access::kWrite);
      const int variance = builder.bind(kFloat32, {inner}, Access::kWrite);
      builder.call(k_moments, {in}, {mean, variance}, {1, axis, inner});
      const size_t bytes = (size_t)inner * 4;
      const auto got = run(builder, {bytesOf(x), Bytes(bytes), Bytes(bytes)});
      SCOPED_TRACE(testing::Message() << axis << "x" << inner);
      expectNear(got[2], std::vector<double>((size_t)inner, 0x1p-22),
                 [](size_t) { return 0.1 * 0x1p-22; });  // the sum's rounding, squared
    }
  }
}

TEST_P(ReduceTest, FindsMomentsOfLevelsFarApart) {
  // Sums are taken about the mean of the rows before: each level begins where another block or chunk does.
  Random random(5);
  for (int64_t inner : {3, 40, 300}) {
    for (int64_t jump : {1, 32, 160, 1280}) {
      const int64_t axis = 2100;
      std::vector<float> x = random.floats(axis * inner, -1, 1);
      for (int64_t i = jump * inner; i < axis * inner; i++) x[(size_t)i] += 1000;
      ProgramBuilder builder;
      const int in = builder.bind(kFloat32, {1, axis, inner}, Access::kRead);
      const int mean = builder.bind(kFloat32, {inner}, Access::kWrite);
      const int variance = builder.bind(kFloat32, {inner}, Access::kWrite);
      builder.call(k_moments, {in}, {mean, variance}, {1, axis, inner});
      std::vector<double> means, variances;
      for (int64_t i = 0; i < inner; i++) {
        double m = 0, v = 0;
        const auto at = [&](int64_t a) { return (double)x[(size_t)(a * inner + i)]; };
        for (int64_t a = 0; a < axis; a++) m += at(a) / (double)axis;
        for (int64_t a = 0; a < axis; a++) v += (at(a) - m) * (at(a) - m) / (double)axis;
        means.push_back(m);
        variances.push_back(v);
      }
      const size_t bytes = (size_t)inner * 4;
      const auto got = run(builder, {bytesOf(x), Bytes(bytes), Bytes(bytes)});
      SCOPED_TRACE(testing::Message() << inner << " columns, jump at " << jump);
      expectNear(got[1], means, [&](size_t i) { return 4 * kHalfUlp * std::abs(means[i]); });
      // 128 terms in float32, each with the rounding of its distance, and a few times that where a level begins.
      expectNear(got[2], variances, [&](size_t i) { return 1000 * kHalfUlp * variances[i]; });
    }
  }
}

TEST_P(ReduceTest, SumsUp) {
  Random random(4);
  for (const Dims& d : kShapes) {
    for (int form = 0; form < 4; form++) {
      const bool exclusive = form & 1, reverse = form & 2;
      const int64_t outer = d[0], axis = d[1], inner = d[2];
      const std::vector<int32_t> x = random.ints(sizeOf(d), -50, 50);
      const std::vector<float> xf(x.begin(), x.end());
      ProgramBuilder builder;
      const int in = builder.bind(kInt32, d, Access::kRead);
      const int out = builder.bind(kInt32, d, Access::kWrite);
      const int inFloat = builder.bind(kFloat32, d, Access::kRead);
      const int outFloat = builder.bind(kFloat32, d, Access::kWrite);
      builder.call(k_cumsum, {in}, {out}, {outer, axis, inner, exclusive, reverse});
      builder.call(k_cumsum, {inFloat}, {outFloat}, {outer, axis, inner, exclusive, reverse});
      std::vector<int32_t> want(x.size());
      for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < inner; i++) {
          int32_t sum = 0;
          for (int64_t k = 0; k < axis; k++) {
            const int64_t a = reverse ? axis - 1 - k : k;
            const size_t at = (size_t)((o * axis + a) * inner + i);
            want[at] = exclusive ? sum : sum + x[at];
            sum += x[at];
          }
        }
      }
      const size_t bytes = x.size() * 4;
      const auto got = run(builder, {bytesOf(x), Bytes(bytes), bytesOf(xf), Bytes(bytes)});
      expectEqual(got[1], want);
      // Integers this small are exact in float32, whatever the order.
      expectEqual(got[3], std::vector<float>(want.begin(), want.end()));
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
