// gemm: every tile and edge, all four forms, batches, epilogues.
#include <algorithm>
#include <cmath>

#include "support/random.h"
#include "support/reference.h"

using namespace layerwise;
using namespace layerwise::test;

namespace {

LAYERWISE_KERNEL_SUITE(GemmTest);

struct Shape {
  int64_t batch, m, n, k;
  bool ta = false, tb = false;
  bool sharedA = false, sharedB = false;
  int64_t strideA() const { return sharedA ? 0 : m * k; }
  int64_t strideB() const { return sharedB ? 0 : k * n; }
  int64_t sizeA() const { return sharedA ? m * k : batch * m * k; }
  int64_t sizeB() const { return sharedB ? k * n : batch * k * n; }
  std::vector<int64_t> ints() const { return {batch, m, n, k, ta, tb, strideA(), strideB()}; }
};

struct Product {
  std::vector<double> values;
  // Σ |a|·|b|, which every bound of the rounding error is a multiple of.
  std::vector<double> magnitudes;
};

Product multiply(const Shape& s, const std::vector<float>& a, const std::vector<float>& b) {
  Product p;
  for (int64_t x = 0; x < s.batch; x++) {
    const float* A = a.data() + x * s.strideA();
    const float* B = b.data() + x * s.strideB();
    for (int64_t i = 0; i < s.m; i++) {
      for (int64_t j = 0; j < s.n; j++) {
        double sum = 0, magnitude = 0;
        for (int64_t k = 0; k < s.k; k++) {
          const double term = (double)A[s.ta ? k * s.m + i : i * s.k + k] *
                              (double)B[s.tb ? j * s.k + k : k * s.n + j];
          sum += term;
          magnitude += std::abs(term);
        }
        p.values.push_back(sum);
        p.magnitudes.push_back(magnitude);
      }
    }
  }
  return p;
}

// Blocks of 256 terms, each a chain; without FMA two roundings per term; then the blocks' sum.
double errorPerMagnitude(int64_t k) {
  return kHalfUlp * (double)(2 * std::min<int64_t>(k, 256) + k / 256 + 2);
}

struct Case {
  Case(const Shape& shape, Random& random)
      : s(shape), a(random.floats(s.sizeA())), b(random.floats(s.sizeB())) {
    A = builder.bind(kFloat32, {s.sizeA()}, Access::kRead);
    B = builder.bind(kFloat32, {s.sizeB()}, Access::kRead);
    bindings = {bytesOf(a), bytesOf(b)};
  }
  int64_t size() const { return s.batch * s.m * s.n; }
  int output(DType dtype = kFloat32) {
    bindings.emplace_back((size_t)(size() * bytesPerElement(dtype)), (uint8_t)0x7f);
    return builder.bind(dtype, {size()}, Access::kWrite);
  }
  int input(const std::vector<float>& values) {
    bindings.push_back(bytesOf(values));
    return builder.bind(kFloat32, {(int64_t)values.size()}, Access::kRead);
  }

  Shape s;
  std::vector<float> a, b;
  ProgramBuilder builder;
  int A, B;
  std::vector<Bytes> bindings;
};

TEST_P(GemmTest, MultipliesEveryTileAndEdge) {
  // Rows and columns at and around the tiles of all instruction sets (6 to 14 rows, 4 to 128
  // columns), k around its block of 256; dot products begin at k = 64, of several rows at 128, packing at some hundred rows.
  const std::vector<Shape> shapes = {
      {1, 1, 1, 1},     {1, 1, 17, 3},    {1, 2, 65, 7},    {1, 3, 129, 5},   {1, 4, 96, 9},
      {1, 5, 31, 64},   {1, 6, 16, 33},   {1, 7, 15, 65},   {1, 8, 33, 255},  {1, 13, 32, 256},
      {1, 14, 64, 257}, {1, 15, 63, 12},  {1, 29, 47, 513}, {1, 1, 100, 300}, {1, 100, 1, 300},
      {1, 1, 1, 1000},  {1, 130, 70, 40}, {1, 385, 40, 10}, {1, 20, 530, 6},  {1, 3, 1030, 4},
      {1, 0, 6, 4},     {1, 5, 0, 4},     {1, 5, 6, 0},     {3, 7, 9, 11},    {8, 20, 5, 64},
      {2, 1, 33, 70},   {5, 16, 1, 65},   {0, 3, 3, 3},     {2, 31, 19, 23}, {2, 31, 7, 23},
      // Few rows and columns, several blocks of terms.
      {1, 33, 131, 300}, {1, 64, 32, 600}, {1, 61, 77, 700}, {1, 20, 18, 900}, {1, 5, 250, 300},
      // More rows than dot products have, which meet a transposed B panel by panel, in two blocks of columns.
      {2, 37, 1101, 530}, {1, 256, 400, 300},
      // More rows than stay packed for all terms, though they would fit.
      {1, 300, 400, 300}, {1, 400, 200, 289},
      // Dot products: rows of one tile and of several, columns beside those of a tile, several blocks of terms.
      {1, 6, 9, 129}, {1, 13, 13, 1300}, {2, 3, 11, 130}, {1, 32, 401, 600}, {1, 2, 37, 4500}, {1, 1, 19, 9000},
      {1, 70, 1, 4200}};
  Random random(1);
  for (Shape s : shapes) {
    for (int form = 0; form < 4; form++) {
      s.ta = form & 1, s.tb = form & 2;
      Case c(s, random);
      c.builder.call(k_gemm, {c.A, c.B}, {c.output()}, s.ints());
      const Product want = multiply(s, c.a, c.b);
      SCOPED_TRACE(testing::Message() << s.batch << "x" << s.m << "x" << s.n << "x" << s.k << " "
                                      << (s.ta ? "T" : "N") << (s.tb ? "T" : "N"));
      const Bytes got = run(c.builder, c.bindings)[2];
      expectNear(got, want.values,
                 [&](size_t i) { return errorPerMagnitude(s.k) * want.magnitudes[i]; });
      if (HasFatalFailure()) return;
    }
  }
}

// Narrow results of many rows, some hundred of which meet all blocks of terms before those below do, rows that are packed
// for two panels, and wide results of more rows than a block.
TEST_P(GemmTest, MultipliesManyRowsInTurn) {
  Random random(9);
  for (const Shape& s : std::vector<Shape>{
           {1, 1401, 70, 301}, {1, 1401, 70, 301, true}, {1, 1401, 70, 301, false, true}, {1, 7001, 33, 301},
           {1, 1101, 295, 70}, {1, 1101, 295, 301, true}, {1, 1101, 295, 70, false, true}}) {
    Case c(s, random);
    c.builder.call(k_gemm, {c.A, c.B}, {c.output()}, s.ints());
    const Product want = multiply(s, c.a, c.b);
    SCOPED_TRACE(testing::Message() << s.m << "x" << s.n << "x" << s.k << " " << (s.ta ? "T" : "N")
                                    << (s.tb ? "T" : "N"));
    expectNear(run(c.builder, c.bindings)[2], want.values,
               [&](size_t i) { return errorPerMagnitude(s.k) * want.magnitudes[i]; });
    if (HasFatalFailure()) return;
  }
}

TEST_P(GemmTest, MultipliesRandomShapes) {
  Random random(2);
  for (int turn = 0; turn < 60; turn++) {
    Shape s{1 + random.below(3), 1 + random.below(40), 1 + random.below(140), 1 + random.below(300),
            random.chance(0.5),  random.chance(0.5),   random.chance(0.3),    random.chance(0.3)};
    Case c(s, random);
    c.builder.call(k_gemm, {c.A, c.B}, {c.output()}, s.ints());
    const Product want = multiply(s, c.a, c.b);
    SCOPED_TRACE(testing::Message() << s.batch << "x" << s.m << "x" << s.n << "x" << s.k << " "
                                    << (s.ta ? "T" : "N") << (s.tb ? "T" : "N"));
    const Bytes got = run(c.builder, c.bindings)[2];
    expectNear(got, want.values,
               [&](size_t i) { return errorPerMagnitude(s.k) * want.magnitudes[i]; });
    if (HasFatalFailure()) return;
  }
}

TEST_P(GemmTest, RunsItsEpilogue) {
  // relu(C + bias[n])·scale[m] + residual, whether the sum was positive, and with or without an
  // output for C itself, so that C is held in an output or in scratch.
  Random random(3);
  for (const Shape& s : std::vector<Shape>{{1, 4, 8, 2},
                                           {1, 33, 31, 20},
                                           {2, 17, 300, 9},
                                           {1, 9, 700, 30},
                                           {1, 3, 5, 700},
                                           {1, 40, 1, 100},
                                           {1, 390, 33, 5},
                                           {1, 300, 131, 70},
                                           {1, 300, 131, 280, true, false},
                                           {1, 13, 64, 64, true, false},
                                           {2, 1, 40, 80, false, true},
                                           {1, 9, 37, 300, false, true},
                                           {1, 31, 600, 530, false, true},
                                           {1, 41, 700, 530, false, true},
                                           {1, 1100, 3, 0},
                                           {1, 1100, 40, 300},
                                           {1, 0, 4, 4}}) {
    for (bool withC : {true, false}) {
      Case c(s, random);
      // Many rows: the first are listed, for their zeros, and the others are not.
      for (int64_t i = 0; i < (s.m == 300 ? 250 : 0); i++) {
        for (int64_t k = 0; k < s.k; k++) {
          if (random.chance(0.95)) c.a[(size_t)(s.ta ? k * s.m + i : i * s.k + k)] = 0;
        }
      }
      c.bindings[0] = bytesOf(c.a);
      const int64_t rows = s.batch * s.m;
      const std::vector<float> bias = random.floats(s.n), scale = random.floats(rows);
      const std::vector<float> residual = random.floats(rows * s.n);
      const int biasId = c.input(bias), scaleId = c.input(scale), residualId = c.input(residual);
      Tile tile;
      tile.dims = {rows, s.n};
      tile.strides = {{s.n, 1}, {0, 1}, {1, 0}, {s.n, 1}};
      tile.instructions = {{i_add, 4, {0, 1}}, {i_constFloat, 5, {}, {0.0}}, {i_less, 6, {5, 4}},
                           {i_relu, 4, {4}},   {i_mul, 4, {4, 2}},           {i_add, 4, {4, 3}}};
      tile.results = {4, 6};
      std::vector<int> outputs = {c.output(), c.output(kBool)};
      if (withC) {
        tile.results.push_back(0);
        outputs.push_back(c.output());
      }
      c.builder.call(k_gemm, {c.A, c.B, biasId, scaleId, residualId}, outputs, s.ints(), {}, &tile);
      const Product product = multiply(s, c.a, c.b);
      SCOPED_TRACE(testing::Message()
                   << s.m << "x" << s.n << "x" << s.k << (withC ? " with C" : ""));
      const std::vector<Bytes> got = run(c.builder, c.bindings);
      std::vector<double> want;
      for (int64_t i = 0; i < rows * s.n; i++) {
        const double sum = product.values[(size_t)i] + bias[(size_t)(i % s.n)];
        want.push_back((sum > 0 ? sum : 0) * scale[(size_t)(i / s.n)] + residual[(size_t)i]);
        // Lanes too close to zero to call are left out.
        const double doubt = errorPerMagnitude(s.k) * (product.magnitudes[(size_t)i] + 1);
        if (std::abs(sum) > doubt) {
          ASSERT_EQ(got[6][(size_t)i], sum > 0) << "element " << i;
        }
      }
      // Three more roundings of values up to magnitude + 1, times |scale| ≤ 1, plus |residual| ≤ 1.
      expectNear(got[5], want, [&](size_t i) {
        return (errorPerMagnitude(s.k) + 4 * kHalfUlp) * (product.magnitudes[i] + 2);
      });
      if (withC) {
        expectNear(got[7], product.values,
                   [&](size_t i) { return errorPerMagnitude(s.k) * product.magnitudes[i]; });
      }
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(GemmTest, UpdatesAParameterInPlace) {
  // w -= 0.1·XᵀY: the output is a tile input, so the product must be held elsewhere.
  Random random(4);
  for (const Shape& s :
       std::vector<Shape>{{1, 20, 33, 16, true, false}, {1, 5, 600, 3, true, false}}) {
    Case c(s, random);
    const std::vector<float> w = random.floats(s.m * s.n);
    c.bindings.push_back(bytesOf(w));
    const int wId = c.builder.bind(kFloat32, {s.m, s.n});
    Tile tile{{s.m, s.n},
              {{s.n, 1}, {s.n, 1}},
              {{i_constFloat, 2, {}, {0.1}}, {i_mul, 2, {0, 2}}, {i_sub, 2, {1, 2}}},
              {2}};
    c.builder.call(k_gemm, {c.A, c.B, wId}, {wId}, s.ints(), {}, &tile);
    const Product product = multiply(s, c.a, c.b);
    std::vector<double> want;
    for (size_t i = 0; i < w.size(); i++) want.push_back(w[i] - (double)0.1f * product.values[i]);
    expectNear(run(c.builder, c.bindings)[2], want, [&](size_t i) {
      return (errorPerMagnitude(s.k) + 3 * kHalfUlp) * (product.magnitudes[i] + 1);
    });
  }
}

// What the terms of A are: lists of ones have no values, and begin again with them at the first other term.
enum Terms { kAny, kOnes, kOnesButLast };

// Rows of A whose terms are listed give what the same rows give alone, bit by bit: so few rows are never listed.
TEST_P(GemmTest, LeavesOutZerosWithoutATrace) {
  Random random(5);
  for (const Shape& shape : std::vector<Shape>{{1, 16, 64, 32},
                                               {1, 33, 131, 300},
                                               {2, 100, 500, 97},
                                               {1, 200, 97, 600},
                                               {1, 97, 1030, 65},
                                               {2, 130, 200, 40, false, false, false, true}}) {
    for (int form = 0; form < 4; form++) {
      for (const auto& [share, terms] : std::vector<std::pair<double, Terms>>{{0.0, kAny},
                                                                              {0.04, kAny},
                                                                              {0.1, kAny},
                                                                              {0.35, kAny},
                                                                              {0.6, kAny},
                                                                              {0.7, kAny},
                                                                              {0.03, kOnes},
                                                                              {0.15, kOnes},
                                                                              {0.5, kOnes},
                                                                              {0.3, kOnesButLast}}) {
        Shape s = shape;
        s.ta = form & 1, s.tb = form & 2;
        Case c(s, random);
        for (float& value : c.a) {
          if (terms != kAny) value = 1.0f;
          value = random.chance(share) ? value : random.chance(0.5) ? 0.0f : -0.0f;
        }
        if (terms == kOnesButLast) c.a.back() = -1.0f;
        c.bindings = {bytesOf(c.a), bytesOf(c.b)};
        c.builder.call(k_gemm, {c.A, c.B}, {c.output()}, s.ints());
        SCOPED_TRACE(testing::Message() << s.batch << "x" << s.m << "x" << s.n << "x" << s.k << " "
                                        << (s.ta ? "T" : "N") << (s.tb ? "T" : "N") << " " << share << " terms " << terms);
        const Bytes got = run(c.builder, c.bindings)[2];
        const Product want = multiply(s, c.a, c.b);
        expectNear(got, want.values,
                   [&](size_t i) { return errorPerMagnitude(s.k) * want.magnitudes[i]; });
        if (HasFatalFailure()) return;
        const float* const all = reinterpret_cast<const float*>(got.data());
        for (int64_t x = 0; x < s.batch; x++) {
          for (int64_t i0 : {(int64_t)0, s.m / 2, s.m - 5}) {
            // B as it is not transposed: few rows of another would be dot products, whose sums are others.
            Shape few{1, 5, s.n, s.k, s.ta, false};
            Case part(few, random);
            for (int64_t i = 0; i < 5; i++) {
              for (int64_t k = 0; k < s.k; k++) {
                part.a[(size_t)(s.ta ? k * 5 + i : i * s.k + k)] =
                    c.a[(size_t)(x * s.strideA() + (s.ta ? k * s.m + i0 + i : (i0 + i) * s.k + k))];
              }
            }
            const float* const b = c.b.data() + x * s.strideB();
            for (int64_t k = 0; k < s.k; k++) {
              for (int64_t j = 0; j < s.n; j++) part.b[(size_t)(k * s.n + j)] = s.tb ? b[j * s.k + k] : b[k * s.n + j];
            }
            part.bindings = {bytesOf(part.a), bytesOf(part.b)};
            part.builder.call(k_gemm, {part.A, part.B}, {part.output()}, few.ints());
            const Bytes alone = run(part.builder, part.bindings)[2];
            const float* const rows = reinterpret_cast<const float*>(alone.data());
            for (int64_t j = 0; j < 5 * s.n; j++) {
              ASSERT_EQ(rows[j], all[(x * s.m + i0) * s.n + j]) << "row " << i0 << ", element " << j;
            }
          }
        }
      }
    }
  }
}

TEST_P(GemmTest, KeepsWhatZeroTimesInfinityIs) {
  Random random(6);
  for (float special : {INFINITY, -INFINITY, NAN}) {
    for (int form = 0; form < 4; form++) {
      // Inside groups of panels, in panels beside them, and in a part of one.
      for (const auto& [k, j] :
           std::vector<std::pair<int64_t, int64_t>>{{399, 149}, {0, 1}, {200, 62}, {301, 140}}) {
        // One block of rows, with terms that are ones; several, with others.
        const int64_t rows = k % 2 ? 40 : 300;
        const Shape s{1, rows, 150, 400, (form & 1) != 0, (form & 2) != 0};
        Case c(s, random);
        for (float& value : c.a) value = !random.chance(0.2) ? 0.0f : rows == 40 ? 1.0f : value;
        c.b[(size_t)(s.tb ? j * s.k + k : k * s.n + j)] = special;
        c.bindings = {bytesOf(c.a), bytesOf(c.b)};
        c.builder.call(k_gemm, {c.A, c.B}, {c.output()}, s.ints());
        const Bytes got = run(c.builder, c.bindings)[2];
        const float* const values = reinterpret_cast<const float*>(got.data());
        for (int64_t i = 0; i < s.m; i++) {
          const float a = c.a[(size_t)(s.ta ? k * s.m + i : i * s.k + k)];
          ASSERT_EQ(std::isnan(values[i * s.n + j]), a == 0 || std::isnan(special)) << "row " << i;
          ASSERT_TRUE(std::isfinite(values[i * s.n + j - 1])) << "row " << i;
        }
      }
    }
  }
}

// The first rows are mostly zeros and are listed, later ones are not: tiles go on with the B that was packed.
TEST_P(GemmTest, GoesOnWithTilesWhereZerosEnd) {
  Random random(7);
  for (const Shape& shape : std::vector<Shape>{{1, 260, 201, 70}, {1, 260, 513, 600}, {1, 200, 65, 300}}) {
    for (int form = 0; form < 4; form++) {
      Shape s = shape;
      s.ta = form & 1, s.tb = form & 2;
      Case c(s, random);
      for (int64_t i = 0; i < s.m; i++) {
        for (int64_t k = 0; k < s.k; k++) {
          if (i < 180 && random.chance(0.9)) c.a[(size_t)(s.ta ? k * s.m + i : i * s.k + k)] = 0;
        }
      }
      c.bindings = {bytesOf(c.a), bytesOf(c.b)};
      c.builder.call(k_gemm, {c.A, c.B}, {c.output()}, s.ints());
      SCOPED_TRACE(testing::Message() << s.m << "x" << s.n << "x" << s.k << " " << (s.ta ? "T" : "N")
                                      << (s.tb ? "T" : "N"));
      const Product want = multiply(s, c.a, c.b);
      expectNear(run(c.builder, c.bindings)[2], want.values,
                 [&](size_t i) { return errorPerMagnitude(s.k) * want.magnitudes[i]; });
      if (HasFatalFailure()) return;
    }
  }
}

// Terms that underflow to −0, and a zero of A that would make 0 of it: the same bits whether rows are listed or not.
TEST_P(GemmTest, HasNoSignOfWhatUnderflowed) {
  // A single row is walked whole or, where threads share it, in tiles.
  for (const auto& [share, s] : std::vector<std::pair<double, Shape>>{
           {0.2, {1, 40, 128, 64}}, {1.0, {1, 40, 128, 64}}, {1.0, {1, 1, 512, 1000}}}) {
    Random random(8);
    Case c(s, random);
    for (int64_t i = 0; i < s.m; i++) {
      for (int64_t k = 0; k < s.k; k++) {
        c.a[(size_t)(i * s.k + k)] = k < s.k - 1 && random.chance(share) ? 1e-30f : 0.0f;
      }
    }
    for (float& value : c.b) value = -1e-30f;
    c.bindings = {bytesOf(c.a), bytesOf(c.b)};
    c.builder.call(k_gemm, {c.A, c.B}, {c.output()}, s.ints());
    const Bytes got = run(c.builder, c.bindings)[2];
    const float* const values = reinterpret_cast<const float*>(got.data());
    for (int64_t i = 0; i < s.m * s.n; i++) {
      ASSERT_EQ(values[i], 0.0f);
      ASSERT_FALSE(std::signbit(values[i])) << "element " << i;
    }
  }
}

}  // namespace
