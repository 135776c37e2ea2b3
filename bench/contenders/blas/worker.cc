// A BLAS-like library as a contender, on the protocol of bench/lib/spec.ts: reads requests as JSON lines
// on stdin and answers each with one line. Knows of JSON only what JSON.stringify makes of a kernel's case.
// Built by bench/peers/build_blas.mjs, together with one of openblas.cc and onednn.cc.
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "product.h"

namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The text after `"key":`, or nothing.
std::string after(const std::string& line, const std::string& key) {
  const size_t at = line.find("\"" + key + "\":");
  return at == std::string::npos ? "" : line.substr(at + key.size() + 3);
}
double number(const std::string& line, const char* key) { return atof(after(line, key).c_str()); }
bool isTrue(const std::string& line, const char* key) { return after(line, key).rfind("true", 0) == 0; }
bool says(const std::string& line, const char* key, const std::string& value) {
  return after(line, key).rfind("\"" + value + "\"", 0) == 0;
}
std::string failed(const std::string& why) { return "{\"error\":\"" + why + "\"}"; }

struct Free {
  void operator()(float* p) const { free(p); }
};
using Floats = std::unique_ptr<float, Free>;

Floats randomFloats(size_t n) {
  static uint32_t state = 1;
  Floats data((float*)aligned_alloc(64, (n * 4 + 63) / 64 * 64));
  for (size_t i = 0; i < n; i++) {
    state = state * 1664525u + 1013904223u;
    data.get()[i] = (float)(state >> 8) * 0x1p-24f;
  }
  return data;
}

// What is computed: operands, result, and how wrong it is.
class Problem {
 public:
  Problem(size_t a, size_t b, size_t c) : a_(randomFloats(a)), b_(randomFloats(b)), c_(randomFloats(c)) {}
  virtual ~Problem() = default;
  virtual std::vector<Way> ways() const = 0;
  // The largest error of some elements against double, as a multiple of what rounding explains.
  virtual double error() const = 0;

 protected:
  Floats a_, b_, c_;
};

class ProductProblem : public Problem {
 public:
  ProductProblem(int m, int n, int k, bool transposeA, bool transposeB)
      : Problem((size_t)m * k, (size_t)k * n, (size_t)m * n),
        product_{m, n, k, transposeA, transposeB, a_.get(), b_.get(), c_.get()} {}
  std::vector<Way> ways() const override { return waysTo(product_); }
  double error() const override {
    const auto& [m, n, k, transposeA, transposeB, a, b, c] = product_;
    double worst = 0;
    for (int probe = 0; probe < 64; probe++) {
      const int i = (int)(probe * 7919LL % m), j = (int)(probe * 104729LL % n);
      double exact = 0;
      for (int p = 0; p < k; p++) {
        exact += (double)a[transposeA ? (size_t)p * m + i : (size_t)i * k + p] *
                 (double)b[transposeB ? (size_t)j * k + p : (size_t)p * n + j];
      }
      const double error = std::abs(c[(size_t)i * n + j] - exact) / exact / (2 * std::sqrt(k) * 0x1p-24);
      worst = std::isnan(error) ? HUGE_VAL : std::max(worst, error);
    }
    return worst;
  }

 private:
  Product product_;
};

class ConvolutionProblem : public Problem {
 public:
  explicit ConvolutionProblem(const Convolution& c)
      : Problem(size(c, c.direction == Convolution::kInputGradient ? 'y' : 'x'),
                size(c, c.direction == Convolution::kFilterGradient ? 'y' : 'w'),
                size(c, c.direction == Convolution::kForward          ? 'y'
                        : c.direction == Convolution::kInputGradient ? 'x'
                                                                     : 'w')),
        convolution_(c) {
    convolution_.a = a_.get(), convolution_.b = b_.get(), convolution_.c = c_.get();
  }
  std::vector<Way> ways() const override { return waysTo(convolution_); }
  double error() const override {
    const Convolution& v = convolution_;
    const size_t n = size(v, v.direction == Convolution::kForward          ? 'y'
                             : v.direction == Convolution::kInputGradient ? 'x'
                                                                          : 'w');
    std::vector<double> exact(kProbes), terms(kProbes);
    const int own = v.channels / v.groups, out = v.out();
    for (int probe = 0; probe < kProbes; probe++) {
      // The one element, found by going over all that meet in it.
      const size_t wanted = (size_t)probe * 104729 % n;
      const auto fixed = [&](size_t divisor, int count) { return (int)(wanted / divisor % (size_t)count); };
      const bool forward = v.direction == Convolution::kForward, input = v.direction == Convolution::kInputGradient;
      const int F = v.filters, C = v.channels;
      for (int image = 0; image < v.batch; image++) {
        if (forward && image != fixed((size_t)out * out * F, v.batch)) continue;
        if (input && image != fixed((size_t)v.side * v.side * C, v.batch)) continue;
        for (int i = 0; i < out; i++) {
          if (forward && i != fixed((size_t)out * F, out)) continue;
          for (int j = 0; j < out; j++) {
            if (forward && j != fixed((size_t)F, out)) continue;
            for (int k = 0; k < v.taps; k++) {
              const int row = i * v.stride - v.pad + k;
              if (row < 0 || row >= v.side || (input && row != fixed((size_t)v.side * C, v.side))) continue;
              if (!forward && !input && k != fixed((size_t)v.taps * own * F, v.taps)) continue;
              for (int l = 0; l < v.taps; l++) {
                const int column = j * v.stride - v.pad + l;
                if (column < 0 || column >= v.side || (input && column != fixed((size_t)C, v.side))) continue;
                if (!forward && !input && l != fixed((size_t)own * F, v.taps)) continue;
                for (int o = 0; o < F; o++) {
                  if (!input && o != fixed(1, F)) continue;
                  const int group = o / (F / v.groups);
                  if (input && group != fixed(1, C) / own) continue;
                  for (int ch = 0; ch < own; ch++) {
                    if (input && ch != fixed(1, C) % own) continue;
                    if (!forward && !input && ch != fixed((size_t)F, own)) continue;
                    const size_t x = (((size_t)image * v.side + row) * v.side + column) * C + group * own + ch;
                    const size_t w = (((size_t)k * v.taps + l) * own + ch) * F + o;
                    const size_t y = (((size_t)image * out + i) * out + j) * F + o;
                    exact[probe] += (double)v.a[input ? y : x] * (double)v.b[forward || input ? w : y];
                    terms[probe]++;
                  }
                }
              }
            }
          }
        }
      }
    }
    double worst = 0;
    for (int probe = 0; probe < kProbes; probe++) {
      if (terms[probe] == 0) continue;
      const double got = v.c[(size_t)probe * 104729 % n];
      const double error =
          std::abs(got - exact[probe]) / exact[probe] / (4 * std::sqrt(terms[probe]) * 0x1p-24);
      worst = std::isnan(error) ? HUGE_VAL : std::max(worst, error);
    }
    return worst;
  }

 private:
  static constexpr int kProbes = 16;
  static size_t size(const Convolution& c, char which) {
    const size_t out = (size_t)c.out();
    if (which == 'x') return (size_t)c.batch * c.side * c.side * c.channels;
    if (which == 'y') return (size_t)c.batch * out * out * c.filters;
    return (size_t)c.taps * c.taps * (c.channels / c.groups) * c.filters;
  }
  Convolution convolution_;
};

class Case {
 public:
  explicit Case(std::unique_ptr<Problem> problem) : problem_(std::move(problem)) {
    double best = 0;
    for (const Way& way : problem_->ways()) {
      const double once = timed(way, callsToTry(way));
      if (best == 0 || once < best) {
        best = once;
        way_ = way;
      }
    }
    perCall_ = best;
  }

  // Seconds per call: the median of ten parts, as the others report; of fewer if calls are long.
  double measure(double aim) {
    std::vector<double> parts((size_t)std::clamp((int)std::lround(aim / perCall_), 3, 10));
    const int count = std::max(1, (int)std::lround(aim / (double)parts.size() / perCall_));
    for (double& part : parts) part = timed(way_, count);
    std::sort(parts.begin(), parts.end());
    return perCall_ = (parts[(parts.size() - 1) / 2] + parts[parts.size() / 2]) / 2;
  }

  // False if the library has no such thing.
  bool able() const { return perCall_ > 0; }
  double error() const {
    way_.fetch();
    return problem_->error();
  }

 private:
  static double timed(const Way& way, int count) {
    const double begin = seconds();
    for (int i = 0; i < count; i++) way.call();
    return (seconds() - begin) / count;
  }
  // How many calls take about 30 ms; threads and buffers come to be with the first two.
  static int callsToTry(const Way& way) {
    timed(way, 2);
    return std::clamp((int)(0.03 / timed(way, 3)), 1, 100000);
  }

  std::unique_ptr<Problem> problem_;
  Way way_;
  double perCall_ = 0;
};

std::unique_ptr<Case> current;

std::string answer(const std::string& line) {
  if (says(line, "op", "setup")) {
    useThreads((int)number(line, "threads"));
    const auto integer = [&](const char* key) { return (int)number(line, key); };
    std::unique_ptr<Problem> problem;
    if (says(line, "kernel", "gemm")) {
      problem = std::make_unique<ProductProblem>(integer("m"), integer("n"), integer("k"),
                                                 isTrue(line, "transposeA"), isTrue(line, "transposeB"));
    }
    const char* const directions[] = {"conv2d", "conv2dInputGradient", "conv2dFilterGradient"};
    for (int d = 0; d < 3; d++) {
      if (!says(line, "kernel", directions[d])) continue;
      problem = std::make_unique<ConvolutionProblem>(
          Convolution{(Convolution::Direction)d, integer("batch"), integer("side"), integer("channels"),
                      integer("filters"), integer("taps"), integer("stride"), integer("pad"),
                      integer("groups"), nullptr, nullptr, nullptr});
    }
    if (!problem) return "{\"skip\":\"has no such kernel\"}";
    current = std::make_unique<Case>(std::move(problem));
    if (!current->able()) return "{\"skip\":\"has no convolutions\"}";
    return "{\"versions\":{\"" + std::string(libraryName()) + "\":\"" + libraryVersion() + "\"}}";
  }
  if (!current) return failed("no case was set up");
  if (says(line, "op", "measure")) {
    const double perUnit = current->measure(number(line, "seconds"));
    char text[64];
    snprintf(text, sizeof text, "{\"perUnit\":%.9g}", perUnit);
    return text;
  }
  const double error = current->error();
  if (!(error <= 1)) return failed("the product is off by " + std::to_string(error) + " times the rounding");
  return "{\"check\":{}}";
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::string reply;
    try {
      reply = answer(line);
    } catch (const std::exception& error) {
      reply = failed(error.what());
    }
    std::cout << reply << std::endl;
  }
}
