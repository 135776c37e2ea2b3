// conv2d and its two gradients.
#include "epilogue.h"
#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

struct Geometry {
  int64_t batch, height, width, channels, outHeight, outWidth, filters, kernelHeight, kernelWidth,
      strideHeight, strideWidth, padTop, padLeft, dilationHeight, dilationWidth, groups;
  explicit Geometry(const Call& call)
      : batch(call.ints[0]), height(call.ints[1]), width(call.ints[2]), channels(call.ints[3]),
        outHeight(call.ints[4]), outWidth(call.ints[5]), filters(call.ints[6]),
        kernelHeight(call.ints[7]), kernelWidth(call.ints[8]), strideHeight(call.ints[9]),
        strideWidth(call.ints[10]), padTop(call.ints[11]), padLeft(call.ints[12]),
        dilationHeight(call.ints[13]), dilationWidth(call.ints[14]), groups(call.ints[15]) {}
};

struct Rows {
  int64_t rows, columns;
};
Rows rowsOf(const Call& call) {
  const Geometry g(call);
  switch (call.kernel) {
    case k_conv2d: return {g.batch * g.outHeight * g.outWidth, g.filters};
    case k_conv2dInputGradient: return {g.batch * g.height * g.width, g.channels};
    default: return {g.kernelHeight * g.kernelWidth * (g.channels / g.groups), g.filters};
  }
}

double element(const Geometry& g, int32_t kernel, const float* a, const float* b, int64_t row,
               int64_t column) {
  const int64_t Cg = g.channels / g.groups, Og = g.filters / g.groups;
  double sum = 0;
  if (kernel == k_conv2d) {
    const int64_t j = row % g.outWidth, i = row / g.outWidth % g.outHeight,
                  n = row / g.outWidth / g.outHeight, group = column / Og;
    for (int64_t k = 0; k < g.kernelHeight; k++) {
      const int64_t y = i * g.strideHeight - g.padTop + k * g.dilationHeight;
      if (y < 0 || y >= g.height) continue;
      for (int64_t l = 0; l < g.kernelWidth; l++) {
        const int64_t x = j * g.strideWidth - g.padLeft + l * g.dilationWidth;
        if (x < 0 || x >= g.width) continue;
        const float* p = a + ((n * g.height + y) * g.width + x) * g.channels + group * Cg;
        const float* w = b + (k * g.kernelWidth + l) * Cg * g.filters + column;
        for (int64_t c = 0; c < Cg; c++) sum += (double)p[c] * w[c * g.filters];
      }
    }
  } else if (kernel == k_conv2dInputGradient) {
    const int64_t x = row % g.width, y = row / g.width % g.height, n = row / g.width / g.height,
                  group = column / Cg, c = column % Cg;
    for (int64_t k = 0; k < g.kernelHeight; k++) {
      const int64_t si = y + g.padTop - k * g.dilationHeight;
      if (si < 0 || si % g.strideHeight || si / g.strideHeight >= g.outHeight) continue;
      for (int64_t l = 0; l < g.kernelWidth; l++) {
        const int64_t sj = x + g.padLeft - l * g.dilationWidth;
        if (sj < 0 || sj % g.strideWidth || sj / g.strideWidth >= g.outWidth) continue;
        const float* d = a + ((n * g.outHeight + si / g.strideHeight) * g.outWidth +
                              sj / g.strideWidth) * g.filters + group * Og;
        const float* w = b + ((k * g.kernelWidth + l) * Cg + c) * g.filters + group * Og;
        for (int64_t o = 0; o < Og; o++) sum += (double)d[o] * w[o];
      }
    }
  } else {
    const int64_t c = row % Cg, l = row / Cg % g.kernelWidth, k = row / Cg / g.kernelWidth,
                  group = column / Og;
    for (int64_t n = 0; n < g.batch; n++) {
      for (int64_t i = 0; i < g.outHeight; i++) {
        const int64_t y = i * g.strideHeight - g.padTop + k * g.dilationHeight;
        if (y < 0 || y >= g.height) continue;
        for (int64_t j = 0; j < g.outWidth; j++) {
          const int64_t x = j * g.strideWidth - g.padLeft + l * g.dilationWidth;
          if (x < 0 || x >= g.width) continue;
          sum += (double)a[((n * g.height + y) * g.width + x) * g.channels + group * Cg + c] *
                 b[((n * g.outHeight + i) * g.outWidth + j) * g.filters + column];
        }
      }
    }
  }
  return sum;
}

void plan(Call& call) {
  const Geometry g(call);
  const Rows size = rowsOf(call);
  call.custom[0] = call.tile ? call.tile->blockTensor : call.outputs[0];
  const int64_t bytes = call.tile ? (call.tile->scratchBytes + 63) & ~(int64_t)63 : 0;
  call.custom[1] = bytes;
  call.phases = 1;
  call.scratchBytes = bytes + size.columns * 4;
  call.work = g.batch * g.outHeight * g.outWidth * g.filters * g.kernelHeight * g.kernelWidth *
              (g.channels / g.groups);
  call.maxParts = maxOf(1, size.rows);
}

void run(const Call& call, const Run& run, int64_t part, int64_t parts) {
  const Geometry g(call);
  const Rows size = rowsOf(call);
  const Range rows = split(size.rows, 1, part, parts);
  if (rows.begin >= rows.end || size.columns == 0) return;
  const float* const a = (const float*)run.ptr[call.inputs[0]];
  const float* const b = (const float*)run.ptr[call.inputs[1]];
  float* const stored = call.custom[0] >= 0 ? (float*)run.ptr[call.custom[0]] : nullptr;
  const auto row = [&](int64_t r) {
    float* const c = stored ? stored + r * size.columns : (float*)(run.scratch + call.custom[1]);
    for (int64_t j = 0; j < size.columns; j++) c[j] = (float)element(g, call.kernel, a, b, r, j);
    return c;
  };
  if (!call.tile) {
    for (int64_t r = rows.begin; r < rows.end; r++) row(r);
    return;
  }
  Epilogue epilogue(call, run, minOf(kTileLanes, size.columns), false, size.columns);
  for (int64_t r = rows.begin; r < rows.end; r++) {
    float* const c = row(r);
    epilogue.apply(c, size.columns, r, 1, 0, size.columns);
  }
}

}  // namespace

void plan_conv2d(Call& call) { plan(call); }
void run_conv2d(const Call& call, const Run& r, int, int64_t part, int64_t parts) {
  run(call, r, part, parts);
}
void plan_conv2dInputGradient(Call& call) { plan(call); }
void run_conv2dInputGradient(const Call& call, const Run& r, int, int64_t part, int64_t parts) {
  run(call, r, part, parts);
}
void plan_conv2dFilterGradient(Call& call) { plan(call); }
void run_conv2dFilterGradient(const Call& call, const Run& r, int, int64_t part, int64_t parts) {
  run(call, r, part, parts);
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
