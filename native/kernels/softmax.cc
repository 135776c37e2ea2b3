// softmax and the two cross-entropies that take logits: row by row, each row a few passes in L1.
#include "../simd/math.h"
#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

LW_INLINE Lanes16 expMinus(const float* x, int64_t i, int64_t count, float max) {
  Lanes16 v = count >= 16 ? loadLanes16(x + i) : loadLanes16(x + i, count, -__builtin_inff());
#pragma GCC unroll 4
  for (int j = 0; j < 16 / W; j++) v.v[j] = exp(v.v[j] - max);
  return v;
}

struct RowStats {
  float max;
  double sum;  // Σ exp(x − max)
};
// Rows up to this length ask for the next row, and for the place of its results, while they are computed: the
// hardware's prefetcher stops at pages. Longer rows would push out of L1 what they ask for.
constexpr int64_t kShortRow = 2048;

// Writes exp(x − max) to `e` as well, if given.
RowStats rowStats(const float* x, int64_t cols, float* e) {
  RowStats s;
  s.max = maxFloat(x, cols);
  const float max = s.max;
  const bool ahead = cols <= kShortRow;
  s.sum = sumChunks(cols, [=](int64_t i, int64_t count) {
    if (ahead) {
      __builtin_prefetch(x + cols + i);
      if (e) __builtin_prefetch(e + cols + i, 1);
    }
    Lanes16 v = expMinus(x, i, count, max);
    if (e) storeLanes16(e + i, v, count);
    return v;
  });
  return s;
}

template <class F>
LW_INLINE void eachLanes16(int64_t n, F f) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) f(i, (int64_t)16);
  if (i < n) f(i, n - i);
}
LW_INLINE Lanes16 lanesAt(const float* p, int64_t count) {
  return count >= 16 ? loadLanes16(p) : loadLanes16(p, count, 0.0f);
}

void planRows(Call& call, int64_t rows, int64_t cols) {
  call.phases = 1;
  call.maxParts = maxOf(rows, 1);
  call.work = rows * (15 + cols / 2);
}

}  // namespace

void plan_softmax(Call& call) { planRows(call, call.ints[0], call.ints[1]); }

void run_softmax(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const int64_t rows = call.ints[0], cols = call.ints[1];
  const bool log_ = call.ints[2] != 0;
  const Range range = split(rows, 1, part, parts);
  for (int64_t r = range.begin; r < range.end; r++) {
    const float* x = (const float*)run.ptr[call.inputs[0]] + r * cols;
    float* y = (float*)run.ptr[call.outputs[0]] + r * cols;
    if (log_) {
      const RowStats s = rowStats(x, cols, nullptr);
      const float lse = ::logf((float)s.sum);
      eachLanes16(cols, [=](int64_t i, int64_t count) {
        Lanes16 v = lanesAt(x + i, count);
#pragma GCC unroll 4
        for (int j = 0; j < 16 / W; j++) v.v[j] = (v.v[j] - s.max) - lse;
        storeLanes16(y + i, v, count);
      });
    } else {
      const RowStats s = rowStats(x, cols, y);
      const float scale = (float)(1.0 / s.sum);
      eachLanes16(cols, [=](int64_t i, int64_t count) {
        Lanes16 v = lanesAt(y + i, count);
#pragma GCC unroll 4
        for (int j = 0; j < 16 / W; j++) v.v[j] *= scale;
        storeLanes16(y + i, v, count);
      });
    }
  }
}

void plan_softmaxCrossEntropy(Call& call) { planRows(call, call.ints[0], call.ints[1] * 2); }

// t = targets·(1−s) + s/cols; loss = Σ t·(lse − z); gradient = p·Σt − t.
void run_softmaxCrossEntropy(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const int64_t rows = call.ints[0], cols = call.ints[1];
  const float keep = (float)(1.0 - call.floats[0]);
  const float spread = cols > 0 ? (float)(call.floats[0] / (double)cols) : 0.0f;
  const Range range = split(rows, 1, part, parts);
  for (int64_t r = range.begin; r < range.end; r++) {
    const float* z = (const float*)run.ptr[call.inputs[0]] + r * cols;
    const float* targets = (const float*)run.ptr[call.inputs[1]] + r * cols;
    float* gradient = (float*)run.ptr[call.outputs[1]] + r * cols;
    const RowStats s = rowStats(z, cols, gradient);
    const float lse = ::logf((float)s.sum);
    // 0·∞ is 0 here: a class without target adds nothing, however unlikely it is.
    const double loss = sumChunks(cols, [=](int64_t i, int64_t count) {
      Lanes16 t = lanesAt(targets + i, count), x = lanesAt(z + i, count);
      if (count < 16) x = loadLanes16(z + i, count, s.max);
#pragma GCC unroll 4
      for (int j = 0; j < 16 / W; j++) {
        const VF weight = t.v[j] * keep + spread;
        const VF term = weight * (lse - (x.v[j] - s.max));
        const VI inside = laneNumbers() + j * W < (int32_t)count;
        t.v[j] = (VI)(weight != 0.0f) & inside ? term : zero();
      }
      return t;
    });
    const double total = sumChunks(cols, [=](int64_t i, int64_t count) {
      Lanes16 t = lanesAt(targets + i, count);
#pragma GCC unroll 4
      for (int j = 0; j < 16 / W; j++) {
        const VI inside = laneNumbers() + j * W < (int32_t)count;
        t.v[j] = inside ? t.v[j] * keep + spread : zero();
      }
      return t;
    });
    ((float*)run.ptr[call.outputs[0]])[r] = (float)loss;
    const float scale = (float)(total / s.sum);
    eachLanes16(cols, [=](int64_t i, int64_t count) {
      Lanes16 g = lanesAt(gradient + i, count), t = lanesAt(targets + i, count);
#pragma GCC unroll 4
      for (int j = 0; j < 16 / W; j++) g.v[j] = g.v[j] * scale - (t.v[j] * keep + spread);
      storeLanes16(gradient + i, g, count);
    });
  }
}

void plan_sparseSoftmaxCrossEntropy(Call& call) { planRows(call, call.ints[0], call.ints[1]); }

void run_sparseSoftmaxCrossEntropy(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const int64_t rows = call.ints[0], cols = call.ints[1];
  const double smoothing = call.floats[0];
  const float keep = (float)(1.0 - smoothing);
  const float spread = cols > 0 ? (float)(smoothing / (double)cols) : 0.0f;
  const int32_t* labels = (const int32_t*)run.ptr[call.inputs[1]];
  const Range range = split(rows, 1, part, parts);
  for (int64_t r = range.begin; r < range.end; r++) {
    const int32_t label = labels[r];
    if (label < 0 || label >= cols) {
      if (!__atomic_exchange_n(&run.error->set, 1, __ATOMIC_ACQ_REL)) {
        run.error->call = call.index;
        run.error->input = 1;
        run.error->position = r;
        run.error->value = label;
        run.error->low = 0;
        run.error->high = cols;
      }
      return;
    }
    const float* z = (const float*)run.ptr[call.inputs[0]] + r * cols;
    float* gradient = (float*)run.ptr[call.outputs[1]] + r * cols;
    const RowStats s = rowStats(z, cols, gradient);
    const float lse = ::logf((float)s.sum);
    double loss = (double)(lse - (z[label] - s.max)) * (keep + spread);
    if (spread != 0.0f) {
      // Σ over all classes of spread·(lse − z), the label's own share already counted.
      const double rest = sumChunks(cols, [=](int64_t i, int64_t count) {
        Lanes16 x = count >= 16 ? loadLanes16(z + i) : loadLanes16(z + i, count, s.max + lse);
#pragma GCC unroll 4
        for (int j = 0; j < 16 / W; j++) {
          const VI inside = laneNumbers() + j * W < (int32_t)count;
          x.v[j] = inside ? lse - (x.v[j] - s.max) : zero();
        }
        return x;
      });
      loss = (double)(lse - (z[label] - s.max)) * keep + rest * spread;
    }
    ((float*)run.ptr[call.outputs[0]])[r] = (float)loss;
    const float scale = (float)(1.0 / s.sum);
    eachLanes16(cols, [=](int64_t i, int64_t count) {
      Lanes16 g = lanesAt(gradient + i, count);
#pragma GCC unroll 4
      for (int j = 0; j < 16 / W; j++) g.v[j] = g.v[j] * scale - spread;
      storeLanes16(gradient + i, g, count);
    });
    gradient[label] -= keep;
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
