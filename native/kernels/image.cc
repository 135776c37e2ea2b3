// transformImages and its gradient: each pixel of the result reads its image at a projective transform of
// its own place, bilinearly or at the nearest pixel. Places are computed in double, without fused
// operations, so that every executor reads the same pixels.
#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

enum FillMode { kConstant, kNearest, kReflect, kWrap };

struct Transformation {
  int64_t n, h, w, c, oh, ow, transforms, bilinear, mode;
  explicit Transformation(const Call& call)
      : n(call.ints[0]), h(call.ints[1]), w(call.ints[2]), c(call.ints[3]), oh(call.ints[4]),
        ow(call.ints[5]), transforms(call.ints[6]), bilinear(call.ints[7]), mode(call.ints[8]) {}
};

// Where position i of an axis is read; −1 for the fill value.
LW_INLINE int64_t placeOf(int64_t i, int64_t size, int64_t mode) {
  if (i >= 0 && i < size) return i;
  if (size == 0) return -1;
  switch (mode) {
    case kNearest: return i < 0 ? 0 : size - 1;
    case kReflect: {  // d c b a | a b c d | d c b a
      const int64_t period = ((i % (2 * size)) + 2 * size) % (2 * size);
      return period < size ? period : 2 * size - 1 - period;
    }
    case kWrap: return ((i % size) + size) % size;
    default: return -1;
  }
}

// The pixels that one pixel of the result reads, as offsets of their first channels (−1: the fill value),
// and their shares; none with a share of 0.
struct Corners {
  int count;
  int64_t at[4];
  float weight[4];
};

LW_INLINE void addCorner(Corners& corners, const Transformation& s, int64_t row, int64_t col,
                         float weight) {
  if (weight == 0) return;
  const int64_t r = placeOf(row, s.h, s.mode), c = placeOf(col, s.w, s.mode);
  corners.at[corners.count] = r < 0 || c < 0 ? -1 : (r * s.w + c) * s.c;
  corners.weight[corners.count++] = weight;
}

LW_INLINE void cornersOf(Corners& corners, const Transformation& s, const float* t, int64_t oh,
                         int64_t ow) {
  const double i = (double)oh, j = (double)ow;
  const double k = (double)t[6] * j + (double)t[7] * i + 1.0;
  const double x = ((double)t[0] * j + (double)t[1] * i + (double)t[2]) / k;
  const double y = ((double)t[3] * j + (double)t[4] * i + (double)t[5]) / k;
  constexpr double kFarthest = 1073741824.0;  // beyond 2³⁰ there is no image
  corners.count = 0;
  if (!(__builtin_fabs(x) < kFarthest && __builtin_fabs(y) < kFarthest)) {
    corners.count = 1;
    corners.at[0] = -1;
    corners.weight[0] = 1;
    return;
  }
  if (!s.bilinear) {
    return addCorner(corners, s, (int64_t)__builtin_floor(y + 0.5), (int64_t)__builtin_floor(x + 0.5), 1);
  }
  const double row = __builtin_floor(y), col = __builtin_floor(x);
  const float down = (float)(y - row), right = (float)(x - col);
  const float up = 1.0f - down, left = 1.0f - right;
  const int64_t r = (int64_t)row, c = (int64_t)col;
  addCorner(corners, s, r, c, up * left);
  addCorner(corners, s, r, c + 1, up * right);
  addCorner(corners, s, r + 1, c, down * left);
  addCorner(corners, s, r + 1, c + 1, down * right);
}

// y[0..c) = Σ weight·pixel. Corners beyond the edge read `fill`.
LW_INLINE void blend(const Corners& corners, const float* image, float fill, float* y, int64_t c) {
  int64_t i = 0;
  for (; i + W <= c; i += W) {
    VF sum = zero();
    for (int k = 0; k < corners.count; k++) {
      const VF v = corners.at[k] < 0 ? set1(fill) : load(image + corners.at[k] + i);
      sum += v * corners.weight[k];
    }
    store(y + i, sum);
  }
  for (; i < c; i++) {
    float sum = 0;
    for (int k = 0; k < corners.count; k++) {
      sum += (corners.at[k] < 0 ? fill : image[corners.at[k] + i]) * corners.weight[k];
    }
    y[i] = sum;
  }
}

int64_t nanoseconds(const Transformation& s) { return s.n * s.oh * s.ow * (12 + s.c); }

}  // namespace

void plan_transformImages(Call& call) {
  const Transformation s(call);
  call.phases = 1;
  call.maxParts = maxOf(1, s.n * s.oh);
  call.work = nanoseconds(s);
}

void run_transformImages(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const Transformation s(call);
  const float* x = (const float*)run.ptr[call.inputs[0]];
  const float* transforms = (const float*)run.ptr[call.inputs[1]];
  float* y = (float*)run.ptr[call.outputs[0]];
  const float fill = (float)call.floats[0];
  const Range r = split(s.n * s.oh, 1, part, parts);
  for (int64_t row = r.begin; row < r.end; row++) {
    const int64_t image = row / s.oh, oh = row - image * s.oh;
    const float* t = transforms + (s.transforms == 1 ? 0 : image * 8);
    const float* from = x + image * s.h * s.w * s.c;
    for (int64_t ow = 0; ow < s.ow; ow++) {
      Corners corners;
      cornersOf(corners, s, t, oh, ow);
      blend(corners, from, fill, y + (row * s.ow + ow) * s.c, s.c);
    }
  }
}

void plan_transformImagesGradient(Call& call) {
  const Transformation s(call);
  call.phases = 1;
  call.maxParts = maxOf(1, s.n * ceilDiv(s.c, 16));
  call.work = nanoseconds(s) + s.n * s.h * s.w * s.c / 8;
}

// Split over images and, where they are few, over channels: a part adds its channels in the order of the
// result's pixels, however many parts there are.
void run_transformImagesGradient(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const Transformation s(call);
  const float* dy = (const float*)run.ptr[call.inputs[0]];
  const float* transforms = (const float*)run.ptr[call.inputs[1]];
  float* dx = (float*)run.ptr[call.outputs[0]];
  const bool byImage = s.n >= parts;
  const Range images = byImage ? split(s.n, 1, part, parts) : Range{0, s.n};
  const Range channels = byImage ? Range{0, s.c} : split(s.c, 16, part, parts);
  const int64_t c = channels.end - channels.begin;
  if (c <= 0) return;
  for (int64_t image = images.begin; image < images.end; image++) {
    const float* t = transforms + (s.transforms == 1 ? 0 : image * 8);
    float* to = dx + image * s.h * s.w * s.c + channels.begin;
    for (int64_t p = 0; p < s.h * s.w; p++) memset(to + p * s.c, 0, c * 4);
    const float* from = dy + image * s.oh * s.ow * s.c + channels.begin;
    // Rows without pixels may be any number.
    for (int64_t oh = 0; oh < s.oh && s.ow > 0; oh++) {
      for (int64_t ow = 0; ow < s.ow; ow++, from += s.c) {
        Corners corners;
        cornersOf(corners, s, t, oh, ow);
        for (int k = 0; k < corners.count; k++) {
          if (corners.at[k] < 0) continue;
          float* d = to + corners.at[k];
          const float weight = corners.weight[k];
          int64_t i = 0;
          for (; i + W <= c; i += W) store(d + i, load(d + i) + load(from + i) * weight);
          for (; i < c; i++) d[i] += from[i] * weight;
        }
      }
    }
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
