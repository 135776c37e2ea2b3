// moments: mean and population variance over the middle axis of [outer, axis, inner], in two passes.
// Columns (inner > 1) go through chunks of rows whose number depends on the shape alone; each chunk's
// mean and squared deviations are merged in float64 (Chan, Golub, LeVeque 1979).
#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

constexpr int64_t kGrain = 64;
enum { kChunks = 0, kLength = 1 };

struct Shape {
  int64_t outer, axis, inner;
  explicit Shape(const Call& call) : outer(call.ints[0]), axis(call.ints[1]), inner(call.ints[2]) {}
};

void momentsOfRow(const float* x, int64_t n, float* mean, float* variance) {
  const double sum = sumChunks(n, [x](int64_t i, int64_t count) {
    return count >= 16 ? loadLanes16(x + i) : loadLanes16(x + i, count, 0.0f);
  });
  const double m = sum / (double)n;
  const float center = (float)m;
  const double squares = sumChunks(n, [x, center](int64_t i, int64_t count) {
    Lanes16 v = count >= 16 ? loadLanes16(x + i) : loadLanes16(x + i, count, center);
#pragma GCC unroll 4
    for (int j = 0; j < 16 / W; j++) {
      const VF d = v.v[j] - center;
      v.v[j] = d * d;
    }
    // Lanes past the end must be 0 even where the mean is NaN or infinite.
    if (count < 16) {
#pragma GCC unroll 4
      for (int j = 0; j < 16 / W; j++) {
        v.v[j] = laneNumbers() + j * W < (int32_t)count ? v.v[j] : zero();
      }
    }
    return v;
  });
  *mean = center;
  // The centre was rounded to float32: Σ(x−c)² = Σ(x−m)² + n(m−c)².
  const double shift = m - center;
  const double v = squares / (double)n - shift * shift;
  *variance = (float)(v < 0 ? 0 : v);
}

// Column sums over rows [begin, end): of x into totals, or with `center` of d = x − center into totals
// and of d² into squares.
template <bool Centered>
void columnSums(const float* x, int64_t stride, int64_t begin, int64_t end, int64_t n,
                const float* center, double* totals, double* squares) {
  float lanes[W], lanes2[W];
  for (int64_t i = 0; i < n; i++) totals[i] = squares[i] = 0;
  for (int64_t a = begin; a < end; a += 256) {
    const int64_t stop = minOf(end, a + 256);
    for (int64_t i = 0; i < n; i += W) {
      const int64_t rest = minOf(n - i, W);
      const float* p = x + a * stride + i;
      VF sum = zero(), sum2 = zero();
      if (rest == W) {
        const VF c = Centered ? load(center + i) : zero();
        for (int64_t r = a; r < stop; r++, p += stride) {
          const VF d = Centered ? load(p) - c : load(p);
          sum += d;
          if (Centered) sum2 += d * d;
        }
      } else {
        const VF c = Centered ? loadPartial(center + i, rest) : zero();
        for (int64_t r = a; r < stop; r++, p += stride) {
          const VF d = Centered ? loadPartial(p, rest) - c : loadPartial(p, rest);
          sum += d;
          if (Centered) sum2 += d * d;
        }
      }
      store(lanes, sum);
      store(lanes2, sum2);
      for (int64_t l = 0; l < rest; l++) {
        totals[i + l] += lanes[l];
        if (Centered) squares[i + l] += lanes2[l];
      }
    }
  }
}

}  // namespace

void plan_moments(Call& call) {
  const Shape s(call);
  const int64_t total = s.outer * s.axis * s.inner;
  call.work = total / 5 + s.outer * 20;
  call.phases = 1;
  call.custom[kChunks] = 1;
  if (s.inner == 1) {
    call.maxParts = maxOf(1, s.outer);
    return;
  }
  // Chunks of at least 1024 rows, at most 32 of them, none where columns suffice for many threads.
  int64_t chunks = 1;
  if (s.outer * ceilDiv(s.inner, kGrain) < 16) chunks = maxOf(1, minOf(s.axis / 1024, 32));
  const int64_t length = ceilDiv(ceilDiv(maxOf(s.axis, 1), chunks), 256) * 256;
  chunks = maxOf(1, ceilDiv(s.axis, length));
  call.custom[kChunks] = chunks;
  call.custom[kLength] = length;
  call.phases = 2;
  call.maxParts = maxOf(1, maxOf(s.outer * chunks, ceilDiv(s.inner, kGrain)));
  call.scratchBytes = kTileLanes * (4 + 8 + 8);
  call.sharedBytes = s.outer * chunks * s.inner * 2 * 8;
}

// shared: per (outer, chunk) the columns' means, then their squared deviations, as doubles.
void run_moments(const Call& call, const Run& run, int phase, int64_t part, int64_t parts) {
  const Shape s(call);
  const float* x = (const float*)run.ptr[call.inputs[0]];
  float* mean = (float*)run.ptr[call.outputs[0]];
  float* variance = (float*)run.ptr[call.outputs[1]];
  const int64_t inner = s.inner, chunks = call.custom[kChunks], length = call.custom[kLength];
  if (s.inner == 1) {
    const Range r = split(s.outer, 1, part, parts);
    for (int64_t o = r.begin; o < r.end; o++) {
      if (s.axis == 0) mean[o] = variance[o] = __builtin_nanf("");
      else momentsOfRow(x + o * s.axis, s.axis, mean + o, variance + o);
    }
    return;
  }
  double* shared = (double*)run.shared;
  if (phase == 0) {
    Range units = {0, s.outer * chunks}, columns = {0, inner};
    if (s.outer * chunks >= parts) units = split(s.outer * chunks, 1, part, parts);
    else columns = split(inner, kGrain, part, parts);
    double* totals = (double*)run.scratch;
    double* squares = totals + kTileLanes;
    float* center = (float*)(squares + kTileLanes);
    for (int64_t unit = units.begin; unit < units.end; unit++) {
      const int64_t o = unit / chunks, chunk = unit % chunks;
      const int64_t begin = chunk * length, end = minOf(s.axis, begin + length);
      const double rows = (double)(end - begin);
      double* means = shared + unit * 2 * inner;
      for (int64_t c = columns.begin; c < columns.end; c += kTileLanes) {
        const int64_t n = minOf(kTileLanes, columns.end - c);
        const float* base = x + o * s.axis * inner + c;
        columnSums<false>(base, inner, begin, end, n, nullptr, totals, squares);
        for (int64_t i = 0; i < n; i++) center[i] = (float)(totals[i] / rows);
        // The second pass also measures how far the first mean was off.
        columnSums<true>(base, inner, begin, end, n, center, totals, squares);
        for (int64_t i = 0; i < n; i++) {
          const double shift = totals[i] / rows;
          means[c + i] = center[i] + shift;
          means[inner + c + i] = squares[i] - rows * shift * shift;
        }
      }
    }
    return;
  }
  const Range r = split(s.outer * inner, 16, part, parts);
  for (int64_t at = r.begin; at < r.end; at++) {
    const int64_t o = at / inner, i = at - o * inner;
    double count = 0, m = 0, squares = 0;
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
      const double rows = (double)(minOf(s.axis, (chunk + 1) * length) - chunk * length);
      const double* means = shared + (o * chunks + chunk) * 2 * inner;
      const double delta = means[i] - m, total = count + rows;
      m += delta * rows / total;
      squares += means[inner + i] + delta * delta * count * rows / total;
      count = total;
    }
    const double v = squares / count;
    mean[at] = (float)m;
    variance[at] = (float)(v < 0 ? 0 : v);
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
