// softmax and the two cross-entropies, with gradients, smoothing and their data error.
#include <algorithm>
#include <cmath>

#include "support/random.h"
#include "support/reference.h"

using namespace layerwise;
using namespace layerwise::test;

namespace {

LAYERWISE_KERNEL_SUITE(SoftmaxTest);

const std::vector<Dims> kShapes = {{1, 1},  {3, 2},   {4, 10},  {5, 15},   {7, 16},
                                   {2, 17}, {3, 255}, {2, 300}, {1, 1030}, {0, 4}};

struct Softmax {
  std::vector<double> p, logs;
};

Softmax softmaxOf(const std::vector<float>& z, int64_t cols) {
  Softmax s;
  for (size_t row = 0; row < z.size(); row += (size_t)cols) {
    double most = z[row], sum = 0;
    for (int64_t c = 0; c < cols; c++) most = std::max(most, (double)z[row + (size_t)c]);
    for (int64_t c = 0; c < cols; c++) sum += std::exp(z[row + (size_t)c] - most);
    for (int64_t c = 0; c < cols; c++) {
      const double log = z[row + (size_t)c] - most - std::log(sum);
      s.logs.push_back(log);
      s.p.push_back(std::exp(log));
    }
  }
  return s;
}

// exp to 4 ULP of arguments rounded once (|z − max| ≤ 20: 20·½ ULP relative), sums of up to 1030
// terms in chunks of 256 over 16 lanes, one division.
constexpr double kRelative = 80 * kHalfUlp;

TEST_P(SoftmaxTest, NormalizesRows) {
  Random random(1);
  for (const Dims& d : kShapes) {
    const std::vector<float> z = random.floats(sizeOf(d), -10, 10);
    ProgramBuilder builder;
    const int in = builder.bind(kFloat32, d, Access::kRead);
    const int p = builder.bind(kFloat32, d, Access::kWrite);
    const int logs = builder.bind(kFloat32, d, Access::kWrite);
    builder.call(k_softmax, {in}, {p}, {d[0], d[1], 0});
    builder.call(k_softmax, {in}, {logs}, {d[0], d[1], 1});
    const Softmax want = softmaxOf(z, d[1]);
    const auto got = run(builder, {bytesOf(z), Bytes(z.size() * 4), Bytes(z.size() * 4)});
    expectNear(got[1], want.p, [&](size_t i) { return kRelative * want.p[i]; });
    expectNear(got[2], want.logs,
               [&](size_t i) { return kRelative * (1 + std::abs(want.logs[i])); });
    if (HasFatalFailure()) return;
  }
}

TEST_P(SoftmaxTest, TakesCrossEntropy) {
  Random random(2);
  for (const Dims& d : kShapes) {
    for (double smoothing : {0.0, 0.2}) {
      const int64_t rows = d[0], cols = d[1];
      const std::vector<float> z = random.floats(sizeOf(d), -10, 10);
      const std::vector<float> targets = random.floats(sizeOf(d), 0, 1);
      const std::vector<int32_t> labels = random.ints(rows, 0, cols);
      ProgramBuilder builder;
      const int Z = builder.bind(kFloat32, d, Access::kRead);
      const int T = builder.bind(kFloat32, d, Access::kRead);
      const int L = builder.bind(kInt32, {rows}, Access::kRead);
      const int loss = builder.bind(kFloat32, {rows}, Access::kWrite);
      const int gradient = builder.bind(kFloat32, d, Access::kWrite);
      const int sparseLoss = builder.bind(kFloat32, {rows}, Access::kWrite);
      const int sparseGradient = builder.bind(kFloat32, d, Access::kWrite);
      builder.call(k_softmaxCrossEntropy, {Z, T}, {loss, gradient}, d, {smoothing});
      builder.call(k_sparseSoftmaxCrossEntropy, {Z, L}, {sparseLoss, sparseGradient}, d,
                   {smoothing});
      const Softmax softmax = softmaxOf(z, cols);
      for (bool sparse : {false, true}) {
        std::vector<double> losses, gradients, weights;
        for (int64_t r = 0; r < rows; r++) {
          double total = 0, sum = 0;
          const auto target = [&](int64_t c) {
            const double t =
                sparse ? labels[(size_t)r] == c : (double)targets[(size_t)(r * cols + c)];
            return t * (1 - smoothing) + smoothing / (double)cols;
          };
          for (int64_t c = 0; c < cols; c++) {
            sum -= target(c) * softmax.logs[(size_t)(r * cols + c)];
            total += target(c);
          }
          losses.push_back(sum);
          for (int64_t c = 0; c < cols; c++) {
            gradients.push_back(softmax.p[(size_t)(r * cols + c)] * total - target(c));
            weights.push_back(softmax.p[(size_t)(r * cols + c)] * total + target(c));
          }
        }
        SCOPED_TRACE(testing::Message() << rows << "x" << cols << (sparse ? " sparse" : ""));
        const auto got =
            run(builder, {bytesOf(z), bytesOf(targets), bytesOf(labels), Bytes((size_t)rows * 4),
                          Bytes(z.size() * 4), Bytes((size_t)rows * 4), Bytes(z.size() * 4)});
        expectNear(got[sparse ? 5 : 3], losses,
                   [&](size_t i) { return 2 * kRelative * (1 + losses[i]); });
        expectNear(got[sparse ? 6 : 4], gradients,
                   [&](size_t i) { return 2 * kRelative * weights[i]; });
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(SoftmaxTest, RefusesALabelOutOfRange) {
  for (int32_t label : {-1, 3, INT32_MIN, INT32_MAX}) {
    ProgramBuilder builder;
    const int Z = builder.bind(kFloat32, {2, 3}, Access::kRead);
    const int L = builder.bind(kInt32, {2}, Access::kRead);
    const int loss = builder.bind(kFloat32, {2}, Access::kWrite);
    const int gradient = builder.bind(kFloat32, {2, 3}, Access::kWrite);
    builder.call(k_sparseSoftmaxCrossEntropy, {Z, L}, {loss, gradient}, {2, 3}, {0});
    const Bytes labels = bytesOf(std::vector<int32_t>{0, label});
    EXPECT_EQ(failure(builder, {Bytes(24), labels, Bytes(8), Bytes(24)}),
              "sparseSoftmaxCrossEntropy: label " + std::to_string(label) +
                  " at position 1 lies outside [0, 3) (Program call 0)");
  }
}

}  // namespace
