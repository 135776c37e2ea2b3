// Any x86-64 (SSE2): what vec.h asks for. No FMA: products and sums round separately, so GEMM results
// may differ in the last bits from the other instruction sets (dot products' do among all of them).
#pragma once

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

constexpr bool kFma = false;

LW_INLINE VF fma(VF a, VF b, VF c) { return a * b + c; }
LW_INLINE VF sqrt(VF a) { return (VF)_mm_sqrt_ps((__m128)a); }

// SSE2 has no rounding instructions. From 2^23 on every float is an integer; below, int32 holds it.
LW_INLINE VF keepLarge(VF rounded, VF a) {
  VI sign = (VI)a & (int32_t)0x80000000;
  VF size = (VF)((VI)a & 0x7fffffff);
  return size < 8388608.0f ? (VF)(((VI)rounded & 0x7fffffff) | sign) : a;
}
LW_INLINE VF truncSmall(VF a) { return (VF)_mm_cvtepi32_ps(_mm_cvttps_epi32((__m128)a)); }
LW_INLINE VF trunc(VF a) { return keepLarge(truncSmall(a), a); }
LW_INLINE VF roundEven(VF a) {
  return keepLarge((VF)_mm_cvtepi32_ps(_mm_cvtps_epi32((__m128)a)), a);
}
LW_INLINE VF floor(VF a) {
  VF t = truncSmall(a);
  return keepLarge(t > a ? t - 1.0f : t, a);
}
LW_INLINE VF ceil(VF a) {
  VF t = truncSmall(a);
  return keepLarge(t < a ? t + 1.0f : t, a);
}
LW_INLINE VF loadPartial(const float* p, int64_t n) {
  VF v = {};
  if (n > 0) v[0] = p[0];
  if (n > 1) v[1] = p[1];
  if (n > 2) v[2] = p[2];
  if (n > 3) v[3] = p[3];
  return v;
}
LW_INLINE void storePartial(float* p, VF v, int64_t n) {
  if (n > 0) p[0] = v[0];
  if (n > 1) p[1] = v[1];
  if (n > 2) p[2] = v[2];
  if (n > 3) p[3] = v[3];
}
LW_INLINE VI loadBytes(const uint8_t* p) {
  int32_t bytes;
  memcpy(&bytes, p, 4);
  const __m128i words = _mm_unpacklo_epi8(_mm_cvtsi32_si128(bytes), _mm_setzero_si128());
  return (VI)_mm_unpacklo_epi16(words, _mm_setzero_si128());
}
LW_INLINE void storeBytes(uint8_t* p, VI v) {
  const __m128i words = _mm_packs_epi32((__m128i)v, (__m128i)v);
  const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
  memcpy(p, &bytes, 4);
}
LW_INLINE bool anyLane(VI v) {
  return _mm_movemask_epi8(_mm_cmpeq_epi8((__m128i)v, _mm_setzero_si128())) != 0xffff;
}
LW_INLINE VL mulEven(VU a, VU b) { return (VL)_mm_mul_epu32((__m128i)a, (__m128i)b); }

// dst[k·dstStride + i] = src[i·srcStride + k] for i < 4, k < 4.
LW_INLINE void transpose4(const float* src, int64_t srcStride, float* dst, int64_t dstStride) {
  turn4(src, src + srcStride, src + 2 * srcStride, src + 3 * srcStride, dst, dstStride);
}

// to[i] += the sum of the lanes of vector i of four.
LW_INLINE void addSums4(float* to, VF a, VF b, VF c, VF d) {
  const __m128 ab = _mm_add_ps(_mm_unpacklo_ps((__m128)a, (__m128)b), _mm_unpackhi_ps((__m128)a, (__m128)b));
  const __m128 cd = _mm_add_ps(_mm_unpacklo_ps((__m128)c, (__m128)d), _mm_unpackhi_ps((__m128)c, (__m128)d));
  _mm_storeu_ps(to, _mm_add_ps(_mm_loadu_ps(to), _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab))));
}

template <bool VALUES>
LW_INLINE int64_t packNonZero(VF v, int64_t first, float* values, uint16_t* at) {
  int64_t n = 0;
#pragma GCC unroll 4
  for (int l = 0; l < W; l++) {
    if constexpr (VALUES) values[n] = v[l];
    at[n] = (uint16_t)(first + l);
    n += v[l] != 0.0f;
  }
  return n;
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
