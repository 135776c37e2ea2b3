// Advanced SIMD of arm64: what vec.h asks for.
#pragma once

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

constexpr bool kFma = true;

LW_INLINE VF fma(VF a, VF b, VF c) {
  return (VF)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
LW_INLINE VF sqrt(VF a) { return (VF)vsqrtq_f32((float32x4_t)a); }
LW_INLINE VF floor(VF a) { return (VF)vrndmq_f32((float32x4_t)a); }
LW_INLINE VF ceil(VF a) { return (VF)vrndpq_f32((float32x4_t)a); }
LW_INLINE VF roundEven(VF a) { return (VF)vrndnq_f32((float32x4_t)a); }
LW_INLINE VF trunc(VF a) { return (VF)vrndq_f32((float32x4_t)a); }
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
  uint32_t bytes;
  memcpy(&bytes, p, 4);
  return (VI)vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(bytes))));
}
LW_INLINE void storeBytes(uint8_t* p, VI v) {
  const uint16x4_t words = vmovn_u32((uint32x4_t)v);
  const uint32_t bytes = vget_lane_u32(vreinterpret_u32_u8(vmovn_u16(vcombine_u16(words, words))), 0);
  memcpy(p, &bytes, 4);
}
LW_INLINE bool anyLane(VI v) { return vmaxvq_u32((uint32x4_t)v) != 0; }
LW_INLINE VL mulEven(VU a, VU b) {
  return (VL)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
}

// dst[k·dstStride + i] = src[i·srcStride + k] for i < 4, k < 4.
LW_INLINE void transpose4(const float* src, int64_t srcStride, float* dst, int64_t dstStride) {
  turn4(src, src + srcStride, src + 2 * srcStride, src + 3 * srcStride, dst, dstStride);
}

// to[i] += the sum of the lanes of vector i of four.
LW_INLINE void addSums4(float* to, VF a, VF b, VF c, VF d) {
  const float32x4_t ab = vpaddq_f32((float32x4_t)a, (float32x4_t)b), cd = vpaddq_f32((float32x4_t)c, (float32x4_t)d);
  vst1q_f32(to, vaddq_f32(vld1q_f32(to), vpaddq_f32(ab, cd)));
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
