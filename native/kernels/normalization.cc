// moments: mean and population variance over the middle axis of [outer, axis, inner]. Rows are summed
// twice, the second time out of L1. Columns (inner > 1) go through blocks of rows: sums and squares of a
// block's distances from the mean of the rows before it, the first block's from its own mean, are merged in float64
// (Chan, Golub, LeVeque 1979), so that memory is read once. What a block's squares lose where its mean is far off is
// small beside what that distance adds to the variance. Chunks of blocks, whose number depends on the shape alone, are for threads.
#include <type_traits>

#include "ahead.h"
#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

constexpr int64_t kGrain = 64;
// Rows up to kColumns long are read whole, as memory is fastest. A block of rows is short enough for float32 sums;
// the first, which is read twice, stays in the caches.
constexpr int64_t kColumns = 2048, kFirstRows = 32, kMostRows = 128;
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

// sums[i] += Σ d, with `Squared` squares[i] += Σ d² too, over R rows of n columns; d = x − center.
template <bool Squared, int R, bool AHEAD>
LW_INLINE void addRows(const float* x, int64_t stride, int64_t n, const float* center, float* sums,
                       float* squares) {
  const auto columns = [&](int64_t i, auto at) {
    VF d[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      if (AHEAD) askAhead(x + r * stride, i);
      d[r] = at(x + r * stride + i);
      if (Squared) d[r] -= load(center + i);
    }
    if (Squared) {
      VF q = d[0] * d[0];
#pragma GCC unroll 8
      for (int r = 1; r < R; r++) q += d[r] * d[r];
      store(squares + i, load(squares + i) + q);
    }
    VF sum = d[0];
#pragma GCC unroll 8
    for (int r = 1; r < R; r++) sum += d[r];
    store(sums + i, load(sums + i) + sum);
  };
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
#pragma GCC unroll 4
    for (int j = 0; j < 16; j += W) columns(i + j, [](const float* p) { return load(p); });
  }
  for (; i < n; i += W) {
    const int64_t rest = n - i;
    columns(i, [rest](const float* p) { return rest >= W ? load(p) : loadPartial(p, rest); });
  }
}

// Of narrow rows, eight at a time, nothing is asked for: the hardware follows them by itself, and it made them a fifth
// slower.
template <bool Squared>
void addBlock(const float* x, int64_t stride, int64_t rows, int64_t n, const float* center, float* sums,
              float* squares) {
  for (int64_t i = 0; i < n; i += W) {
    store(sums + i, zero());
    if (Squared) store(squares + i, zero());
  }
  const auto add = [&](auto count, auto ahead, int64_t& r) {
    constexpr int R = decltype(count)::value;
    for (; r + R <= rows; r += R) {
      addRows<Squared, R, decltype(ahead)::value>(x + r * stride, stride, n, center, sums, squares);
    }
  };
  int64_t r = 0;
  if (stride < kWideRow) add(std::integral_constant<int, 8>(), std::false_type(), r);
  else if (n == stride) add(std::integral_constant<int, 2>(), std::true_type(), r);
  add(std::integral_constant<int, 2>(), std::false_type(), r);
  add(std::integral_constant<int, 1>(), std::false_type(), r);
}

// Scratch of one thread: kColumns each, with room for a vector past the end.
struct ColumnState {
  double mean[kColumns], squares[kColumns];  // of all rows so far
  float center[kColumns + 16], sums[kColumns + 16], deviations[kColumns + 16];
};

// Mean and squared deviations of n ≤ kColumns columns over `rows` rows.
void momentsOfColumns(const float* x, int64_t stride, int64_t rows, int64_t n, ColumnState& s) {
  for (int64_t i = 0; i < n; i++) s.mean[i] = s.squares[i] = 0;
  for (int64_t at = 0, count; at < rows; at += count) {
    count = minOf(at == 0 ? kFirstRows : kMostRows, rows - at);
    const float* block = x + at * stride;
    if (at == 0) {
      addBlock<false>(block, stride, count, n, nullptr, s.sums, nullptr);
      const float share = 1.0f / (float)count;
      for (int64_t i = 0; i < n; i++) s.center[i] = s.sums[i] * share;
    }
    addBlock<true>(block, stride, count, n, s.center, s.sums, s.deviations);
    const double here = (double)count, before = (double)at, after = before + here;
    const double inverse = 1 / here, weight = here / after, cross = before * weight;
    for (int64_t i = 0; i < n; i++) {
      const double sum = s.sums[i], shift = sum * inverse;
      const double delta = s.center[i] + shift - s.mean[i];
      s.mean[i] += delta * weight;
      s.squares[i] += s.deviations[i] - sum * shift + delta * delta * cross;
      s.center[i] = (float)s.mean[i];
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
  const int64_t units = s.inner <= kColumns ? s.outer : s.outer * ceilDiv(s.inner, kGrain);
  if (units < 16) chunks = maxOf(1, minOf(s.axis / 1024, 32));
  const int64_t length = ceilDiv(ceilDiv(maxOf(s.axis, 1), chunks), 256) * 256;
  chunks = maxOf(1, ceilDiv(s.axis, length));
  call.custom[kChunks] = chunks;
  call.custom[kLength] = length;
  call.phases = 2;
  call.maxParts = maxOf(1, maxOf(s.outer * chunks, ceilDiv(s.inner, kGrain)));
  call.scratchBytes = sizeof(ColumnState);
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
    ColumnState& state = *(ColumnState*)run.scratch;
    for (int64_t unit = units.begin; unit < units.end; unit++) {
      const int64_t o = unit / chunks, chunk = unit % chunks;
      const int64_t begin = chunk * length, end = minOf(s.axis, begin + length);
      double* means = shared + unit * 2 * inner;
      for (int64_t c = columns.begin; c < columns.end; c += kColumns) {
        const int64_t n = minOf(kColumns, columns.end - c);
        const float* base = x + (o * s.axis + begin) * inner + c;
        momentsOfColumns(base, inner, end - begin, n, state);
        for (int64_t i = 0; i < n; i++) {
          means[c + i] = state.mean[i];
          means[inner + c + i] = state.squares[i];
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
