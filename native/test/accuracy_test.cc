// Elementary functions over all of float32: every 4099th bit pattern, or with LAYERWISE_EXHAUSTIVE=N
// (`npm run test:native -- --exhaustive --every N`) every Nth of the 2³², against the C library's double version,
// whose own error of about 10⁻⁹ float ULP is of no account. The exhaustive run prints what it measured.
// Each instruction set with FMA must give the same bits.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <thread>

#include "support/reference.h"

using namespace layerwise;
using namespace layerwise::test;

namespace {

struct Function {
  InstructionId op;
  double (*exact)(double);
  // Largest error in ULP of the exact value where that is a normal number: of all instruction sets, and of
  // those with FMA. Where only the C library is called they are the same, and its own.
  double ulps, ulpsFma;
  // Where it holds; outside, special values must be right.
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();
};

double rsqrtOf(double x) { return 1 / std::sqrt(x); }
double reciprocalOf(double x) { return 1 / x; }
double sigmoidOf(double x) { return 1 / (1 + std::exp(-x)); }
double softplusOf(double x) { return std::log1p(std::exp(-std::abs(x))) + (x > 0 ? x : 0.0); }

const Function kFunctions[] = {
    {i_exp, std::exp, 2, 2},           {i_expm1, std::expm1, 3, 3},
    {i_log, std::log, 2, 2},           {i_log1p, std::log1p, 3, 3},
    {i_sqrt, std::sqrt, 0.5, 0.5},     {i_rsqrt, rsqrtOf, 2, 2},
    {i_reciprocal, reciprocalOf, 0.5, 0.5},
    {i_sin, std::sin, 2, 2},           {i_cos, std::cos, 2, 2},
    {i_tan, std::tan, 4, 4},           {i_asin, std::asin, 4, 4},
    {i_acos, std::acos, 4, 4},         {i_atan, std::atan, 4, 4},
    {i_sinh, std::sinh, 4, 4},         {i_cosh, std::cosh, 4, 4},
    {i_tanh, std::tanh, 4, 4},         {i_asinh, std::asinh, 4, 4},
    {i_acosh, std::acosh, 4, 4},       {i_atanh, std::atanh, 4, 4},
    {i_erf, std::erf, 4, 4},           {i_sigmoid, sigmoidOf, 4, 4},
    {i_softplus, softplusOf, 4, 4},
};

constexpr int64_t kChunk = 1 << 16;
constexpr double kLeast = 0x1p-126;  // smaller numbers may be flushed

bool exhaustive() { return getenv("LAYERWISE_EXHAUSTIVE") != nullptr; }
// Every so many-th bit pattern is looked at. A prime by default, so that all low bits take part.
uint64_t strideOfFloats() {
  const char* const given = getenv("LAYERWISE_EXHAUSTIVE");
  return given ? std::max(1ul, strtoul(given, nullptr, 10)) : 4099;
}

float floatOf(uint32_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

// A subnormal argument counts as zero of its sign.
float flushed(float x) { return std::abs(x) < kLeast ? std::copysign(0.0f, x) : x; }

// |got − exact| in ULP of the exact value; infinite where a special value is wrong.
double ulpsOff(float got, double exact) {
  constexpr double kWrong = std::numeric_limits<double>::infinity();
  if (std::isnan(exact)) return std::isnan(got) ? 0 : kWrong;
  if (std::isnan(got)) return kWrong;
  const double size = std::abs(exact);
  if (std::isinf(exact) || size >= 0x1.ffffffp127) return got == (float)exact ? 0 : kWrong;
  // An infinity counts as the number that would come next.
  const double value = std::isinf(got) ? std::copysign(0x1p128, (double)got) : (double)got;
  if (size < kLeast) return std::abs(value) <= kLeast * 1.000001 ? 0 : kWrong;
  return std::abs(value - exact) / std::ldexp(1.0, std::ilogb(size) - 23);
}

struct Worst {
  double ulps = 0;
  float at = 0;
  void see(double off, float x) {
    if (off > ulps) ulps = off, at = x;
  }
};

class AccuracyTest : public testing::TestWithParam<Function> {};

// One function on one instruction set, `kChunk` lanes at a time.
class Evaluator {
 public:
  Evaluator(const KernelTable* table, InstructionId op) {
    ProgramBuilder builder;
    const int in = builder.bind(kFloat32, {kChunk}, Access::kRead);
    const int out = builder.bind(kFloat32, {kChunk}, Access::kWrite);
    const Tile tile{{kChunk}, {{1}}, {{op, 1, {0}}}, {1}};
    builder.call(k_map, {in}, {out}, {}, {}, &tile);
    std::string error;
    program_ = load(table, builder.encode(), &error);
    EXPECT_TRUE(program_) << error;
  }
  std::vector<float> operator()(const std::vector<float>& x) {
    const Outcome outcome =
        runGuarded(*program_, {bytesOf(x), Bytes(kChunk * 4)}, 1, Parts::kInTurn, Guard::kBehind);
    return valuesOf<float>(outcome.bindings[1]);
  }

 private:
  std::shared_ptr<Program> program_;
};

// A function on all instruction sets, beside the C library's.
class Comparison {
 public:
  explicit Comparison(const Function& f) : f_(f), worst(availableTables().size()) {
    for (const KernelTable* table : availableTables()) evaluate_.emplace_back(table, f.op);
  }
  // Looks at kChunk arguments.
  void see(const std::vector<float>& x) {
    std::vector<double> exact;
    for (float value : x) exact.push_back(f_.exact((double)flushed(value)));
    std::vector<float> first;
    for (size_t t = 0; t < evaluate_.size(); t++) {
      const std::vector<float> got = evaluate_[t](x);
      for (size_t i = 0; i < x.size(); i++) {
        const double off = ulpsOff(got[i], exact[i]);
        const bool inside = (x[i] >= f_.low && x[i] <= f_.high) || std::isinf(off);
        if (inside) worst[t].see(off, x[i]);
      }
      if (strcmp(availableTables()[t]->name, "baseline") == 0) continue;
      for (size_t i = 0; i < first.size(); i++) {
        const bool same = memcmp(&first[i], &got[i], 4) == 0 || std::isnan(got[i]);
        if (!same) apart.see(1, x[i]);
      }
      if (first.empty()) first = got;
    }
  }

 private:
  const Function& f_;
  std::vector<Evaluator> evaluate_;

 public:
  std::vector<Worst> worst;  // by instruction set
  Worst apart;               // where two instruction sets with FMA differ
};

void expectBounds(const Function& f, const std::vector<Comparison>& comparisons) {
  for (size_t t = 0; t < availableTables().size(); t++) {
    const char* const isa = availableTables()[t]->name;
    Worst all;
    for (const Comparison& own : comparisons) all.see(own.worst[t].ulps, own.worst[t].at);
    const bool fma = strcmp(isa, "baseline") != 0;
    if (exhaustive()) printf("%-12s %-8s %6.3f ULP at %.9g\n", instructionName(f.op), isa, all.ulps, all.at);
    EXPECT_LE(all.ulps, fma ? f.ulpsFma : f.ulps) << instructionName(f.op) << " on " << isa << " at " << all.at;
  }
  for (const Comparison& own : comparisons) {
    EXPECT_EQ(own.apart.ulps, 0) << instructionName(f.op) << " has other bits on another instruction set at "
                                 << own.apart.at;
  }
}

TEST_P(AccuracyTest, KeepsItsBound) {
  const Function& f = GetParam();
  const uint64_t stride = strideOfFloats(), count = (uint64_t{1} << 32) / stride + 1;
  const int64_t chunks = (int64_t)((count + kChunk - 1) / kChunk);
  const unsigned cores = std::thread::hardware_concurrency();
  const size_t workers = exhaustive() && cores > 1 ? cores : 1;
  std::atomic<int64_t> next{0};
  std::vector<Comparison> comparisons;
  for (size_t w = 0; w < workers; w++) comparisons.emplace_back(f);

  const auto work = [&](size_t worker) {
    std::vector<float> x(kChunk);
    for (int64_t chunk; (chunk = next.fetch_add(1)) < chunks;) {
      for (int64_t i = 0; i < kChunk; i++) {
        x[(size_t)i] = floatOf((uint32_t)((uint64_t)(chunk * kChunk + i) * stride));
      }
      comparisons[worker].see(x);
    }
  };
  std::vector<std::thread> threads;
  for (size_t w = 1; w < workers; w++) threads.emplace_back(work, w);
  work(0);
  for (std::thread& thread : threads) thread.join();
  expectBounds(f, comparisons);
}

// Every float near arguments where functions overflow, vanish or are computed another way: exp of the first above
// 88.7228391 alone was NaN once, which strides pass by.
TEST_P(AccuracyTest, KeepsItsBoundWhereItChanges) {
  const Function& f = GetParam();
  std::vector<Comparison> comparison(1, Comparison(f));
  std::vector<float> x;
  for (float edge : {0x1p-126f, 1e-8f, 1e-4f, 0x1p-12f, 0.5f, 0.625f, 0.7853982f, 1.0f, 2.0f, 4.0f, 8.0f, 9.0f, 10.0f, 16.0f,
                     17.32868f, 44.3614197f, 50.0f, 87.3365479f, 88.0f, 88.3762626f, 88.7228394f, 89.0f, 89.4159851f,
                     103.972084f, 128.0f, 8192.0f, 1e10f, 0x1p64f, 0x1p127f, 3.40282347e38f}) {
    uint32_t middle;
    memcpy(&middle, &edge, 4);
    for (uint32_t sign : {0u, 0x80000000u}) {
      for (uint32_t i = 0; i < 1024; i++) x.push_back(floatOf((middle - 512 + i) | sign));
    }
  }
  ASSERT_LE(x.size(), (size_t)kChunk);
  x.resize(kChunk, 1.0f);
  comparison[0].see(x);
  expectBounds(f, comparison);
}

INSTANTIATE_TEST_SUITE_P(Functions, AccuracyTest, testing::ValuesIn(kFunctions),
                         [](const testing::TestParamInfo<Function>& info) {
                           return std::string(instructionName(info.param.op));
                         });

}  // namespace
