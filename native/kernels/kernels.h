// Declares every kernel's plan and run function, and small helpers they share.
#pragma once

#include "../call.h"
#include "../simd/vec.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

#define KERNEL(name)            \
  void plan_##name(Call& call); \
  void run_##name(const Call& call, const Run& run, int phase, int64_t part, int64_t parts);
#include "../kernels.def"
#undef KERNEL

double measurePeak(double milliseconds);
double sweepPass(Sweep sweep, bool aroundCaches, float* data, int64_t n);

LW_INLINE int64_t minOf(int64_t a, int64_t b) { return a < b ? a : b; }
LW_INLINE int64_t maxOf(int64_t a, int64_t b) { return a > b ? a : b; }
LW_INLINE int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct Range {
  int64_t begin, end;
};
// The part-th of `parts` near-equal ranges of [0, n), cut at multiples of `grain`.
LW_INLINE Range split(int64_t n, int64_t grain, int64_t part, int64_t parts) {
  const int64_t units = ceilDiv(n, grain);
  return {minOf(n, units * part / parts * grain), minOf(n, units * (part + 1) / parts * grain)};
}

// 16 float lanes whatever the instruction set, so that sums have the same bits on all of them: element
// i of a run goes to lane i mod 16.
struct Lanes16 {
  VF v[16 / W];
};
LW_INLINE Lanes16 lanes16(float x) {
  Lanes16 r;
#pragma GCC unroll 4
  for (int j = 0; j < 16 / W; j++) r.v[j] = set1(x);
  return r;
}
// Lanes from memory; n < 16 leaves the rest at `other`.
LW_INLINE Lanes16 loadLanes16(const float* p) {
  Lanes16 r;
#pragma GCC unroll 4
  for (int j = 0; j < 16 / W; j++) r.v[j] = load(p + j * W);
  return r;
}
LW_INLINE VI laneNumbers() {
  VI v = {};
#pragma GCC unroll 16
  for (int l = 0; l < W; l++) v[l] = l;
  return v;
}
LW_INLINE Lanes16 loadLanes16(const float* p, int64_t n, float other) {
  Lanes16 r;
#pragma GCC unroll 4
  for (int j = 0; j < 16 / W; j++) {
    const int64_t rest = n - j * W;
    if (rest >= W) {
      r.v[j] = load(p + j * W);
    } else if (rest > 0) {
      VF x = loadPartial(p + j * W, rest);
      r.v[j] = laneNumbers() < (int32_t)rest ? x : set1(other);
    } else {
      r.v[j] = set1(other);
    }
  }
  return r;
}
LW_INLINE void storeLanes16(float* p, const Lanes16& x, int64_t n) {
#pragma GCC unroll 4
  for (int j = 0; j < 16 / W; j++) {
    const int64_t rest = n - j * W;
    if (rest >= W) store(p + j * W, x.v[j]);
    else if (rest > 0) storePartial(p + j * W, x.v[j], rest);
  }
}
// Sum of the lanes in double, pairwise: 8 apart, then 4, 2, 1.
LW_INLINE double sumLanes(const Lanes16& x) {
  float f[16];
  double d[8];
#pragma GCC unroll 4
  for (int j = 0; j < 16 / W; j++) store(f + j * W, x.v[j]);
  for (int l = 0; l < 8; l++) d[l] = (double)f[l] + (double)f[l + 8];
  for (int l = 0; l < 4; l++) d[l] += d[l + 4];
  return (d[0] + d[2]) + (d[1] + d[3]);
}
// Σ f(lanes) over n elements: float lanes over chunks of 256 terms, chunks added in double.
// f(i, count) gives the 16 terms from element i on; lanes at and beyond count must be 0.
template <class F>
LW_INLINE double sumChunks(int64_t n, F f) {
  double total = 0;
  int64_t i = 0;
  while (i < n) {
    const int64_t end = minOf(n, i + 256);
    Lanes16 acc = lanes16(0.0f);
    for (; i + 16 <= end; i += 16) {
      Lanes16 x = f(i, (int64_t)16);
#pragma GCC unroll 4
      for (int j = 0; j < 16 / W; j++) acc.v[j] += x.v[j];
    }
    if (i < end) {
      Lanes16 x = f(i, end - i);
#pragma GCC unroll 4
      for (int j = 0; j < 16 / W; j++) acc.v[j] += x.v[j];
      i = end;
    }
    total += sumLanes(acc);
  }
  return total;
}

// Largest of n floats; NaN if there is one; −∞ for none.
LW_INLINE float maxFloat(const float* p, int64_t n) {
  VF best = -infinity();
  VI bad = {};
  int64_t i = 0;
  for (; i + W <= n; i += W) {
    const VF x = load(p + i);
    best = x > best ? x : best;
    bad |= (VI)(x != x);
  }
  if (i < n) {
    const VI inside = laneNumbers() < (int32_t)(n - i);
    const VF x = loadPartial(p + i, n - i);
    best = inside & (VI)(x > best) ? x : best;
    bad |= inside & (VI)(x != x);
  }
  float lanes[W];
  int32_t flags[W];
  store(lanes, best);
  store(flags, bad);
  float result = lanes[0];
  int32_t any = flags[0];
  for (int l = 1; l < W; l++) {
    if (lanes[l] > result) result = lanes[l];
    any |= flags[l];
  }
  return any ? __builtin_nanf("") : result;
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
