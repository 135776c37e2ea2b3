// conv2d and its gradients: every algorithm at its edges, strides, paddings, dilations, groups, epilogues.
#include <algorithm>

#include "support/random.h"
#include "support/reference.h"

using namespace layerwise;
using namespace layerwise::test;

namespace {

LAYERWISE_KERNEL_SUITE(ConvolutionTest);

constexpr KernelId kDirections[] = {k_conv2d, k_conv2dInputGradient, k_conv2dFilterGradient};

struct Shape {
  int64_t batch, height, width, channels, filters, kernelHeight, kernelWidth;
  int64_t strideHeight = 1, strideWidth = 1, padTop = 0, padLeft = 0, dilationHeight = 1, dilationWidth = 1,
          groups = 1;
  bool winograd = false;
  int64_t missing = 0;  // rows and columns of the result that are left out; more than fit if negative
  int64_t outHeight() const {
    return positions(height + 2 * padTop - (kernelHeight - 1) * dilationHeight - 1, strideHeight);
  }
  int64_t outWidth() const {
    return positions(width + 2 * padLeft - (kernelWidth - 1) * dilationWidth - 1, strideWidth);
  }
  int64_t positions(int64_t room, int64_t stride) const {
    return std::max<int64_t>(0, (room < 0 ? 0 : room / stride + 1) - missing);
  }
  std::vector<int64_t> ints() const {
    return {batch, height, width, channels, outHeight(), outWidth(), filters, kernelHeight, kernelWidth,
            strideHeight, strideWidth, padTop, padLeft, dilationHeight, dilationWidth, groups, winograd};
  }
  int64_t sizeX() const { return batch * height * width * channels; }
  int64_t sizeW() const { return kernelHeight * kernelWidth * channels / groups * filters; }
  int64_t sizeY() const { return batch * outHeight() * outWidth() * filters; }
  int64_t terms(KernelId kernel) const {
    return kernel == k_conv2d                ? kernelHeight * kernelWidth * channels / groups
           : kernel == k_conv2dInputGradient ? kernelHeight * kernelWidth * filters / groups
                                             : batch * outHeight() * outWidth();
  }
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  for (int64_t v : s.ints()) out << v << " ";
  return out;
}

struct Product {
  std::vector<double> values, magnitudes;  // Σ a·b and Σ |a·b|
};

// Over all x, w and y that meet: the third from the two at hand.
Product convolve(const Shape& s, KernelId kernel, const std::vector<float>& a, const std::vector<float>& b) {
  const int64_t size = kernel == k_conv2d ? s.sizeY() : kernel == k_conv2dInputGradient ? s.sizeX() : s.sizeW();
  Product p{std::vector<double>((size_t)size), std::vector<double>((size_t)size)};
  const int64_t own = s.channels / s.groups, each = s.filters / s.groups;
  const auto add = [&](int64_t x, int64_t w, int64_t y) {
    const double term = kernel == k_conv2d                ? (double)a[(size_t)x] * (double)b[(size_t)w]
                        : kernel == k_conv2dInputGradient ? (double)a[(size_t)y] * (double)b[(size_t)w]
                                                          : (double)a[(size_t)x] * (double)b[(size_t)y];
    const int64_t at = kernel == k_conv2d ? y : kernel == k_conv2dInputGradient ? x : w;
    p.values[(size_t)at] += term;
    p.magnitudes[(size_t)at] += std::abs(term);
  };
  for (int64_t n = 0; n < s.batch; n++)
    for (int64_t i = 0; i < s.outHeight(); i++)
      for (int64_t j = 0; j < s.outWidth(); j++)
        for (int64_t k = 0; k < s.kernelHeight; k++)
          for (int64_t l = 0; l < s.kernelWidth; l++) {
            const int64_t row = i * s.strideHeight - s.padTop + k * s.dilationHeight;
            const int64_t column = j * s.strideWidth - s.padLeft + l * s.dilationWidth;
            if (row < 0 || column < 0 || row >= s.height || column >= s.width) continue;
            for (int64_t o = 0; o < s.filters; o++)
              for (int64_t c = 0; c < own; c++)
                add(((n * s.height + row) * s.width + column) * s.channels + o / each * own + c,
                    ((k * s.kernelWidth + l) * own + c) * s.filters + o,
                    ((n * s.outHeight() + i) * s.outWidth() + j) * s.filters + o);
          }
  return p;
}

// As in gemm: chains of 256 terms, then the sum of their results (of rows and chunks in a filter's gradient).
double errorPerMagnitude(int64_t terms) {
  return kHalfUlp * (double)(2 * std::min<int64_t>(terms, 256) + terms / 256 + 24);
}

// A call's operands and outputs as bindings.
struct Case {
  Case(const Shape& shape, KernelId id, Random& random) : s(shape), kernel(id) {
    a = random.floats(kernel == k_conv2dInputGradient ? s.sizeY() : s.sizeX());
    b = random.floats(kernel == k_conv2dFilterGradient ? s.sizeY() : s.sizeW());
    A = input(a), B = input(b);
  }
  int64_t columns() const { return kernel == k_conv2dInputGradient ? s.channels : s.filters; }
  int64_t size() const {
    return kernel == k_conv2d ? s.sizeY() : kernel == k_conv2dInputGradient ? s.sizeX() : s.sizeW();
  }
  int64_t rows() const {
    return kernel == k_conv2d                ? s.batch * s.outHeight() * s.outWidth()
           : kernel == k_conv2dInputGradient ? s.batch * s.height * s.width
                                             : s.kernelHeight * s.kernelWidth * (s.channels / s.groups);
  }
  int input(const std::vector<float>& values) {
    bindings.push_back(bytesOf(values));
    return builder.bind(kFloat32, {(int64_t)values.size()}, Access::kRead);
  }
  int output(DType dtype = kFloat32) {
    bindings.emplace_back((size_t)(size() * bytesPerElement(dtype)), (uint8_t)0x7f);
    return builder.bind(dtype, {size()}, Access::kWrite);
  }

  Shape s;
  KernelId kernel;
  std::vector<float> a, b;
  ProgramBuilder builder;
  int A, B;
  std::vector<Bytes> bindings;
};

// Channels by themselves, at the edges of how channel_rows.h cuts: rows of several segments, more rows than are
// taken at a time, several results per channel, more blocks of channels than are taken at a time.
std::vector<Shape> depthwise() {
  std::vector<Shape> list = {
      {2, 3, 150, 20, 20, 3, 3, 1, 1, 1, 1, 1, 1, 20},  {1, 9, 141, 17, 17, 3, 3, 2, 2, 1, 1, 1, 1, 17},
      {3, 19, 7, 33, 33, 3, 3, 1, 1, 1, 1, 1, 1, 33},   {1, 23, 3, 8, 8, 5, 3, 1, 1, 2, 1, 2, 1, 8},
      {2, 7, 9, 6, 18, 3, 3, 1, 1, 1, 1, 1, 1, 6},      {1, 8, 70, 5, 10, 3, 2, 2, 1, 1, 1, 1, 2, 5},
      {1, 6, 5, 3, 120, 3, 3, 2, 2, 1, 1, 1, 1, 3},     {1, 2, 67, 9, 9, 1, 7, 1, 1, 0, 6, 1, 3, 9},
      {2, 13, 11, 64, 64, 3, 3, 2, 2, 1, 1, 1, 1, 64},  {1, 5, 141, 32, 32, 5, 5, 2, 3, 2, 4, 1, 2, 32},
      {2, 3, 40, 1040, 1040, 3, 3, 1, 1, 1, 1, 1, 1, 1040},
  };
  // Squares of taps, read in place: one row, one pixel in a row, with and without padding on each side; several strips of an
  // image and slices of its channels, and rows of which each is a strip.
  const std::vector<Shape> squares = {{2, 1, 9, 32, 32, 3, 3, 1, 1, 1, 1}, {3, 2, 1, 16, 16, 3, 3, 1, 1, 1, 1},
                                      {1, 7, 15, 48, 48, 3, 3},            {2, 5, 130, 32, 32, 3, 3, 1, 1, 1, 0},
                                      {1, 6, 8, 16, 16, 3, 3, 1, 1, 0, 1}, {1, 60, 23, 80, 80, 3, 3, 1, 1, 1, 1},
                                      {1, 4, 9, 32, 32, 3, 3, 1, 1, 3, 1}, {2, 5, 6, 16, 16, 3, 3, 1, 1, 5, 1},
                                      {1, 3, 7, 48, 48, 3, 3, 1, 1, 2, 0}, {1, 40, 200, 64, 64, 3, 3, 1, 1, 1, 1},
                                      {1, 9, 1300, 16, 16, 3, 3, 1, 1, 1, 1}};
  for (Shape s : squares) {
    s.groups = s.channels;
    list.push_back(s);
    // Padding on the left alone, or on the right.
    s.missing = s.padLeft > 0 ? 1 : -1;
    if (s.height > 2 && s.width > 2) list.push_back(s);
    // Rows far beyond the image.
    s.missing = -6;
    list.push_back(s);
  }
  return list;
}

// An image in each lane, and a single row in segments.
std::vector<Shape> lanes() {
  return {{18, 9, 8, 3, 5, 3, 3, 1, 1, 1, 1}, {33, 7, 6, 1, 4, 2, 3}, {2, 1, 300, 6, 20, 1, 5, 1, 1, 0, 2}};
}

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = [] {
    std::vector<Shape> list = {
        {1, 1, 1, 1, 1, 1, 1},
        {2, 5, 4, 1, 3, 3, 3},
        {2, 6, 7, 3, 17, 3, 3, 1, 1, 1, 1},
        {1, 13, 11, 3, 20, 7, 7, 2, 2, 3, 3},
        {2, 9, 8, 20, 33, 3, 2, 1, 1, 1, 1},
        {1, 5, 5, 130, 40, 3, 3, 1, 1, 1, 1},
        {1, 9, 9, 6, 5, 3, 3, 2, 3, 1, 0},
        {2, 7, 6, 5, 4, 2, 2, 3, 4},
        {1, 4, 30, 2, 3, 1, 5, 1, 2, 0, 4},
        {1, 12, 12, 3, 4, 3, 3, 1, 1, 2, 2, 2, 3},
        {1, 12, 13, 4, 5, 3, 2, 4, 2, 3, 1, 2, 4},
        {2, 3, 3, 3, 4, 3, 3, 1, 1, 4, 5},
        {1, 3, 4, 2, 3, 6, 7, 1, 1, 3, 3},
        {1, 5, 5, 3, 4, 1, 1, 9, 8},
        // Groups, and channels by themselves.
        {2, 6, 5, 8, 12, 3, 3, 1, 1, 1, 1, 1, 1, 2},
        {1, 7, 7, 9, 6, 3, 3, 2, 2, 1, 1, 1, 1, 3},
        {1, 6, 5, 3, 9, 3, 3, 1, 1, 1, 1, 1, 1, 3},
        {2, 9, 10, 5, 5, 3, 3, 1, 1, 1, 1, 1, 1, 5},
        {1, 11, 12, 37, 37, 3, 3, 2, 2, 1, 1, 1, 1, 37},
        {2, 8, 13, 18, 18, 5, 4, 1, 3, 2, 2, 2, 1, 18},
        {1, 3, 3, 4, 4, 5, 5, 1, 1, 3, 3, 1, 1, 4},
        // Nothing.
        {0, 4, 4, 2, 2, 3, 3, 1, 1, 1, 1},
        {1, 0, 4, 2, 2, 3, 3, 1, 1, 1, 1},
        {1, 4, 4, 0, 2, 3, 3},
        {1, 4, 4, 2, 0, 3, 3},
        {2, 15, 4, 5, 0, 3, 2, 1, 2, 1, 2, 2, 1, 5},
        {1, 6, 6, 4, 0, 3, 3, 1, 1, 1, 1, 1, 1, 4},
        {1, 2, 2, 2, 2, 5, 5},
        // More pixels than a chunk has.
        {5, 30, 30, 2, 3, 3, 3, 1, 1, 1, 1},
        // Images without pixels: their gradient has no phases.
        {2, 4, 0, 2, 2, 3, 3, 1, 1, 1, 2},
        {2, 5, 0, 2, 2, 1, 1, 2, 2, 0, 1},
        {2, 4, 0, 20, 20, 3, 3, 1, 1, 1, 2, 1, 1, 1, true},
        // The first block of terms, all in the padding.
        {1, 5, 6, 34, 20, 5, 3, 1, 1, 4, 1},
        {1, 5, 9, 34, 2, 5, 3, 1, 1, 4, 1},
        // Blocks of terms of a single tap, which some pixels of a row have in the padding: of one image, whose filter is
        // packed as it is used, and of several; all taps of a column in the padding; an image in each lane.
        {1, 7, 7, 150, 70, 3, 3, 1, 1, 1, 1},
        {1, 7, 15, 70, 300, 3, 3, 1, 1, 1, 1},
        {2, 5, 6, 300, 40, 3, 2, 1, 1, 2, 3},
        {1, 6, 9, 40, 200, 2, 3, 1, 2, 1, 2, 1, 2},
        {1, 4, 3, 160, 150, 3, 5, 1, 1, 1, 4},
        {2, 9, 8, 170, 20, 3, 4, 2, 3, 2, 4},
        {17, 4, 5, 150, 3, 3, 3, 1, 1, 1, 1},
        // Of no pixel at all.
        {1, 2, 2, 150, 160, 3, 3, 2, 2, 1, 1},
        {1, 3, 3, 150, 160, 3, 3, 1, 1, 4, 4, 4, 4},
        // Few pixels of many filters, whose gradient is dot products: all their taps, none, several blocks of terms.
        {1, 4, 4, 9, 70, 3, 3, 1, 1, 1, 1},
        {1, 2, 2, 40, 130, 3, 3, 1, 1, 1, 1},
        {2, 3, 5, 33, 600, 3, 2, 1, 1, 1, 0, 2, 1},
        {1, 8, 8, 20, 128, 3, 3, 1, 1, 1, 1},
        {1, 2, 2, 20, 80, 5, 5, 1, 1, 4, 4},
        {1, 1, 2, 5, 9000, 1, 2},
        {1, 1, 1, 20, 130, 3, 3, 1, 1, 1, 1},
        {1, 1, 1, 3, 9000, 1, 1},
        // More taps than a block has terms.
        {1, 17, 18, 1, 40, 17, 17},
        {2, 18, 23, 1, 5, 17, 18, 1, 3, 1},
        {1, 19, 18, 3, 3, 18, 17, 1, 1, 0, 0, 1, 1, 3},
    };
    for (const Shape& s : depthwise()) list.push_back(s);
    for (const Shape& s : lanes()) list.push_back(s);
    // Results that leave out what would fit, or reach beyond it.
    for (int64_t missing : {1, -2}) {
      Shape s = {2, 7, 8, 3, 4, 3, 3, 2, 1, 1, 1};
      s.missing = missing;
      list.push_back(s);
      s.channels = s.filters = s.groups = 4;
      list.push_back(s);
    }
    return list;
  }();
  return all;
}

Shape drawn(Random& random) {
  Shape s{};
  const bool manyImages = random.chance(0.3);
  s.batch = manyImages ? 16 + random.below(24) : 1 + random.below(2);
  s.height = 1 + random.below(12), s.width = 1 + random.below(12);
  s.groups = random.chance(0.3) ? 1 + random.below(4) : 1;
  s.channels = s.groups * (1 + random.below(s.groups > 1 ? 8 : 30));
  if (manyImages) s.channels = s.groups * (1 + random.below(8));
  s.filters = random.chance(0.3) && s.groups > 1 ? s.channels : s.groups * (1 + random.below(20));
  if (random.chance(0.2)) s.channels = s.filters = s.groups = 1 + random.below(40);
  s.kernelHeight = 1 + random.below(4), s.kernelWidth = 1 + random.below(4);
  // Hundreds of taps, of few channels.
  if (random.chance(0.1)) {
    s.kernelHeight = 1 + random.below(24), s.kernelWidth = 1 + random.below(24);
    s.channels = s.groups * (1 + random.below(2));
    s.height += s.kernelHeight, s.width += s.kernelWidth;
  }
  s.strideHeight = 1 + random.below(3), s.strideWidth = 1 + random.below(3);
  s.padTop = random.below(4), s.padLeft = random.below(4);
  s.dilationHeight = 1 + random.below(3), s.dilationWidth = 1 + random.below(3);
  s.missing = random.chance(0.2) ? random.below(5) - 2 : 0;
  return s;
}

TEST_P(ConvolutionTest, SumsWhatMeets) {
  Random random(1);
  std::vector<Shape> all = shapes();
  for (int turn = 0; turn < 90; turn++) all.push_back(drawn(random));
  for (const Shape& s : all) {
    for (KernelId kernel : kDirections) {
      Case c(s, kernel, random);
      c.builder.call(kernel, {c.A, c.B}, {c.output()}, s.ints());
      const Product want = convolve(s, kernel, c.a, c.b);
      SCOPED_TRACE(testing::Message() << "kernel " << kernel << ": " << s);
      const Bytes got = run(c.builder, c.bindings)[2];
      expectNear(got, want.values,
                 [&](size_t i) { return errorPerMagnitude(s.terms(kernel)) * want.magnitudes[i]; });
      if (HasFatalFailure()) return;
    }
  }
}

// A result that is stored around the caches.
TEST_P(ConvolutionTest, WritesLargeResults) {
  Random random(7);
  const Shape s = {1, 520, 505, 32, 32, 3, 3, 1, 1, 1, 1, 1, 1, 32};
  for (KernelId kernel : {k_conv2d, k_conv2dInputGradient}) {
    Case c(s, kernel, random);
    ASSERT_GT(c.size(), 1 << 23);
    c.builder.call(kernel, {c.A, c.B}, {c.output()}, s.ints());
    const Product want = convolve(s, kernel, c.a, c.b);
    expectNear(run(c.builder, c.bindings)[2], want.values,
               [&](size_t i) { return errorPerMagnitude(s.terms(kernel)) * want.magnitudes[i]; });
  }
}

TEST_P(ConvolutionTest, RunsItsEpilogue) {
  // relu(C + bias)·scale[row] + residual, whether the sum was positive, with and without C itself, so that
  // it is held in an output or in scratch.
  Random random(2);
  std::vector<Shape> all;
  for (size_t i : {2u, 4u, 6u, 7u, 10u, 14u, 15u, 17u, 18u, 26u}) all.push_back(shapes()[i]);
  for (const Shape& s : depthwise()) all.push_back(s);
  for (const Shape& s : lanes()) all.push_back(s);
  all.push_back({1, 4, 5, 16, 530, 3, 3, 1, 1, 1, 1});  // wider than a tile of the epilogue
  all.push_back({1, 3, 3, 530, 70, 3, 3, 1, 1, 1, 1});
  for (const Shape& s : std::vector<Shape>{{3, 16, 15, 17, 33, 3, 3, 1, 1, 1, 1}, {8, 8, 7, 300, 100, 3, 3, 1, 1, 1, 1}}) {
    all.push_back(s);
    all.back().winograd = true;
  }
  for (const Shape& s : all) {
    for (KernelId kernel : kDirections) {
      for (bool withC : {true, false}) {
        Case c(s, kernel, random);
        const int64_t rows = c.rows(), n = c.columns();
        const std::vector<float> bias = random.floats(n), scale = random.floats(rows);
        const std::vector<float> residual = random.floats(rows * n);
        const int biasId = c.input(bias), scaleId = c.input(scale), residualId = c.input(residual);
        Tile tile;
        tile.dims = {rows, n};
        tile.strides = {{n, 1}, {0, 1}, {1, 0}, {n, 1}};
        tile.instructions = {{i_add, 4, {0, 1}}, {i_constFloat, 5, {}, {0.0}}, {i_less, 6, {5, 4}},
                             {i_relu, 4, {4}},   {i_mul, 4, {4, 2}},           {i_add, 4, {4, 3}}};
        tile.results = {4, 6};
        std::vector<int> outputs = {c.output(), c.output(kBool)};
        if (withC) {
          tile.results.push_back(0);
          outputs.push_back(c.output());
        }
        c.builder.call(kernel, {c.A, c.B, biasId, scaleId, residualId}, outputs, s.ints(), {}, &tile);
        const Product product = convolve(s, kernel, c.a, c.b);
        const double slack = s.winograd ? 1e-4 : 0;
        const auto bound = [&](size_t i) {
          return errorPerMagnitude(s.terms(kernel)) * product.magnitudes[i] + slack;
        };
        SCOPED_TRACE(testing::Message() << "kernel " << kernel << ": " << s << (withC ? " with C" : ""));
        const std::vector<Bytes> got = run(c.builder, c.bindings);
        std::vector<double> want;
        for (int64_t i = 0; i < rows * n; i++) {
          const double sum = product.values[(size_t)i] + bias[(size_t)(i % n)];
          want.push_back((sum > 0 ? sum : 0) * scale[(size_t)(i / n)] + residual[(size_t)i]);
          // Lanes too close to zero to call are left out.
          if (std::abs(sum) > bound((size_t)i) + 2 * kHalfUlp) {
            ASSERT_EQ(got[6][(size_t)i], sum > 0) << "element " << i;
          }
        }
        expectNear(got[5], want,
                   [&](size_t i) { return bound(i) + 4 * kHalfUlp * (product.magnitudes[i] + 2); });
        if (withC) expectNear(got[7], product.values, bound);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(ConvolutionTest, ReadsNothingForAnEmptyResult) {
  // The same element for all of the result: of none, so that the tensor may be empty as well.
  Random random(6);
  for (const Shape& s : shapes()) {
    for (KernelId kernel : kDirections) {
      Case c(s, kernel, random);
      if (c.size() > 0) continue;
      const Tile tile{{c.rows(), c.columns()}, {{c.columns(), 1}, {0, 0}}, {{i_add, 2, {0, 1}}}, {2}};
      const int one = c.input({});
      c.builder.call(kernel, {c.A, c.B, one}, {c.output()}, s.ints(), {}, &tile);
      SCOPED_TRACE(testing::Message() << "kernel " << kernel << ": " << s);
      run(c.builder, c.bindings);
      if (HasFailure()) return;
    }
  }
}

TEST_P(ConvolutionTest, UpdatesAParameterInPlace) {
  // w -= 0.1·dfilter and the like: the output is a tile input, so the sum must be held elsewhere.
  Random random(3);
  std::vector<Shape> all;
  for (size_t i : {3u, 6u, 15u, 18u, 26u}) all.push_back(shapes()[i]);
  for (const Shape& s : lanes()) all.push_back(s);
  for (const Shape& s : std::vector<Shape>{{3, 16, 15, 17, 33, 3, 3, 1, 1, 1, 1}, {8, 8, 7, 300, 100, 3, 3, 1, 1, 1, 1}}) {
    all.push_back(s);
    all.back().winograd = true;
  }
  for (const Shape& s : all) {
    for (KernelId kernel : kDirections) {
      Case c(s, kernel, random);
      const std::vector<float> w = random.floats(c.size());
      c.bindings.push_back(bytesOf(w));
      const int wId = c.builder.bind(kFloat32, {c.size()});
      Tile tile{{c.rows(), c.columns()},
                {{c.columns(), 1}, {c.columns(), 1}},
                {{i_constFloat, 2, {}, {0.1}}, {i_mul, 2, {0, 2}}, {i_sub, 2, {1, 2}}},
                {2}};
      c.builder.call(kernel, {c.A, c.B, wId}, {wId}, s.ints(), {}, &tile);
      const Product product = convolve(s, kernel, c.a, c.b);
      std::vector<double> want;
      for (size_t i = 0; i < w.size(); i++) want.push_back(w[i] - (double)0.1f * product.values[i]);
      SCOPED_TRACE(testing::Message() << "kernel " << kernel << ": " << s);
      expectNear(run(c.builder, c.bindings)[2], want, [&](size_t i) {
        return (errorPerMagnitude(s.terms(kernel)) + 3 * kHalfUlp) * (product.magnitudes[i] + 1) +
               (s.winograd ? 1e-4 : 0);
      });
      if (HasFatalFailure()) return;
    }
  }
}

// Winograd's algorithm has no bound per element that would say anything: intermediate values are larger
// than any term. What docs/program.md states is measured here: the error against the deviation of the
// results, for input as a ReLU leaves it and filters of He's deviation.
TEST_P(ConvolutionTest, StaysCloseByWinogradsAlgorithm) {
  Random random(4);
  // Sizes at which both tiles are cut on all sides, and channels at and off whole vectors and panels.
  const std::vector<Shape> all = {
      {3, 14, 14, 32, 32, 3, 3, 1, 1, 1, 1},  {2, 9, 11, 128, 48, 3, 3, 1, 1, 1, 1},
      {3, 17, 13, 19, 37, 3, 3},              {4, 6, 5, 17, 16, 3, 3, 1, 1, 2, 2},
      {1, 30, 31, 20, 16, 3, 3, 1, 1, 0, 2},  {9, 4, 4, 40, 33, 3, 3, 1, 1, 1, 1},
      {30, 2, 2, 48, 50, 3, 3, 1, 1, 1, 1},   {1, 8, 9, 270, 18, 3, 3, 1, 1, 1, 1},
      {9, 2, 30, 24, 31, 3, 3, 1, 1, 1, 1},   {2, 16, 16, 16, 16, 3, 3, 1, 1, 1, 1},
      {1, 10, 70, 64, 48, 3, 3, 1, 1, 1, 1},  {8, 8, 7, 300, 100, 3, 3, 1, 1, 1, 1},
      {70, 2, 2, 300, 220, 3, 3, 1, 1, 1, 1},
  };
  double worst = 0, largest = 0;
  for (Shape s : all) {
    s.winograd = true;
    for (KernelId kernel : kDirections) {
      Case c(s, kernel, random);
      for (float& x : c.a) x = std::max(0.0f, x);
      const double scale = std::sqrt(2.0 / (double)s.terms(kernel));
      for (float& w : c.b) w = (float)(w * std::sqrt(3.0) * scale);
      c.bindings = {bytesOf(c.a), bytesOf(c.b)};
      c.builder.call(kernel, {c.A, c.B}, {c.output()}, s.ints());
      const Product want = convolve(s, kernel, c.a, c.b);
      const std::vector<float> got = valuesOf<float>(run(c.builder, c.bindings)[2]);
      ASSERT_EQ(got.size(), want.values.size());
      double errors = 0, squares = 0, most = 0;
      for (size_t i = 0; i < got.size(); i++) {
        const double error = std::abs(got[i] - want.values[i]);
        errors += error * error, squares += want.values[i] * want.values[i], most = std::max(most, error);
      }
      const double deviation = std::sqrt(squares / (double)got.size());
      worst = std::max(worst, std::sqrt(errors / (double)got.size()) / deviation);
      largest = std::max(largest, most / deviation);
      EXPECT_LE(std::sqrt(errors / (double)got.size()) / deviation, 2.5e-6) << s;
      EXPECT_LE(most / deviation, 3e-5) << s;
    }
  }
  RecordProperty("rms", std::to_string(worst * 1e6) + "e-6");
  RecordProperty("largest", std::to_string(largest * 1e6) + "e-6");
  if (getenv("LAYERWISE_TEST_PRINT")) printf("rms %.2g, largest %.2g\n", worst, largest);
}

}  // namespace
