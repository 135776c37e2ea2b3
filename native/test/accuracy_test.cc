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

TEST_P(AccuracyTest, KeepsItsBound) {
  const Function& f = GetParam();
  const std::vector<const KernelTable*>& tables = availableTables();
  const uint64_t stride = strideOfFloats(), count = (uint64_t{1} << 32) / stride + 1;
  const int64_t chunks = (int64_t)((count + kChunk - 1) / kChunk);
  const unsigned cores = std::thread::hardware_concurrency();
  const size_t workers = exhaustive() && cores > 1 ? cores : 1;
  std::atomic<int64_t> next{0};
  std::vector<std::vector<Worst>> worst(workers, std::vector<Worst>(tables.size()));
  std::vector<Worst> apart(workers);  // where two instruction sets with FMA differ

  const auto work = [&](size_t worker) {
    std::vector<Evaluator> evaluate;
    for (const KernelTable* table : tables) evaluate.emplace_back(table, f.op);
    std::vector<float> x(kChunk);
    std::vector<double> exact(kChunk);
    for (int64_t chunk; (chunk = next.fetch_add(1)) < chunks;) {
      for (int64_t i = 0; i < kChunk; i++) {
        const size_t at = (size_t)i;
        x[at] = floatOf((uint32_t)((uint64_t)(chunk * kChunk + i) * stride));
        exact[at] = f.exact((double)flushed(x[at]));
      }
      std::vector<float> first;
      for (size_t t = 0; t < tables.size(); t++) {
        const std::vector<float> got = evaluate[t](x);
        for (size_t i = 0; i < x.size(); i++) {
          const double off = ulpsOff(got[i], exact[i]);
          const bool inside = (x[i] >= f.low && x[i] <= f.high) || std::isinf(off);
          if (inside) worst[worker][t].see(off, x[i]);
        }
        if (strcmp(tables[t]->name, "baseline") == 0) continue;
        for (size_t i = 0; i < first.size(); i++) {
          const bool same = memcmp(&first[i], &got[i], 4) == 0 || std::isnan(got[i]);
          if (!same) apart[worker].see(1, x[i]);
        }
        if (first.empty()) first = got;
      }
    }
  };
  std::vector<std::thread> threads;
  for (size_t w = 1; w < workers; w++) threads.emplace_back(work, w);
  work(0);
  for (std::thread& thread : threads) thread.join();

  for (size_t t = 0; t < tables.size(); t++) {
    Worst all;
    for (const std::vector<Worst>& own : worst) all.see(own[t].ulps, own[t].at);
    const bool fma = strcmp(tables[t]->name, "baseline") != 0;
    if (exhaustive()) {
      printf("%-12s %-8s %6.3f ULP at %.9g\n", instructionName(f.op), tables[t]->name, all.ulps, all.at);
    }
    EXPECT_LE(all.ulps, fma ? f.ulpsFma : f.ulps)
        << instructionName(f.op) << " on " << tables[t]->name << " at " << all.at;
  }
  for (const Worst& w : apart) {
    EXPECT_EQ(w.ulps, 0) << instructionName(f.op) << " has other bits on another instruction set at " << w.at;
  }
}

INSTANTIATE_TEST_SUITE_P(Functions, AccuracyTest, testing::ValuesIn(kFunctions),
                         [](const testing::TestParamInfo<Function>& info) {
                           return std::string(instructionName(info.param.op));
                         });

}  // namespace
