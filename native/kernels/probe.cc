// What the machine can do: a register-only FMA loop and one pass of STREAM's triad. Every speed that
// benchmarks report is a share of these.
#include <time.h>

#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

double seconds() {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

}  // namespace

double measurePeak(double milliseconds) {
  constexpr int kChains = 12;
  constexpr int64_t kTurns = 20000;
  VF acc[kChains];
  for (int i = 0; i < kChains; i++) acc[i] = set1(1.0f + (float)i);
  VF a = set1(0.999999f), b = set1(1e-6f);
  double best = 0;
  const double end = seconds() + milliseconds * 1e-3;
  do {
    const double start = seconds();
    for (int64_t t = 0; t < kTurns; t++) {
#pragma GCC unroll 12
      for (int i = 0; i < kChains; i++) acc[i] = fma(acc[i], a, b);
    }
    const double rate = 2.0 * kChains * W * kTurns / (seconds() - start) * 1e-9;
    if (rate > best) best = rate;
  } while (seconds() < end);
  VF sum = zero();
  for (int i = 0; i < kChains; i++) sum += acc[i];
  float lanes[W];
  store(lanes, sum);
  return lanes[0] != lanes[0] ? 0 : best;
}

// a = b + 3·c; gives the bytes moved.
double triadPass(float* a, const float* b, const float* c, int64_t n) {
  int64_t i = 0;
  for (; i + W <= n; i += W) store(a + i, load(b + i) + 3.0f * load(c + i));
  for (; i < n; i++) a[i] = b[i] + 3.0f * c[i];
  return 12.0 * (double)n;
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
