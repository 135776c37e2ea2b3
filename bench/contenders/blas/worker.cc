// A BLAS-like library as a contender, on the protocol of bench/lib/spec.ts: reads requests as JSON lines
// on stdin and answers each with one line. Knows of JSON only what JSON.stringify makes of a GEMM case.
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

class Case {
 public:
  Case(int m, int n, int k, bool transposeA, bool transposeB)
      : a_(randomFloats((size_t)m * k)), b_(randomFloats((size_t)k * n)), c_(randomFloats((size_t)m * n)),
        product_{m, n, k, transposeA, transposeB, a_.get(), b_.get(), c_.get()} {
    double best = 0;
    for (const Way& way : waysTo(product_)) {
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

  // The largest error of some elements against double, as a multiple of what rounding explains.
  double error() const {
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

  Floats a_, b_, c_;
  Product product_;
  Way way_;
  double perCall_ = 0;
};

std::unique_ptr<Case> current;

std::string answer(const std::string& line) {
  if (says(line, "op", "setup")) {
    if (!says(line, "kernel", "gemm")) return "{\"skip\":\"only multiplies matrices\"}";
    useThreads((int)number(line, "threads"));
    current = std::make_unique<Case>((int)number(line, "m"), (int)number(line, "n"), (int)number(line, "k"),
                                     isTrue(line, "transposeA"), isTrue(line, "transposeB"));
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
