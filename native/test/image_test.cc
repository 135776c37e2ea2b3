// transformImages and its gradient against plain loops: all fill modes, channels around the vector width,
// places far away and not finite; the gradient is the adjoint.
#include "support/random.h"
#include "support/reference.h"

using namespace layerwise;
using namespace layerwise::test;

namespace {

LAYERWISE_KERNEL_SUITE(ImageTest);

constexpr int64_t kN = 2, kH = 5, kW = 4, kOutH = 6, kOutW = 3;
const std::vector<std::vector<float>> kTransforms = {
    {1, 0, 0, 0, 1, 0, 0, 0},
    {0.5f, 0, -0.25f, 0, 0.75f, -0.125f, 0, 0},
    {0.8f, -0.6f, 0.7f, 0.6f, 0.8f, -0.4f, 0, 0},
    {0.9f, 0.2f, -0.3f, 0.1f, 1.1f, 0.2f, 0.02f, -0.03f},
    {7, 0, -30, 0, -5, 17, 0, 0},
    {1e38f, 0, 1, 0, 1, 0, 0, 0},
    {1, 0, 0, 0, 1, 0, -0.5f, 0},
    {__builtin_nanf(""), 0, 0, 0, 1, 0, 0, 0}};

int64_t fold(int64_t i, int64_t size, int mode) {
  if (i >= 0 && i < size) return i;
  if (mode == 0) return -1;
  if (mode == 1) return i < 0 ? 0 : size - 1;
  while (i < 0 || i >= size) {
    if (mode == 3) i += i < 0 ? size : -size;
    else i = i < 0 ? -i - 1 : 2 * size - 1 - i;
  }
  return i;
}

// each(input pixel or −1, output pixel, weight)
template <class Each>
void pixels(const std::vector<float>& t, int mode, bool bilinear, Each each) {
  for (int64_t n = 0; n < kN; n++)
    for (int64_t i = 0; i < kOutH; i++)
      for (int64_t j = 0; j < kOutW; j++) {
        const double x = (double)j, y = (double)i;
        const double k = t[6] * x + t[7] * y + 1.0;
        const double col = ((double)t[0] * x + (double)t[1] * y + t[2]) / k;
        const double row = ((double)t[3] * x + (double)t[4] * y + t[5]) / k;
        const int64_t to = (n * kOutH + i) * kOutW + j;
        if (!(std::abs(col) < 0x1p30 && std::abs(row) < 0x1p30)) {
          each((int64_t)-1, to, 1.0);
          continue;
        }
        auto read = [&](double r, double c, double weight) {
          const int64_t a = fold((int64_t)r, kH, mode), b = fold((int64_t)c, kW, mode);
          each(a < 0 || b < 0 ? -1 : (n * kH + a) * kW + b, to, weight);
        };
        if (!bilinear) {
          read(std::floor(row + 0.5), std::floor(col + 0.5), 1);
          continue;
        }
        const double r = std::floor(row), c = std::floor(col), down = row - r, right = col - c;
        read(r, c, (1 - down) * (1 - right));
        read(r, c + 1, (1 - down) * right);
        read(r + 1, c, down * (1 - right));
        read(r + 1, c + 1, down * right);
      }
}

TEST_P(ImageTest, ReadsAndGivesBack) {
  Random random(1);
  for (const std::vector<float>& t : kTransforms) {
    for (int mode = 0; mode < 4; mode++) {
      for (const int64_t c : {1, 3, 16, 37}) {
        for (const bool bilinear : {false, true}) {
          const int64_t inside = kN * kH * kW * c, outside = kN * kOutH * kOutW * c;
          const std::vector<float> x = random.floats(inside), dy = random.floats(outside);
          std::vector<double> y((size_t)outside), dx((size_t)inside);
          pixels(t, mode, bilinear, [&](int64_t in, int64_t out, double weight) {
            for (int64_t i = 0; i < c; i++) {
              const size_t to = (size_t)(out * c + i), from = (size_t)(in * c + i);
              y[to] += weight * (in < 0 ? 0.25 : x[from]);
              if (in >= 0) dx[from] += weight * dy[to];
            }
          });
          ProgramBuilder builder;
          const int in = builder.bind(kFloat32, {inside}, Access::kRead);
          const int transform = builder.bind(kFloat32, {1, 8}, Access::kRead);
          const int out = builder.bind(kFloat32, {outside}, Access::kWrite);
          const int dOut = builder.bind(kFloat32, {outside}, Access::kRead);
          const int dIn = builder.bind(kFloat32, {inside}, Access::kWrite);
          const std::vector<int64_t> ints = {kN, kH, kW, c, kOutH, kOutW, 1, bilinear, mode};
          builder.call(k_transformImages, {in, transform}, {out}, ints, {0.25});
          builder.call(k_transformImagesGradient, {dOut, transform}, {dIn}, ints);
          const auto got = run(builder, {bytesOf(x), bytesOf(t), Bytes((size_t)outside * 4),
                                         bytesOf(dy), Bytes((size_t)inside * 4)});
          // |x|, |dy| ≤ 1; weights, products and sums round; up to all pixels of an image read one.
          expectNear(got[2], y, [](size_t) { return 12 * kHalfUlp; });
          expectNear(got[4], dx, [](size_t) { return 4.0 * kOutH * kOutW * kHalfUlp; });
        }
      }
    }
  }
}

// Without pixels there is nothing to walk over, however many rows there are.
TEST_P(ImageTest, GivesZerosForRowsWithoutPixels) {
  ProgramBuilder builder;
  const int dy = builder.bind(kFloat32, {0}, Access::kRead);
  const int transforms = builder.bind(kFloat32, {1, 8}, Access::kRead);
  const int dx = builder.bind(kFloat32, {2 * 3 * 4}, Access::kWrite);
  builder.call(k_transformImagesGradient, {dy, transforms}, {dx}, {2, 3, 4, 1, INT32_MAX, 0, 1, 1, 0});
  const std::vector<Bytes> bindings = {{}, bytesOf(std::vector<float>(8)), Bytes(96, (uint8_t)0x7f)};
  expectEqual(run(builder, bindings)[2], std::vector<float>(24));
}

TEST_P(ImageTest, RefusesOtherNumbersOfTransforms) {
  ProgramBuilder builder;
  const int in = builder.bind(kFloat32, {3, 4}, Access::kRead);
  const int transforms = builder.bind(kFloat32, {2, 8}, Access::kRead);
  const int out = builder.bind(kFloat32, {3, 4}, Access::kWrite);
  builder.call(k_transformImages, {in, transforms}, {out}, {3, 2, 2, 1, 2, 2, 2, 0, 0}, {0});
  std::string error;
  EXPECT_EQ(load(GetParam(), builder.encode(), &error), nullptr);
  EXPECT_NE(error.find("2 transforms for 3 images"), std::string::npos) << error;
}

}  // namespace
