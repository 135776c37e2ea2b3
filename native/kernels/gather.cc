// gather and scatterAdd along one axis, with indices that are checked as they are read.
#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

struct Shape {
  int64_t outer, axis, inner, count;
  explicit Shape(const Call& call)
      : outer(call.ints[0]), axis(call.ints[1]), inner(call.ints[2]), count(call.ints[3]) {}
};

bool inRange(const Call& call, const Run& run, const int32_t* indices, int64_t n, int64_t limit) {
  for (int64_t j = 0; j < n; j++) {
    if (indices[j] >= 0 && indices[j] < limit) continue;
    if (!__atomic_exchange_n(&run.error->set, 1, __ATOMIC_ACQ_REL)) {
      run.error->call = call.index;
      run.error->input = 1;
      run.error->position = j;
      run.error->value = indices[j];
      run.error->low = 0;
      run.error->high = limit;
    }
    return false;
  }
  return true;
}

}  // namespace

void plan_gather(Call& call) {
  const Shape s(call);
  call.phases = 1;
  call.maxParts = maxOf(1, minOf(s.outer * s.count, s.outer * s.count * s.inner / 2048));
  call.work = s.outer * s.count * (4 + s.inner / 6);
}

void run_gather(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const Shape s(call);
  const int32_t* indices = (const int32_t*)run.ptr[call.inputs[1]];
  // Each thread checks all indices: cheap beside the rows, and no thread waits for another.
  if (!inRange(call, run, indices, s.count, s.axis)) return;
  const bool bytes = call.inputTypes[0] == kUint8 || call.inputTypes[0] == kBool;
  const int64_t row = s.inner * (bytes ? 1 : 4);
  if (row == 0) return;
  const char* x = (const char*)run.ptr[call.inputs[0]];
  char* y = (char*)run.ptr[call.outputs[0]];
  const Range r = split(s.outer * s.count, 1, part, parts);
  int64_t o = s.count > 0 ? r.begin / s.count : 0, j = r.begin - o * s.count;
  for (int64_t unit = r.begin; unit < r.end; unit++) {
    const char* from = x + (o * s.axis + indices[j]) * row;
    char* to = y + unit * row;
    if (row == 4) memcpy(to, from, 4);
    else memcpy(to, from, row);
    if (++j == s.count) j = 0, o++;
  }
}

void plan_scatterAdd(Call& call) {
  const Shape s(call);
  call.phases = 1;
  call.maxParts = maxOf(s.outer, s.inner / 64);
  call.work = s.outer * s.count * (3 + s.inner / 6) + s.outer * s.axis * s.inner / 10;
}

void run_scatterAdd(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const Shape s(call);
  const int32_t* indices = (const int32_t*)run.ptr[call.inputs[1]];
  if (!inRange(call, run, indices, s.count, s.axis)) return;
  const float* updates = (const float*)run.ptr[call.inputs[0]];
  float* y = (float*)run.ptr[call.outputs[0]];
  // Split over outer, or over columns: each sum is made by one thread, in order of j.
  const bool byOuter = s.outer >= parts;
  const Range outer = byOuter ? split(s.outer, 1, part, parts) : Range{0, s.outer};
  const Range cols = byOuter ? Range{0, s.inner} : split(s.inner, 16, part, parts);
  const int64_t n = cols.end - cols.begin;
  if (n <= 0) return;
  for (int64_t o = outer.begin; o < outer.end; o++) {
    float* base = y + o * s.axis * s.inner + cols.begin;
    for (int64_t a = 0; a < s.axis; a++) memset(base + a * s.inner, 0, n * 4);
    for (int64_t j = 0; j < s.count; j++) {
      const float* u = updates + (o * s.count + j) * s.inner + cols.begin;
      float* d = base + indices[j] * s.inner;
      int64_t i = 0;
      for (; i + W <= n; i += W) store(d + i, load(d + i) + load(u + i));
      for (; i < n; i++) d[i] += u[i];
    }
  }
}

void plan_scatterRows(Call& call) {
  const int64_t axis = call.ints[0], inner = call.ints[1], count = call.ints[2];
  call.phases = 1;
  call.maxParts = maxOf(1, inner / 64);
  const bool over = call.inputs[0] == call.outputs[0];
  call.work = count * (3 + inner / 6) + (over ? 0 : axis * inner / 10);
}

void run_scatterRows(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const int64_t axis = call.ints[0], inner = call.ints[1], count = call.ints[2];
  const int32_t* indices = (const int32_t*)run.ptr[call.inputs[1]];
  if (!inRange(call, run, indices, count, axis)) return;
  const int64_t size = call.inputTypes[0] == kUint8 || call.inputTypes[0] == kBool ? 1 : 4;
  const char* x = (const char*)run.ptr[call.inputs[0]];
  const char* updates = (const char*)run.ptr[call.inputs[2]];
  char* y = (char*)run.ptr[call.outputs[0]];
  // Split over columns: of equal indices the last wins, whoever writes.
  const Range cols = split(inner, 16, part, parts);
  const int64_t from = cols.begin * size, bytes = (cols.end - cols.begin) * size;
  if (bytes <= 0) return;
  const int64_t row = inner * size;
  if (x != y) {
    for (int64_t a = 0; a < axis; a++) memcpy(y + a * row + from, x + a * row + from, bytes);
  }
  for (int64_t j = 0; j < count; j++) {
    memcpy(y + indices[j] * row + from, updates + j * row + from, bytes);
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
