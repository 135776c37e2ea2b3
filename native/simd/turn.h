// Four floats of each of some rows, turned: what vec.h includes for every instruction set.
#pragma once

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

#if defined(__x86_64__)
// dst[k·dstStride + i] = row i [k] for k < 4, i < 4.
LW_INLINE void turn4(const float* r0, const float* r1, const float* r2, const float* r3, float* dst, int64_t dstStride) {
  __m128 a = _mm_loadu_ps(r0), b = _mm_loadu_ps(r1), c = _mm_loadu_ps(r2), d = _mm_loadu_ps(r3);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(dst, a);
  _mm_storeu_ps(dst + dstStride, b);
  _mm_storeu_ps(dst + 2 * dstStride, c);
  _mm_storeu_ps(dst + 3 * dstStride, d);
}
// The same for i < 2.
LW_INLINE void turn2(const float* r0, const float* r1, float* dst, int64_t dstStride) {
  const __m128 a = _mm_loadu_ps(r0), b = _mm_loadu_ps(r1);
  const __m128 low = _mm_unpacklo_ps(a, b), high = _mm_unpackhi_ps(a, b);
  _mm_storel_pi((__m64*)dst, low);
  _mm_storeh_pi((__m64*)(dst + dstStride), low);
  _mm_storel_pi((__m64*)(dst + 2 * dstStride), high);
  _mm_storeh_pi((__m64*)(dst + 3 * dstStride), high);
}
#elif defined(__aarch64__)
LW_INLINE void turn4(const float* r0, const float* r1, const float* r2, const float* r3, float* dst, int64_t dstStride) {
  const float32x4x2_t ab = vtrnq_f32(vld1q_f32(r0), vld1q_f32(r1)), cd = vtrnq_f32(vld1q_f32(r2), vld1q_f32(r3));
  vst1q_f32(dst, vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0])));
  vst1q_f32(dst + dstStride, vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1])));
  vst1q_f32(dst + 2 * dstStride, vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0])));
  vst1q_f32(dst + 3 * dstStride, vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1])));
}
LW_INLINE void turn2(const float* r0, const float* r1, float* dst, int64_t dstStride) {
  const float32x4x2_t ab = vtrnq_f32(vld1q_f32(r0), vld1q_f32(r1));
  vst1_f32(dst, vget_low_f32(ab.val[0]));
  vst1_f32(dst + dstStride, vget_low_f32(ab.val[1]));
  vst1_f32(dst + 2 * dstStride, vget_high_f32(ab.val[0]));
  vst1_f32(dst + 3 * dstStride, vget_high_f32(ab.val[1]));
}
#endif

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
