// Sequences of different lengths: their check, and the order that lets a batch shrink step by step.
#pragma once

#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// Distance of rows of n floats that are read side by side: whole lines, not a multiple of 1 KiB apart.
LW_INLINE int64_t rowStride(int64_t n) {
  const int64_t stride = (n + 15) / 16 * 16;
  return stride % 256 == 0 ? stride + 16 : stride;
}

// A length as it is used: one outside [0, time] is a data error, and harmless until the run has stopped.
LW_INLINE int64_t lengthOf(const int32_t* lengths, int64_t b, int64_t time) {
  return lengths ? maxOf((int64_t)0, minOf((int64_t)lengths[b], time)) : time;
}

LW_INLINE void checkLengths(const Call& call, const Run& run, int32_t input, int64_t batch, int64_t time) {
  const int32_t* const lengths = (const int32_t*)run.ptr[call.inputs[input]];
  for (int64_t b = 0; b < batch; b++) {
    if (lengths[b] >= 0 && lengths[b] <= time) continue;
    if (!__atomic_exchange_n(&run.error->set, 1, __ATOMIC_ACQ_REL)) {
      run.error->call = call.index;
      run.error->input = input;
      run.error->position = b;
      run.error->value = lengths[b];
      run.error->low = 0;
      run.error->high = time + 1;
    }
    return;
  }
}

// Rows of a batch sorted by length, the longest first, equal ones in their order: step k then concerns the
// first active(k) rows. Lives in `ints(batch, time)` int32 of memory.
struct SequenceOrder {
  int32_t *sequence, *length;  // by row
  int32_t* longer;             // by length: how many sequences are at least as long
  int64_t time;

  static int64_t ints(int64_t batch, int64_t time) { return 2 * batch + time + 2; }
  SequenceOrder(void* memory, int64_t batch, int64_t steps)
      : sequence((int32_t*)memory), length(sequence + batch), longer(length + batch), time(steps) {}

  void sort(const int32_t* lengths, int64_t batch) {
    for (int64_t k = 0; k <= time; k++) longer[k] = 0;
    for (int64_t b = 0; b < batch; b++) longer[lengthOf(lengths, b, time)]++;
    int32_t before = 0;
    for (int64_t k = time; k >= 0; k--) {
      const int32_t here = longer[k];
      longer[k] = before;
      before += here;
    }
    for (int64_t b = 0; b < batch; b++) {
      const int64_t own = lengthOf(lengths, b, time);
      const int32_t row = longer[own]++;
      sequence[row] = (int32_t)b;
      length[row] = (int32_t)own;
    }
  }
  int64_t active(int64_t k) const { return k < time ? longer[k + 1] : 0; }
};

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
