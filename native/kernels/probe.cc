// What the machine can do: a register-only FMA loop, and passes over memory that do next to no arithmetic.
// Every speed that benchmarks report is a share of these.
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

template <bool kAround>
LW_INLINE void put(float* p, VF v) {
  if (kAround) storeAround(p, v);
  else store(p, v);
}

// Sums in eight chains, so that the adders do not set the pace.
float readPass(const float* a, int64_t n) {
  constexpr int kChains = 8;
  VF sums[kChains];
  for (int j = 0; j < kChains; j++) sums[j] = zero();
  for (int64_t i = 0; i + kChains * W <= n; i += kChains * W) {
#pragma GCC unroll 8
    for (int j = 0; j < kChains; j++) sums[j] += load(a + i + j * W);
  }
  VF sum = zero();
  for (int j = 0; j < kChains; j++) sum += sums[j];
  float lanes[W];
  store(lanes, sum);
  return lanes[0];
}

template <bool kAround>
double writingPass(Sweep sweep, float* a, float* b, float* c, float* d, int64_t n) {
  const VF s = set1(0.5f);
  switch (sweep) {
    case Sweep::kCopy:
      for (int64_t i = 0; i < n; i += W) put<kAround>(b + i, load(a + i));
      return 8.0;
    case Sweep::kTriad:
      for (int64_t i = 0; i < n; i += W) put<kAround>(c + i, load(a + i) + s * load(b + i));
      return 12.0;
    default:
      for (int64_t i = 0; i < n; i += W) {
        const VF g = load(d + i), m = s * load(b + i) + g, v = s * load(c + i) + g;
        put<kAround>(b + i, m);
        put<kAround>(c + i, v);
        put<kAround>(a + i, load(a + i) - s * (m + v));
      }
      return 28.0;
  }
}

}  // namespace

double measurePeak(double milliseconds) {
  // At least latency × units: 4·2 of x86's FMA, 4·4 of some NEON cores', 7·2 of SSE2's multiply and add.
  // With a and b they still fit the registers: 32 of AVX-512 and NEON, 16 of the others.
  constexpr int kChains = !kFma ? 14 : W == 8 ? 12 : 20;
  constexpr int64_t kTurns = 20000;
  VF acc[kChains];
  for (int i = 0; i < kChains; i++) acc[i] = set1(1.0f + (float)i);
  VF a = set1(0.999999f), b = set1(1e-6f);
  double best = 0;
  const double end = seconds() + milliseconds * 1e-3;
  do {
    const double start = seconds();
    for (int64_t t = 0; t < kTurns; t++) {
#pragma GCC unroll 20
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

double sweepPass(Sweep sweep, bool aroundCaches, float* data, int64_t n) {
  float *a = data, *b = a + n, *c = b + n, *d = c + n;
  if (sweep == Sweep::kRead) {
    d[0] = readPass(a, n);
    return 4.0 * (double)n;
  }
  const double bytes = aroundCaches ? writingPass<true>(sweep, a, b, c, d, n)
                                    : writingPass<false>(sweep, a, b, c, d, n);
  storesDone();
  return bytes * (double)n;
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
