// AVX2 + FMA: what vec.h asks for. Tails are loaded by maskload.
#pragma once

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

constexpr bool kFma = true;

LW_INLINE VF fma(VF a, VF b, VF c) { return (VF)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
LW_INLINE VF sqrt(VF a) { return (VF)_mm256_sqrt_ps((__m256)a); }
LW_INLINE VF floor(VF a) { return (VF)_mm256_round_ps((__m256)a, 9); }
LW_INLINE VF ceil(VF a) { return (VF)_mm256_round_ps((__m256)a, 10); }
LW_INLINE VF roundEven(VF a) { return (VF)_mm256_round_ps((__m256)a, 8); }
LW_INLINE VF trunc(VF a) { return (VF)_mm256_round_ps((__m256)a, 11); }
LW_INLINE __m256i firstLanes(int64_t n) {
  return (__m256i)((VI){0, 1, 2, 3, 4, 5, 6, 7} < set1((int32_t)n));
}
LW_INLINE VF loadPartial(const float* p, int64_t n) {
  return (VF)_mm256_maskload_ps(p, firstLanes(n));
}
// In pieces: maskstore takes dozens of micro-operations on AMD's cores.
LW_INLINE void storePartial(float* p, VF v, int64_t n) {
  __m128 x = _mm256_castps256_ps128((__m256)v);
  if (n & 4) {
    _mm_storeu_ps(p, x);
    x = _mm256_extractf128_ps((__m256)v, 1);
    p += 4;
  }
  if (n & 2) {
    _mm_storel_pi((__m64*)p, x);
    x = _mm_movehl_ps(x, x);
    p += 2;
  }
  if (n & 1) _mm_store_ss(p, x);
}
LW_INLINE VI loadBytes(const uint8_t* p) {
  return (VI)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p));
}
LW_INLINE void storeBytes(uint8_t* p, VI v) {
  const __m128i low = _mm256_castsi256_si128((__m256i)v), high = _mm256_extracti128_si256((__m256i)v, 1);
  const __m128i words = _mm_packs_epi32(low, high);
  _mm_storel_epi64((__m128i*)p, _mm_packus_epi16(words, words));
}
LW_INLINE bool anyLane(VI v) { return !_mm256_testz_si256((__m256i)v, (__m256i)v); }
LW_INLINE VL mulEven(VU a, VU b) { return (VL)_mm256_mul_epu32((__m256i)a, (__m256i)b); }

// dst[k·dstStride + i] = src[i·srcStride + k] for i < 8, k < 4.
LW_INLINE void transpose4(const float* src, int64_t srcStride, float* dst, int64_t dstStride) {
  __m256 r[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    const float* p = src + i * srcStride;
    r[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)),
                                _mm_loadu_ps(p + 4 * srcStride), 1);
  }
  __m256 t0 = _mm256_unpacklo_ps(r[0], r[1]), t1 = _mm256_unpackhi_ps(r[0], r[1]);
  __m256 t2 = _mm256_unpacklo_ps(r[2], r[3]), t3 = _mm256_unpackhi_ps(r[2], r[3]);
  _mm256_storeu_ps(dst, _mm256_shuffle_ps(t0, t2, 0x44));
  _mm256_storeu_ps(dst + dstStride, _mm256_shuffle_ps(t0, t2, 0xee));
  _mm256_storeu_ps(dst + 2 * dstStride, _mm256_shuffle_ps(t1, t3, 0x44));
  _mm256_storeu_ps(dst + 3 * dstStride, _mm256_shuffle_ps(t1, t3, 0xee));
}

// to[i] += the sum of the lanes of vector i of four.
LW_INLINE void addSums4(float* to, VF a, VF b, VF c, VF d) {
  const __m256d ab = (__m256d)_mm256_add_ps(_mm256_unpacklo_ps((__m256)a, (__m256)b), _mm256_unpackhi_ps((__m256)a, (__m256)b));
  const __m256d cd = (__m256d)_mm256_add_ps(_mm256_unpacklo_ps((__m256)c, (__m256)d), _mm256_unpackhi_ps((__m256)c, (__m256)d));
  const __m256 sums = _mm256_add_ps((__m256)_mm256_unpacklo_pd(ab, cd), (__m256)_mm256_unpackhi_pd(ab, cd));
  const __m128 sum = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
  _mm_storeu_ps(to, _mm_add_ps(_mm_loadu_ps(to), sum));
}

// By a table: byte l of kLanesOf.lanes[mask] is the number of the l-th set bit.
struct LanesOfMask {
  uint64_t lanes[256];
  constexpr LanesOfMask() : lanes() {
    for (int mask = 0; mask < 256; mask++) {
      int n = 0;
      for (int lane = 0; lane < 8; lane++) {
        if (mask >> lane & 1) lanes[mask] |= (uint64_t)lane << 8 * n++;
      }
    }
  }
};
constexpr LanesOfMask kLanesOf;
template <bool VALUES>
LW_INLINE int64_t packNonZero(VF v, int64_t first, float* values, uint16_t* at) {
  const int mask =
      _mm256_movemask_ps(_mm256_cmp_ps((__m256)v, _mm256_setzero_ps(), _CMP_NEQ_UQ));
  const __m128i lanes = _mm_cvtsi64_si128((int64_t)kLanesOf.lanes[mask]);
  if constexpr (VALUES) {
    _mm256_storeu_ps(values, _mm256_permutevar8x32_ps((__m256)v, _mm256_cvtepu8_epi32(lanes)));
  }
  _mm_storeu_si128((__m128i*)at,
                   _mm_add_epi16(_mm_cvtepu8_epi16(lanes), _mm_set1_epi16((int16_t)first)));
  return __builtin_popcount((unsigned)mask);
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
