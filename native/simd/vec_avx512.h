// AVX-512 (F, VL, BW, DQ): what vec.h asks for. Tails use mask registers and cost nothing extra.
#pragma once

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

constexpr bool kFma = true;

LW_INLINE VF fma(VF a, VF b, VF c) { return (VF)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
LW_INLINE VF sqrt(VF a) { return (VF)_mm512_sqrt_ps((__m512)a); }
LW_INLINE VF floor(VF a) { return (VF)_mm512_roundscale_ps((__m512)a, 9); }
LW_INLINE VF ceil(VF a) { return (VF)_mm512_roundscale_ps((__m512)a, 10); }
LW_INLINE VF roundEven(VF a) { return (VF)_mm512_roundscale_ps((__m512)a, 8); }
LW_INLINE VF trunc(VF a) { return (VF)_mm512_roundscale_ps((__m512)a, 11); }
LW_INLINE __mmask16 firstLanes(int64_t n) { return (__mmask16)((1u << n) - 1); }
LW_INLINE VF loadPartial(const float* p, int64_t n) {
  return (VF)_mm512_maskz_loadu_ps(firstLanes(n), p);
}
LW_INLINE void storePartial(float* p, VF v, int64_t n) {
  _mm512_mask_storeu_ps(p, firstLanes(n), (__m512)v);
}
LW_INLINE VI loadBytes(const uint8_t* p) {
  return (VI)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p));
}
LW_INLINE void storeBytes(uint8_t* p, VI v) {
  _mm_storeu_si128((__m128i*)p, _mm512_cvtepi32_epi8((__m512i)v));
}
LW_INLINE bool anyLane(VI v) { return _mm512_test_epi32_mask((__m512i)v, (__m512i)v) != 0; }
LW_INLINE VL mulEven(VU a, VU b) { return (VL)_mm512_mul_epu32((__m512i)a, (__m512i)b); }

// dst[k·dstStride + i] = src[i·srcStride + k] for i < 16, k < 4.
LW_INLINE void transpose4(const float* src, int64_t srcStride, float* dst, int64_t dstStride) {
  __m512 r[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    const float* p = src + i * srcStride;
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(p));
    v = _mm512_insertf32x4(v, _mm_loadu_ps(p + 4 * srcStride), 1);
    v = _mm512_insertf32x4(v, _mm_loadu_ps(p + 8 * srcStride), 2);
    r[i] = _mm512_insertf32x4(v, _mm_loadu_ps(p + 12 * srcStride), 3);
  }
  __m512 t0 = _mm512_unpacklo_ps(r[0], r[1]), t1 = _mm512_unpackhi_ps(r[0], r[1]);
  __m512 t2 = _mm512_unpacklo_ps(r[2], r[3]), t3 = _mm512_unpackhi_ps(r[2], r[3]);
  _mm512_storeu_ps(dst, _mm512_shuffle_ps(t0, t2, 0x44));
  _mm512_storeu_ps(dst + dstStride, _mm512_shuffle_ps(t0, t2, 0xee));
  _mm512_storeu_ps(dst + 2 * dstStride, _mm512_shuffle_ps(t1, t3, 0x44));
  _mm512_storeu_ps(dst + 3 * dstStride, _mm512_shuffle_ps(t1, t3, 0xee));
}

// dst[k·dstStride + i] = row(i)[k] for i < ROWS, k < 16. Every line is read once: rows that lie on the same cache set,
// whole KiB apart, would evict each other before transpose4 has read the rest of theirs.
template <int ROWS, class Row>
LW_INLINE void transposeRows(Row row, float* dst, int64_t dstStride) {
  __m512 columns[4][4];  // of four rows each; lane l of [rows][c] is column 4·l + c
#pragma GCC unroll 4
  for (int g = 0; g < 4; g++) {
    const __m512 a = _mm512_loadu_ps(row(4 * g)), b = _mm512_loadu_ps(row(4 * g + 1));
    const __m512 c = _mm512_loadu_ps(row(4 * g + 2)), d = _mm512_loadu_ps(row(4 * g + 3));
    const __m512d ab = (__m512d)_mm512_unpacklo_ps(a, b), ab2 = (__m512d)_mm512_unpackhi_ps(a, b);
    const __m512d cd = (__m512d)_mm512_unpacklo_ps(c, d), cd2 = (__m512d)_mm512_unpackhi_ps(c, d);
    columns[g][0] = (__m512)_mm512_unpacklo_pd(ab, cd);
    columns[g][1] = (__m512)_mm512_unpackhi_pd(ab, cd);
    columns[g][2] = (__m512)_mm512_unpacklo_pd(ab2, cd2);
    columns[g][3] = (__m512)_mm512_unpackhi_pd(ab2, cd2);
  }
  const auto put = [=](int k, __m512 v) __attribute__((always_inline)) {
    if constexpr (ROWS == 16) _mm512_storeu_ps(dst + k * dstStride, v);
    else _mm512_mask_storeu_ps(dst + k * dstStride, (__mmask16)((1 << ROWS) - 1), v);
  };
#pragma GCC unroll 4
  for (int c = 0; c < 4; c++) {
    const __m512 low = _mm512_shuffle_f32x4(columns[0][c], columns[1][c], 0x88);
    const __m512 odd = _mm512_shuffle_f32x4(columns[0][c], columns[1][c], 0xdd);
    const __m512 low2 = _mm512_shuffle_f32x4(columns[2][c], columns[3][c], 0x88);
    const __m512 odd2 = _mm512_shuffle_f32x4(columns[2][c], columns[3][c], 0xdd);
    put(c, _mm512_shuffle_f32x4(low, low2, 0x88));
    put(4 + c, _mm512_shuffle_f32x4(odd, odd2, 0x88));
    put(8 + c, _mm512_shuffle_f32x4(low, low2, 0xdd));
    put(12 + c, _mm512_shuffle_f32x4(odd, odd2, 0xdd));
  }
}
// The same of src[i·srcStride + k].
LW_INLINE void transposeSquare(const float* src, int64_t srcStride, float* dst, int64_t dstStride) {
  const int64_t thrice = 3 * srcStride;
  const float* fours[4];
#pragma GCC unroll 4
  for (int g = 0; g < 4; g++) {
    fours[g] = src;
    src += 4 * srcStride;
    asm("" : "+r"(src));  // sixteen distances would be more than there are registers
  }
  transposeRows<16>(
      [=](int i) __attribute__((always_inline)) {
        return fours[i / 4] + (i % 4 == 3 ? thrice : i % 4 * srcStride);
      },
      dst, dstStride);
}

// to[i] += the sum of the lanes of vector i of four.
LW_INLINE void addSums4(float* to, VF a, VF b, VF c, VF d) {
  const __m512d ab = (__m512d)_mm512_add_ps(_mm512_unpacklo_ps((__m512)a, (__m512)b), _mm512_unpackhi_ps((__m512)a, (__m512)b));
  const __m512d cd = (__m512d)_mm512_add_ps(_mm512_unpacklo_ps((__m512)c, (__m512)d), _mm512_unpackhi_ps((__m512)c, (__m512)d));
  const __m512 sums = _mm512_add_ps((__m512)_mm512_unpacklo_pd(ab, cd), (__m512)_mm512_unpackhi_pd(ab, cd));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(sums), _mm512_extractf32x8_ps(sums, 1));
  const __m128 sum = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  _mm_storeu_ps(to, _mm_add_ps(_mm_loadu_ps(to), sum));
}

// Compressed in a register: a compressing store takes a hundred cycles on AMD's cores.
template <bool VALUES>
LW_INLINE int64_t packNonZero(VF v, int64_t first, float* values, uint16_t* at) {
  const __mmask16 mask = _mm512_cmp_ps_mask((__m512)v, _mm512_setzero_ps(), _CMP_NEQ_UQ);
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i numbers = _mm512_add_epi32(lanes, _mm512_set1_epi32((int32_t)first));
  if constexpr (VALUES) _mm512_storeu_ps(values, _mm512_maskz_compress_ps(mask, (__m512)v));
  _mm256_storeu_si256((__m256i*)at, _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(mask, numbers)));
  return __builtin_popcount(mask);
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
