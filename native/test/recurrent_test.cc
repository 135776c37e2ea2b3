// Recurrent layers against plain loops in double, their gradients against differences of those loops:
// every cell, lengths with NaN beyond them, units around the vector width; what the loader refuses.
#include "support/random.h"
#include "support/reference.h"

using namespace layerwise;
using namespace layerwise::test;

namespace {

LAYERWISE_KERNEL_SUITE(RecurrentTest);

enum : int { kTanh, kRelu, kSigmoid, kLinear, kLstm, kGru, kGruAfter };

struct Problem {
  int cell;
  int64_t batch, time, units;
  bool reverse;
  std::vector<int32_t> lengths{};
  std::vector<float> pre{}, r{}, bias{}, recurrentBias{}, h0{}, c0{}, peepholes{}, mask{};

  int64_t gates() const { return cell == kLstm ? 4 : cell >= kGru ? 3 : 1; }
  int64_t width() const { return gates() * units; }
  // Every operand that the cell may have.
  void fill(Random& random) {
    const float nan = __builtin_nanf("");
    lengths = random.ints(batch, 0, time + 1);
    pre = random.floats(batch * time * width());
    for (int64_t b = 0; b < batch; b++)
      for (int64_t i = lengths[(size_t)b] * width(); i < time * width(); i++)
        pre[(size_t)(b * time * width() + i)] = nan;
    r = random.floats(units * width());
    bias = random.floats(width());
    if (cell == kGruAfter) recurrentBias = random.floats(width());
    h0 = random.floats(batch * units);
    if (cell == kLstm) c0 = random.floats(batch * units), peepholes = random.floats(3 * units);
    mask = random.floats(batch * units);
  }
};

const Problem kProblems[] = {
    {kTanh, 1, 1, 1, false}, {kRelu, 3, 4, 5, true},      {kSigmoid, 2, 3, 17, false}, {kLinear, 5, 2, 8, true},
    {kLstm, 1, 1, 1, false}, {kLstm, 4, 3, 7, true},      {kLstm, 17, 4, 33, false},   {kLstm, 1, 5, 19, true},
    {kGru, 1, 2, 3, false},  {kGru, 5, 4, 18, true},      {kGru, 18, 2, 5, false},     {kGruAfter, 2, 1, 1, true},
    {kGruAfter, 3, 5, 9, false}, {kGruAfter, 20, 3, 35, true}, {kLstm, 0, 3, 4, false}, {kLstm, 3, 0, 4, false}};

struct Results {
  std::vector<double> outputs, h, c;
};

double sigma(double x) { return 1 / (1 + std::exp(-x)); }

Results forward(const Problem& p, const std::vector<double>& pre, const std::vector<double>& h0,
                const std::vector<double>& c0) {
  const int64_t n = p.units, w = p.width();
  Results result = {std::vector<double>((size_t)(p.batch * p.time * n)), h0, c0};
  for (int64_t b = 0; b < p.batch; b++) {
    for (int64_t k = 0; k < p.lengths[(size_t)b]; k++) {
      const int64_t t = p.reverse ? p.lengths[(size_t)b] - 1 - k : k;
      std::vector<double> seen((size_t)n), reset((size_t)n), h((size_t)n);
      for (int64_t u = 0; u < n; u++) {
        seen[(size_t)u] = result.h[(size_t)(b * n + u)] * p.mask[(size_t)(b * n + u)];
      }
      const auto in = [&](int64_t g, int64_t u) {
        return pre[(size_t)((b * p.time + t) * w + g * n + u)] + p.bias[(size_t)(g * n + u)];
      };
      const auto dot = [&](const std::vector<double>& x, int64_t g, int64_t u) {
        double sum = p.cell == kGruAfter ? p.recurrentBias[(size_t)(g * n + u)] : 0;
        for (int64_t v = 0; v < n; v++) sum += x[(size_t)v] * p.r[(size_t)(v * w + g * n + u)];
        return sum;
      };
      const auto gate = [&](int64_t g, int64_t u) { return in(g, u) + dot(seen, g, u); };
      if (p.cell == kGru) {
        for (int64_t u = 0; u < n; u++) reset[(size_t)u] = sigma(gate(1, u)) * seen[(size_t)u];
      }
      for (int64_t u = 0; u < n; u++) {
        const size_t at = (size_t)u;
        if (p.cell == kLstm) {
          double& c = result.c[(size_t)(b * n + u)];
          const double i = sigma(gate(0, u) + p.peepholes[at] * c);
          const double f = sigma(gate(1, u) + p.peepholes[(size_t)(n + u)] * c);
          c = f * c + i * std::tanh(gate(2, u));
          h[at] = sigma(gate(3, u) + p.peepholes[(size_t)(2 * n + u)] * c) * std::tanh(c);
        } else if (p.cell >= kGru) {
          const double z = sigma(gate(0, u));
          const double g = p.cell == kGru ? std::tanh(in(2, u) + dot(reset, 2, u))
                                          : std::tanh(in(2, u) + sigma(gate(1, u)) * dot(seen, 2, u));
          h[at] = z * result.h[(size_t)(b * n + u)] + (1 - z) * g;  // the mask is for products
        } else {
          const double x = gate(0, u);
          h[at] = p.cell == kTanh ? std::tanh(x) : p.cell == kRelu ? std::max(0.0, x)
                  : p.cell == kSigmoid ? sigma(x) : x;
        }
      }
      for (int64_t u = 0; u < n; u++) {
        result.h[(size_t)(b * n + u)] = h[(size_t)u];
        result.outputs[(size_t)((b * p.time + t) * n + u)] = h[(size_t)u];
      }
    }
  }
  return result;
}

std::vector<double> wide(const std::vector<float>& x) { return std::vector<double>(x.begin(), x.end()); }

// A few roundings of numbers below 2 per step and of each of the products' terms.
double bound(const Problem& p) { return (double)((p.units + 32) * (p.time + 1)) * 4 * kHalfUlp; }

struct Bound {
  std::vector<int> inputs;
  std::vector<Bytes> data;
};
Bound bindForward(ProgramBuilder& builder, const Problem& p) {
  Bound b;
  const auto add = [&](const std::vector<float>& x) {
    b.inputs.push_back(builder.bind(kFloat32, {(int64_t)x.size()}, Access::kRead));
    b.data.push_back(bytesOf(x));
  };
  add(p.pre), add(p.r), add(p.bias);
  if (p.cell == kGruAfter) add(p.recurrentBias);
  add(p.h0);
  if (p.cell == kLstm) add(p.c0), add(p.peepholes);
  add(p.mask);
  b.inputs.push_back(builder.bind(kInt32, {p.batch}, Access::kRead));
  b.data.push_back(bytesOf(p.lengths));
  return b;
}
std::vector<int64_t> forwardInts(const Problem& p, int64_t wanted) {
  return {p.batch, p.time, p.units, p.cell, wanted, p.reverse, 1, p.cell == kGruAfter, 1, p.cell == kLstm, 1, 1};
}

TEST_P(RecurrentTest, RunsAllSteps) {
  Random random(1);
  for (Problem p : kProblems) {
    p.fill(random);
    const Results want = forward(p, wide(p.pre), wide(p.h0), wide(p.c0));
    ProgramBuilder builder;
    Bound b = bindForward(builder, p);
    const int64_t wanted = p.cell == kLstm ? 0x23 : 0x3;
    std::vector<int> outputs;
    for (int64_t size : {p.batch * p.time * p.units, p.batch * p.units, p.batch * p.units}) {
      if (outputs.size() == 2 && p.cell != kLstm) break;
      outputs.push_back(builder.bind(kFloat32, {size}, Access::kWrite));
      b.data.push_back(Bytes((size_t)size * 4, 0xee));
    }
    builder.call(k_recurrent, b.inputs, outputs, forwardInts(p, wanted));
    const auto got = run(builder, b.data);
    const size_t first = b.inputs.size();
    const auto within = [&](size_t) { return bound(p); };
    expectNear(got[first], want.outputs, within);
    expectNear(got[first + 1], want.h, within);
    if (p.cell == kLstm) expectNear(got[first + 2], want.c, within);
  }
}

// Few rows and many units: threads share the units and meet after each step. The tests above have too little
// work for more than one.
TEST_P(RecurrentTest, SharesUnitsAmongThreads) {
  Random random(4);
  for (int cell = kTanh; cell <= kGruAfter; cell++) {
    Problem p = {cell, 5, 3, cell < kLstm ? 270 : 130, cell % 2 == 1};
    p.fill(random);
    for (float& weight : p.r) weight *= 0.1f;
    ProgramBuilder builder;
    Bound b = bindForward(builder, p);
    const auto out = [&](int64_t size) {
      b.data.push_back(Bytes((size_t)size * 4, 0xee));
      return builder.bind(kFloat32, {size});
    };
    const bool lstm = cell == kLstm, gru = cell >= kGru;
    const int64_t narrow = p.batch * p.time * p.units, state = p.batch * p.units;
    const int outputs = out(narrow), h = out(state), gates = out(narrow * p.gates());
    std::vector<int> results = {outputs, h, gates}, saved = {b.inputs[1], gates};
    for (int i = 0; i < (gru || lstm ? 2 : 0); i++) saved.push_back(out(narrow));
    results.insert(results.end(), saved.begin() + 2, saved.end());
    const int64_t wanted = lstm ? 0x57 : gru ? 0x1f : 0x7;
    builder.call(k_recurrent, b.inputs, results, forwardInts(p, wanted));
    saved.insert(saved.end(), b.inputs.end() - (lstm ? 3 : 2), b.inputs.end());
    saved.insert(saved.end(), {outputs, h});
    if (lstm) saved.push_back(h);
    std::vector<int> gradients = {out(narrow * p.gates()), out(state)};
    if (lstm) gradients.push_back(out(state));
    builder.call(k_recurrentGradient, saved, gradients,
                 {p.batch, p.time, p.units, cell, lstm ? 0xd : 0x5, p.reverse, lstm, 1, 1, 1, 1, lstm});
    std::string error;
    const std::shared_ptr<Program> program = load(GetParam(), builder.encode(), &error);
    ASSERT_TRUE(program) << error;
    for (const Call& call : program->calls()) EXPECT_GE(call.maxParts, 3) << "cell " << cell;
    const auto got = run(builder, b.data);
    const Results want = forward(p, wide(p.pre), wide(p.h0), wide(p.c0));
    expectNear(got[b.inputs.size()], want.outputs, [&](size_t) { return bound(p); });
  }
}

TEST_P(RecurrentTest, GradientsAreDifferences) {
  Random random(2);
  for (Problem p : kProblems) {
    if (p.cell == kRelu || p.batch * p.time > 30) continue;  // kinks; many differences
    p.fill(random);
    const int64_t narrow = p.batch * p.time * p.units, state = p.batch * p.units;
    std::vector<float> dOutputs = random.floats(narrow), dH = random.floats(state), dC = random.floats(state);
    const auto loss = [&](const std::vector<double>& pre, const std::vector<double>& h0,
                          const std::vector<double>& c0) {
      const Results r = forward(p, pre, h0, c0);
      double sum = 0;
      for (size_t i = 0; i < (size_t)narrow; i++) sum += r.outputs[i] * dOutputs[i];
      for (size_t i = 0; i < (size_t)state; i++) sum += r.h[i] * dH[i];
      for (size_t i = 0; i < r.c.size(); i++) sum += r.c[i] * dC[i];
      return sum;
    };
    const auto differences = [&](int which, size_t size) {
      std::vector<double> slopes(size);
      for (size_t i = 0; i < size; i++) {
        double side[2];
        for (int s = 0; s < 2; s++) {
          std::vector<double> x[] = {wide(p.pre), wide(p.h0), wide(p.c0)};
          x[which][i] += s ? 1e-4 : -1e-4;
          side[s] = loss(x[0], x[1], x[2]);
        }
        slopes[i] = (side[1] - side[0]) / 2e-4;
      }
      return slopes;
    };
    // Forward for what is saved, then backward.
    ProgramBuilder builder;
    Bound b = bindForward(builder, p);
    const bool lstm = p.cell == kLstm, gru = p.cell >= kGru;
    const int64_t wanted = lstm ? 0x54 : gru ? 0x1c : 0x4;
    std::vector<int> saved = {builder.arena(kFloat32, {p.batch, p.time, p.width()})};
    if (gru || lstm) saved.push_back(builder.arena(kFloat32, {narrow}));
    if (gru || lstm) saved.push_back(builder.arena(kFloat32, {narrow}));
    builder.call(k_recurrent, b.inputs, saved, forwardInts(p, wanted));
    std::vector<int> inputs = {b.inputs[1]};
    inputs.insert(inputs.end(), saved.begin(), saved.end());
    const size_t count = b.inputs.size();
    if (lstm) inputs.push_back(b.inputs[count - 3]);
    inputs.push_back(b.inputs[count - 2]);
    inputs.push_back(b.inputs[count - 1]);
    // Nobody reads the outputs' gradient beyond a length.
    std::vector<float> spoiled = dOutputs;
    for (int64_t s = 0; s < p.batch; s++)
      for (int64_t i = p.lengths[(size_t)s] * p.units; i < p.time * p.units; i++)
        spoiled[(size_t)(s * p.time * p.units + i)] = __builtin_nanf("");
    const auto add = [&](const std::vector<float>& x) {
      inputs.push_back(builder.bind(kFloat32, {(int64_t)x.size()}, Access::kRead));
      b.data.push_back(bytesOf(x));
    };
    add(spoiled), add(dH);
    if (lstm) add(dC);
    std::vector<int> outputs;
    for (int64_t size : {p.batch * p.time * p.width(), state, state}) {
      if (outputs.size() == 2 && !lstm) break;
      outputs.push_back(builder.bind(kFloat32, {size}, Access::kWrite));
      b.data.push_back(Bytes((size_t)size * 4, 0xee));
    }
    builder.call(k_recurrentGradient, inputs, outputs,
                 {p.batch, p.time, p.units, p.cell, lstm ? 0xd : 0x5, p.reverse, lstm, 1, 1, 1, 1, lstm});
    const auto got = run(builder, b.data);
    const size_t first = b.data.size() - outputs.size();
    const auto within = [&](size_t) { return 20 * bound(p) + 1e-6; };
    std::vector<double> dPre = differences(0, (size_t)(p.batch * p.time * p.width()));
    for (double& d : dPre) d = std::isnan(d) ? 0 : d;
    expectNear(got[first], dPre, within);
    expectNear(got[first + 1], differences(1, (size_t)state), within);
    if (lstm) expectNear(got[first + 2], differences(2, (size_t)state), within);
  }
}

TEST_P(RecurrentTest, MultipliesTheRowsThatAreThere) {
  Random random(3);
  const int64_t shapes[][4] = {{1, 1, 1, 1}, {5, 4, 3, 7}, {9, 7, 33, 65}, {4, 30, 300, 18}, {3, 2, 0, 4}, {60, 5, 7, 40}};
  for (const auto& s : shapes) {
    const int64_t batch = s[0], time = s[1], inputs = s[2], units = s[3];
    std::vector<int32_t> lengths = random.ints(batch, 0, time + 1);
    std::vector<float> x = random.floats(batch * time * inputs), y = random.floats(batch * time * units);
    const std::vector<float> w = random.floats(inputs * units);
    std::vector<double> product((size_t)(batch * time * units)), outer((size_t)(inputs * units));
    for (int64_t row = 0; row < batch * time; row++) {
      const bool there = row % time < lengths[(size_t)(row / time)];
      for (int64_t i = 0; i < inputs; i++) {
        float& xi = x[(size_t)(row * inputs + i)];
        if (!there) xi = __builtin_nanf("");
        for (int64_t u = 0; u < units && there; u++) {
          product[(size_t)(row * units + u)] += (double)xi * w[(size_t)(i * units + u)];
          outer[(size_t)(i * units + u)] += (double)xi * y[(size_t)(row * units + u)];
        }
      }
      for (int64_t u = 0; u < units && !there; u++) y[(size_t)(row * units + u)] = __builtin_nanf("");
    }
    ProgramBuilder builder;
    const int bx = builder.bind(kFloat32, {(int64_t)x.size()}, Access::kRead);
    const int by = builder.bind(kFloat32, {(int64_t)y.size()}, Access::kRead);
    const int bw = builder.bind(kFloat32, {(int64_t)w.size()}, Access::kRead);
    const int bl = builder.bind(kInt32, {batch}, Access::kRead);
    const int bp = builder.bind(kFloat32, {(int64_t)product.size()}, Access::kWrite);
    const int bo = builder.bind(kFloat32, {(int64_t)outer.size()}, Access::kWrite);
    builder.call(k_sequenceProduct, {bx, bw, bl}, {bp}, {batch, time, inputs, units, 0});
    builder.call(k_sequenceOuter, {bx, by, bl}, {bo}, {batch, time, inputs, units});
    const auto got = run(builder, {bytesOf(x), bytesOf(y), bytesOf(w), bytesOf(lengths),
                                   Bytes(product.size() * 4, 0xee), Bytes(outer.size() * 4, 0xee)});
    // Each of the terms, all below 1, is rounded once in a sum below their number.
    expectNear(got[4], product, [&](size_t) { return (double)((inputs + 2) * (inputs + 2)) * kHalfUlp; });
    expectNear(got[5], outer, [&](size_t) { return (double)(batch * time * (batch * time + 2)) * kHalfUlp; });
  }
}

TEST_P(RecurrentTest, RefusesOperandsOfOtherCells) {
  const std::vector<int64_t> bad[] = {
      {1, 1, 2, 7, 1, 0, 0, 0, 0, 0, 0, 0},   // no such cell
      {1, 1, 2, 0, 16, 0, 0, 0, 0, 0, 0, 0},  // a result that a simple cell lacks
      {1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0},   // no result
      {1, 1, 2, 0, 1, 0, 0, 0, 0, 1, 0, 0},   // peepholes
      {1, 1, 2, 0, 1, 2, 0, 0, 0, 0, 0, 0},   // no flag
      {1, 1, 2, 0, 1, 0, 1, 0, 0, 0, 0, 0},   // a bias that is not there
      {1, 2, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0}};  // more steps than pre has
  for (const auto& ints : bad) {
    ProgramBuilder builder;
    const int pre = builder.bind(kFloat32, {2}, Access::kRead);
    const int r = builder.bind(kFloat32, {4}, Access::kRead);
    const int out = builder.bind(kFloat32, {2}, Access::kWrite);
    builder.call(k_recurrent, {pre, r}, {out}, ints);
    std::string error;
    EXPECT_EQ(load(GetParam(), builder.encode(), &error), nullptr);
    EXPECT_NE(error.find("recurrent"), std::string::npos) << error;
  }
}

}  // namespace
