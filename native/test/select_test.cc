// argReduce and topK: exact, with ties, NaN and every length.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "support/random.h"
#include "support/reference.h"

using namespace layerwise;
using namespace layerwise::test;

namespace {

LAYERWISE_KERNEL_SUITE(SelectTest);

// Few different values, so that ties are common; sometimes NaN.
std::vector<float> tied(Random& random, int64_t n, bool withNaN) {
  std::vector<float> values;
  for (int64_t i = 0; i < n; i++) {
    values.push_back(withNaN && random.chance(0.02) ? NAN : (float)random.below(20) - 10);
  }
  return values;
}

// NaN is the largest for both directions.
double key(float x, bool isMin) {
  if (std::isnan(x)) return INFINITY;
  return isMin ? -x : x;
}

TEST_P(SelectTest, FindsTheFirst) {
  Random random(1);
  for (const Dims& d : std::vector<Dims>{{1, 1, 1},
                                         {3, 5, 1},
                                         {2, 16, 1},
                                         {1, 33, 1},
                                         {1, 1000, 1},
                                         {2, 7, 3},
                                         {1, 40, 17},
                                         {3, 9, 64},
                                         {2, 3, 513},
                                         {0, 3, 2}}) {
    for (bool isMin : {false, true}) {
      for (DType dtype : {kFloat32, kInt32}) {
        const std::vector<float> x = tied(random, sizeOf(d), dtype == kFloat32);
        ProgramBuilder builder;
        const int in = builder.bind(dtype, d, Access::kRead);
        const int out = builder.bind(kInt32, {d[0], d[2]}, Access::kWrite);
        builder.call(k_argReduce, {in}, {out}, {d[0], d[1], d[2], isMin});
        std::vector<int32_t> want;
        for (int64_t o = 0; o < d[0]; o++) {
          for (int64_t i = 0; i < d[2]; i++) {
            const auto value = [&](int64_t a) {
              return key(x[(size_t)((o * d[1] + a) * d[2] + i)], isMin);
            };
            int32_t best = 0;
            for (int32_t a = 1; a < d[1]; a++) best = value(a) > value(best) ? a : best;
            want.push_back(best);
          }
        }
        const std::vector<int32_t> integers(x.begin(), x.end());
        const Bytes input = dtype == kFloat32 ? bytesOf(x) : bytesOf(integers);
        expectEqual(run(builder, {input, Bytes(want.size() * 4)})[1], want);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(SelectTest, FindsTheLargest) {
  Random random(2);
  for (const Dims& d :
       std::vector<Dims>{{1, 1}, {3, 7}, {2, 16}, {2, 33}, {1, 500}, {4, 3}, {0, 4}}) {
    for (int64_t k : {int64_t{0}, int64_t{1}, std::min<int64_t>(5, d[1]), d[1]}) {
      const std::vector<float> x = tied(random, sizeOf(d), true);
      ProgramBuilder builder;
      const int in = builder.bind(kFloat32, d, Access::kRead);
      const int values = builder.bind(kFloat32, {d[0], k}, Access::kWrite);
      const int indices = builder.bind(kInt32, {d[0], k}, Access::kWrite);
      builder.call(k_topK, {in}, {values, indices}, {d[0], d[1], k});
      std::vector<double> wantValues;
      std::vector<int32_t> wantIndices;
      for (int64_t r = 0; r < d[0]; r++) {
        const float* row = x.data() + r * d[1];
        std::vector<int32_t> order((size_t)d[1]);
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
          return key(row[a], false) > key(row[b], false);
        });
        for (int64_t j = 0; j < k; j++) {
          wantIndices.push_back(order[(size_t)j]);
          wantValues.push_back(row[order[(size_t)j]]);
        }
      }
      const size_t bytes = wantIndices.size() * 4;
      const auto got = run(builder, {bytesOf(x), Bytes(bytes), Bytes(bytes)});
      expectNear(got[1], wantValues, [](size_t) { return 0.0; });
      expectEqual(got[2], wantIndices);
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
