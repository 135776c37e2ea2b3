// argReduce, topK and cumsum: kernels that walk an axis in order.
#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

// True if x comes before best: larger (or smaller), or a NaN before any number.
LW_INLINE bool before(float x, float best, bool isMin) {
  if (best != best) return false;
  if (x != x) return true;
  return isMin ? x < best : x > best;
}
LW_INLINE bool before(int32_t x, int32_t best, bool isMin) { return isMin ? x < best : x > best; }

template <class T>
void argRange(const T* x, int32_t* y, int64_t axis, int64_t inner, Range r, bool isMin) {
  for (int64_t at = r.begin; at < r.end; at++) {
    const int64_t o = at / inner, i = at - o * inner;
    const T* p = x + o * axis * inner + i;
    T best = *p;
    int32_t index = 0;
    for (int64_t a = 1; a < axis; a++) {
      const T v = p[a * inner];
      if (before(v, best, isMin)) best = v, index = (int32_t)a;
    }
    y[at] = index;
  }
}

// Order of topK: descending, NaN first, equal values by lower index.
LW_INLINE bool ranksAbove(const float* x, int32_t a, int32_t b) {
  const bool na = x[a] != x[a], nb = x[b] != x[b];
  if (na || nb) return na && nb ? a < b : na;
  return x[a] != x[b] ? x[a] > x[b] : a < b;
}

// A heap whose root ranks lowest.
LW_INLINE void siftDown(const float* x, int32_t* heap, int64_t n, int64_t at) {
  for (;;) {
    int64_t child = 2 * at + 1;
    if (child >= n) return;
    if (child + 1 < n && ranksAbove(x, heap[child], heap[child + 1])) child++;
    if (!ranksAbove(x, heap[at], heap[child])) return;
    const int32_t t = heap[at];
    heap[at] = heap[child];
    heap[child] = t;
    at = child;
  }
}

}  // namespace

void plan_argReduce(Call& call) {
  const int64_t outer = call.ints[0], axis = call.ints[1], inner = call.ints[2];
  call.phases = 1;
  call.maxParts = maxOf(1, outer * inner / 16);
  call.work = outer * axis * inner;
}

void run_argReduce(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const int64_t outer = call.ints[0], axis = call.ints[1], inner = call.ints[2];
  const bool isMin = call.ints[3] != 0;
  const Range r = split(outer * inner, 16, part, parts);
  int32_t* y = (int32_t*)run.ptr[call.outputs[0]];
  const void* x = run.ptr[call.inputs[0]];
  if (call.inputTypes[0] == kFloat32) argRange((const float*)x, y, axis, inner, r, isMin);
  else argRange((const int32_t*)x, y, axis, inner, r, isMin);
}

void plan_topK(Call& call) {
  const int64_t rows = call.ints[0], cols = call.ints[1], k = call.ints[2];
  call.phases = 1;
  call.maxParts = maxOf(1, rows);
  int64_t depth = 1;
  for (int64_t n = k; n > 1; n /= 2) depth++;
  call.work = rows * (cols * 2 + k * depth * 5);
}

void run_topK(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const int64_t rows = call.ints[0], cols = call.ints[1], k = call.ints[2];
  if (k == 0) return;
  const Range range = split(rows, 1, part, parts);
  for (int64_t r = range.begin; r < range.end; r++) {
    const float* x = (const float*)run.ptr[call.inputs[0]] + r * cols;
    float* values = (float*)run.ptr[call.outputs[0]] + r * k;
    int32_t* heap = (int32_t*)run.ptr[call.outputs[1]] + r * k;
    for (int64_t i = 0; i < k; i++) heap[i] = (int32_t)i;
    for (int64_t i = k / 2 - 1; i >= 0; i--) siftDown(x, heap, k, i);
    for (int64_t i = k; i < cols; i++) {
      if (!ranksAbove(x, (int32_t)i, heap[0])) continue;
      heap[0] = (int32_t)i;
      siftDown(x, heap, k, 0);
    }
    // Take the lowest out to the end, again and again.
    for (int64_t n = k - 1; n > 0; n--) {
      const int32_t t = heap[0];
      heap[0] = heap[n];
      heap[n] = t;
      siftDown(x, heap, n, 0);
    }
    for (int64_t i = 0; i < k; i++) values[i] = x[heap[i]];
  }
}

void plan_cumsum(Call& call) {
  const int64_t outer = call.ints[0], axis = call.ints[1], inner = call.ints[2];
  call.phases = 1;
  call.maxParts = maxOf(1, outer * inner);
  call.work = outer * axis * inner * 2;
}

// Each running sum is one thread's, in float64 for floats, so order and rounding never change.
void run_cumsum(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const int64_t outer = call.ints[0], axis = call.ints[1], inner = call.ints[2];
  const bool exclusive = call.ints[3] != 0, reverse = call.ints[4] != 0;
  const Range r = split(outer * inner, 16, part, parts);
  for (int64_t at = r.begin; at < r.end; at++) {
    const int64_t o = at / inner, base = o * axis * inner + (at - o * inner);
    if (call.inputTypes[0] == kFloat32) {
      const float* x = (const float*)run.ptr[call.inputs[0]];
      float* y = (float*)run.ptr[call.outputs[0]];
      double sum = 0;
      for (int64_t a = 0; a < axis; a++) {
        const int64_t p = base + (reverse ? axis - 1 - a : a) * inner;
        const double next = sum + x[p];
        y[p] = (float)(exclusive ? sum : next);
        sum = next;
      }
    } else {
      const uint32_t* x = (const uint32_t*)run.ptr[call.inputs[0]];
      uint32_t* y = (uint32_t*)run.ptr[call.outputs[0]];
      uint32_t sum = 0;
      for (int64_t a = 0; a < axis; a++) {
        const int64_t p = base + (reverse ? axis - 1 - a : a) * inner;
        const uint32_t next = sum + x[p];
        y[p] = exclusive ? sum : next;
        sum = next;
      }
    }
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
