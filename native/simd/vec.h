// The small vector type the kernels are written on: VF (float), VI (int32) and VU (uint32) of W lanes,
// as GCC/Clang vector extensions, so that + - * / < & ?: work on them. What the extensions lack comes
// from vec_<isa>.h, one per instruction set, and must offer:
//   W, kFma; fma, sqrt, floor, ceil, roundEven, trunc; loadPartial, storePartial (n < W lanes, nothing
//   beyond is touched); loadBytes (W bytes as int32 lanes), storeBytes (lanes of 0 to 255 as bytes); anyLane
//   (whether a bit is set); mulEven (products of the even lanes as 64 bits); transpose4 (W×4 → 4×W), with AVX-512 transposeSquare (W×W) and transposeRows (ROWS×W → W×ROWS); addSums4 (the sums of four vectors' lanes, added to four floats); packNonZero (lanes that
//   are not 0 side by side at `values`, with VALUES, and their numbers + `first` at `at`; gives how many; may write W of
//   both).
// Included in the instruction set's own namespace only.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifndef LAYERWISE_ISA_NAMESPACE
#error "compile kernels with -DLAYERWISE_ISA_NAMESPACE=<isa>"
#endif

#define LW_INLINE static inline __attribute__((always_inline))
#define LW_MEMBER inline __attribute__((always_inline))

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

#if defined(__AVX512F__)
constexpr int W = 16;
#elif defined(__AVX2__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif

typedef float VF __attribute__((vector_size(W * 4)));
typedef int32_t VI __attribute__((vector_size(W * 4)));
typedef uint32_t VU __attribute__((vector_size(W * 4)));
typedef uint64_t VL __attribute__((vector_size(W * 4)));
// The same without an alignment demand, for loads and stores.
typedef float VFu __attribute__((vector_size(W * 4), aligned(4), may_alias));
typedef int32_t VIu __attribute__((vector_size(W * 4), aligned(4), may_alias));

LW_INLINE VF load(const float* p) { return *(const VFu*)p; }
LW_INLINE VI load(const int32_t* p) { return *(const VIu*)p; }
LW_INLINE void store(float* p, VF v) { *(VFu*)p = v; }
LW_INLINE void store(int32_t* p, VI v) { *(VIu*)p = v; }
// A store that leaves the line out of the caches and does not read it first, where there is one; p is
// aligned to a vector. Other threads may read what was stored after storesDone().
LW_INLINE void storeAround(float* p, VF v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(p, (__m512)v);
#elif defined(__AVX2__)
  _mm256_stream_ps(p, (__m256)v);
#elif defined(__x86_64__)
  _mm_stream_ps(p, (__m128)v);
#else
  store(p, v);
#endif
}
// Less than a vector around the caches: an ordinary store would fetch the line whose rest goes around.
LW_INLINE void storeOneAround(float* p, float x) {
#if defined(__x86_64__)
  int32_t bits;
  memcpy(&bits, &x, 4);
  _mm_stream_si32((int*)p, bits);
#else
  *p = x;
#endif
}
LW_INLINE void storesDone() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}
LW_INLINE VF set1(float x) { return x - (VF){}; }
LW_INLINE VI set1(int32_t x) { return x - (VI){}; }
LW_INLINE VF zero() { return (VF){}; }

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise

#include "turn.h"

#if defined(__AVX512F__)
#include "vec_avx512.h"
#elif defined(__AVX2__)
#include "vec_avx2.h"
#elif defined(__aarch64__)
#include "vec_neon.h"
#else
#include "vec_baseline.h"
#endif

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

LW_INLINE VI loadPartial(const int32_t* p, int64_t n) { return (VI)loadPartial((const float*)p, n); }
LW_INLINE void storePartial(int32_t* p, VI v, int64_t n) { storePartial((float*)p, (VF)v, n); }

#if defined(__clang__)
// GCC's built-in, which clang lacks: lanes of a and b by number, 0 to 2·W − 1.
LW_INLINE VI shuffleLanes(VI a, VI b, VI pick) {
  VI r = {};
  for (int l = 0; l < W; l++) r[l] = pick[l] < W ? a[pick[l]] : b[pick[l] - W];
  return r;
}
#define __builtin_shuffle(a, b, pick) shuffleLanes(a, b, pick)
#endif

#if !defined(__AVX512F__)
// dst[k·dstStride + i] = src[i·srcStride + k] for i, k < W.
LW_INLINE void transposeSquare(const float* src, int64_t srcStride, float* dst, int64_t dstStride) {
#pragma GCC unroll 2
  for (int k = 0; k < W; k += 4) transpose4(src + k, srcStride, dst + k * dstStride, dstStride);
}
#endif

LW_INLINE VF infinity() { return set1(__builtin_inff()); }
LW_INLINE VF abs(VF a) { return (VF)((VI)a & 0x7fffffff); }
LW_INLINE VF copySign(VF size, VF sign) {
  return (VF)(((VI)size & 0x7fffffff) | ((VI)sign & (int32_t)0x80000000));
}
// 0 or 1 from a comparison's 0 or -1.
LW_INLINE VI toBool(VI mask) { return mask & 1; }
#if !defined(__AVX512F__)
// All bits of lane l where bit l of `bits` is set.
LW_INLINE VI maskOfBits(uint32_t bits) {
  VI own = {};
  for (int l = 0; l < W; l++) own[l] = 1 << l;
  return (set1((int32_t)bits) & own) == own;
}
#endif
// Bit l of `bits` in lane l.
LW_INLINE VI lanesOfBits(uint32_t bits) {
#if defined(__AVX512F__)
  return (VI)_mm512_maskz_set1_epi32((__mmask16)bits, 1);
#else
  return toBool(maskOfBits(bits));
#endif
}
// 64 bits as bools.
LW_INLINE void storeBools64(uint8_t* to, uint64_t bits) {
#if defined(__AVX512BW__)
  _mm512_storeu_si512(to, _mm512_maskz_set1_epi8((__mmask64)bits, 1));
#else
  for (int l = 0; l < 64; l += W) storeBytes(to + l, lanesOfBits((uint32_t)(bits >> l)));
#endif
}
// Lane l of a where bit l of `bits` is set, 0 elsewhere.
LW_INLINE VF keepLanes(VF a, uint32_t bits) {
#if defined(__AVX512F__)
  return (VF)_mm512_maskz_mov_ps((__mmask16)bits, (__m512)a);
#else
  return (VF)((VI)a & maskOfBits(bits));
#endif
}
LW_INLINE VF toFloat(VI a) { return __builtin_convertvector(a, VF); }
// For |a| < 2^31 only.
LW_INLINE VI toIntRaw(VF a) { return __builtin_convertvector(a, VI); }
// Truncates; saturates at the int32 range, NaN gives 0.
LW_INLINE VI toIntSaturating(VF a) {
  VF inside = (VI)(abs(a) < 2147483648.0f) ? a : zero();
  VI r = toIntRaw(inside);
  r = a >= 2147483648.0f ? set1((int32_t)0x7fffffff) : r;
  return a <= -2147483648.0f ? set1((int32_t)0x80000000) : r;
}
LW_INLINE VF sign(VF a) {
  VF r = a > 0.0f ? set1(1.0f) : (a < 0.0f ? set1(-1.0f) : zero());
  return a != a ? a : r;
}
LW_INLINE VF maxOf(VF a, VF b) { return a > b ? a : b; }

// c − a·b with one rounding to float32, as the TypeScript backend computes it.
LW_INLINE VF fnmaExact(VF a, VF b, VF c) {
  if (kFma) return fma(-a, b, c);
  VF r;
  for (int l = 0; l < W; l++) r[l] = (float)((double)c[l] - (double)a[l] * (double)b[l]);
  return r;
}

// Functions that are not worth a vector version: the C library's, lane by lane.
LW_INLINE VF perLane(VF a, float (*f)(float)) {
  float x[W];
  store(x, a);
  for (int l = 0; l < W; l++) x[l] = f(x[l]);
  return load(x);
}
// Two arguments go in without subnormals: under denormals-are-zero the library would test their bits,
// find them not zero, and then divide zeros (atan2) or lose their exponents (pow).
LW_INLINE float flushed(float x) {
  return __builtin_fabsf(x) < 0x1p-126f ? __builtin_copysignf(0.0f, x) : x;
}
LW_INLINE VF perLane(VF a, VF b, float (*f)(float, float)) {
  float x[W], y[W];
  store(x, a);
  store(y, b);
  for (int l = 0; l < W; l++) x[l] = f(flushed(x[l]), flushed(y[l]));
  return load(x);
}
LW_INLINE VI perLane(VI a, VI b, int32_t (*f)(int32_t, int32_t)) {
  int32_t x[W], y[W];
  store(x, a);
  store(y, b);
  for (int l = 0; l < W; l++) x[l] = f(x[l], y[l]);
  return load(x);
}

// High halves of the unsigned 32×32 products.
LW_INLINE VU mulHigh(VU a, VU b) {
  VL even = mulEven(a, b);
  VL odd = mulEven((VU)((VL)a >> 32), (VU)((VL)b >> 32));
  return (VU)((even >> 32) | (odd & 0xffffffff00000000ull));
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
