// maxPool, avgPool and their gradients over images [n, h, w, c]: vectors along the channels, parts over
// images × rows. Both gradients gather: each element of dx adds up the windows that cover it, in
// row-major order, so that no two threads write the same element and nothing has to be zeroed first.
#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

struct Pool {
  int64_t n, h, w, c, kh, kw, sh, sw, top, left, oh, ow;
  explicit Pool(const Call& call)
      : n(call.ints[0]), h(call.ints[1]), w(call.ints[2]), c(call.ints[3]), kh(call.ints[4]),
        kw(call.ints[5]), sh(call.ints[6]), sw(call.ints[7]), top(call.ints[8]), left(call.ints[9]),
        oh(call.ints[10]), ow(call.ints[11]) {}
};

// The taps of window `o` along an axis that lie inside the input: at input positions start + tap.
struct Taps {
  int64_t start, begin, end;
};
LW_INLINE Taps tapsOf(int64_t o, int64_t stride, int64_t pad, int64_t kernel, int64_t size) {
  const int64_t start = o * stride - pad;
  return {start, maxOf(0, -start), minOf(kernel, size - start)};
}

// The windows along an axis that cover input position i.
LW_INLINE Range windowsOf(int64_t i, int64_t stride, int64_t pad, int64_t kernel, int64_t count) {
  const int64_t last = i + pad, first = last - kernel + 1;
  return {first <= 0 ? 0 : ceilDiv(first, stride), minOf(count, last / stride + 1)};
}

// windowsOf positions 0, 1, 2 … in turn, without divisions.
struct Windows {
  int64_t stride, count, enter, leave;  // positions until the next window begins to cover, and one no more
  Range range;
  Windows(int64_t stride, int64_t pad, int64_t kernel, int64_t count)
      : stride(stride), count(count), enter(stride - pad % stride),
        leave(pad < kernel ? kernel - pad : stride - (pad - kernel) % stride),
        range(windowsOf(0, stride, pad, kernel, count)) {}
  LW_MEMBER void next() {
    if (--enter == 0) {
      enter = stride;
      range.end = minOf(count, range.end + 1);
    }
    if (--leave == 0) {
      leave = stride;
      range.begin++;
    }
  }
};

// W lanes as int32 of an index tensor; n < W lanes touch nothing beyond.
LW_INLINE VI loadIndex(const int32_t* p) { return load(p); }
LW_INLINE VI loadIndex(const uint8_t* p) { return loadBytes(p); }
LW_INLINE VI loadIndexPartial(const int32_t* p, int64_t n) { return loadPartial(p, n); }
LW_INLINE VI loadIndexPartial(const uint8_t* p, int64_t n) {
  uint8_t lanes[W] = {};
  for (int64_t l = 0; l < n; l++) lanes[l] = p[l];
  return loadIndex(lanes);
}
LW_INLINE void storeIndex(int32_t* p, VI v) { store(p, v); }
LW_INLINE void storeIndex(uint8_t* p, VI v) { storeBytes(p, v); }
template <class I>
LW_INLINE void storeIndexPartial(I* p, VI v, int64_t n) {
  int32_t lanes[W];
  store(lanes, v);
  for (int64_t l = 0; l < n; l++) p[l] = (I)lanes[l];
}

// Whether a vector from any pixel of row `row` of `rows` rows of `floats` ends inside of them.
LW_INLINE bool roomBehind(int64_t row, int64_t rows, int64_t floats) {
  return (rows - row - 1) * floats >= W;
}

// body(i, n) with U vectors from channel i on: as many whole groups of four vectors as there are, then
// whole vectors, the last one overlapping its neighbour. Fewer than W channels: one vector that reaches into
// the pixels behind, which are written later, where there is `room`; else one of n < W.
template <class Four, class One, class Part>
LW_INLINE void overChannels(int64_t c, bool room, Four four, One one, Part partial) {
  if (c < W) return c == 0 ? (void)0 : room ? one(0) : partial(c);
  int64_t i = 0;
  for (; i + 4 * W <= c; i += 4 * W) four(i);
  for (; i < c; i += W) one(minOf(i, c - W));
}

// Largest value of the window, and which tap it is: the first of equals, the first NaN if there is one.
template <int U, class I, bool Indexed, bool Partial>
LW_INLINE void maxOfWindow(const Pool& s, const Taps& rows, const Taps& cols, const float* x, float* y,
                           I* index, int64_t n) {
  VF best[U];
  VI at[U];
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) {
    best[u] = -infinity();
    if (Indexed) at[u] = set1((int32_t)(rows.begin * s.kw + cols.begin));
  }
  for (int64_t i = rows.begin; i < rows.end; i++) {
    const float* p = x + ((rows.start + i) * s.w + cols.start) * s.c;
    for (int64_t j = cols.begin; j < cols.end; j++) {
      const int32_t tap = (int32_t)(i * s.kw + j);
#pragma GCC unroll 4
      for (int u = 0; u < U; u++) {
        const float* q = p + j * s.c + u * W;
        const VF v = Partial ? loadPartial(q, n) : load(q);
        const VI take = (VI)(v > best[u]) | ((VI)(v != v) & (VI)(best[u] == best[u]));
        best[u] = take ? v : best[u];
        if (Indexed) at[u] = take ? set1(tap) : at[u];
      }
    }
  }
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) {
    if (Partial) storePartial(y, best[u], n);
    else store(y + u * W, best[u]);
    if (!Indexed) continue;
    if (Partial) storeIndexPartial(index, at[u], n);
    else storeIndex(index + u * W, at[u]);
  }
}

template <class I, bool Indexed>
void maxRows(const Pool& s, const float* x, float* y, I* index, Range r) {
  for (int64_t row = r.begin; row < r.end; row++) {
    const int64_t image = row / s.oh;
    const Taps rows = tapsOf(row - image * s.oh, s.sh, s.top, s.kh, s.h);
    const float* from = x + image * s.h * s.w * s.c;
    const bool room = roomBehind(row, r.end, s.ow * s.c) &&
                      roomBehind(image * s.h + rows.start + rows.end - 1, s.n * s.h, s.w * s.c);
    for (int64_t o = 0; o < s.ow; o++) {
      const Taps cols = tapsOf(o, s.sw, s.left, s.kw, s.w);
      const int64_t to = (row * s.ow + o) * s.c;
      float* values = y + to;
      I* taps = index + to;
      overChannels(
          s.c, room,
          [&](int64_t i) __attribute__((always_inline)) {
            maxOfWindow<4, I, Indexed, false>(s, rows, cols, from + i, values + i, taps + i, 0);
          },
          [&](int64_t i) __attribute__((always_inline)) {
            maxOfWindow<1, I, Indexed, false>(s, rows, cols, from + i, values + i, taps + i, 0);
          },
          [&](int64_t n) __attribute__((always_inline)) {
            maxOfWindow<1, I, Indexed, true>(s, rows, cols, from, values, taps, n);
          });
    }
  }
}

// Sums of at most kw terms, added up row by row: two short chains instead of a long one.
template <int U, bool Partial>
LW_INLINE void meanOfWindow(const Pool& s, const Taps& rows, const Taps& cols, const float* x, float* y,
                            float count, int64_t n) {
  VF total[U];
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) total[u] = zero();
  for (int64_t i = rows.begin; i < rows.end; i++) {
    const float* p = x + ((rows.start + i) * s.w + cols.start) * s.c;
    VF sum[U];
#pragma GCC unroll 4
    for (int u = 0; u < U; u++) sum[u] = zero();
    for (int64_t j = cols.begin; j < cols.end; j++) {
#pragma GCC unroll 4
      for (int u = 0; u < U; u++) {
        const float* q = p + j * s.c + u * W;
        sum[u] += Partial ? loadPartial(q, n) : load(q);
      }
    }
#pragma GCC unroll 4
    for (int u = 0; u < U; u++) total[u] += sum[u];
  }
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) {
    const VF mean = total[u] / count;
    if (Partial) storePartial(y, mean, n);
    else store(y + u * W, mean);
  }
}

// One pixel of dx: Σ dy of the windows whose largest element it was.
template <int U, class I, bool Partial>
LW_INLINE void maxGradientOf(const Pool& s, int64_t row, int64_t col, const Range& rows,
                             const Range& cols, const float* dy, const I* index, float* dx, int64_t n) {
  VF sum[U];
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) sum[u] = zero();
  for (int64_t i = rows.begin; i < rows.end; i++) {
    for (int64_t j = cols.begin; j < cols.end; j++) {
      const int64_t from = (i * s.ow + j) * s.c;
      const int32_t tap =
          (int32_t)((row + s.top - i * s.sh) * s.kw + (col + s.left - j * s.sw));
#pragma GCC unroll 4
      for (int u = 0; u < U; u++) {
        const int64_t at = from + u * W;
        const VI here = Partial ? loadIndexPartial(index + at, n) : loadIndex(index + at);
        const VF v = Partial ? loadPartial(dy + at, n) : load(dy + at);
        sum[u] += here == tap ? v : zero();
      }
    }
  }
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) {
    if (Partial) storePartial(dx, sum[u], n);
    else store(dx + u * W, sum[u]);
  }
}

template <class I>
void maxGradientRows(const Pool& s, const float* dy, const I* index, float* dx, Range r) {
  for (int64_t at = r.begin; at < r.end; at++) {
    const int64_t image = at / s.h, row = at - image * s.h;
    const Range rows = windowsOf(row, s.sh, s.top, s.kh, s.oh);
    const int64_t base = image * s.oh * s.ow * s.c;
    const bool room = roomBehind(at, r.end, s.w * s.c) &&
                      roomBehind(image * s.oh + rows.end - 1, s.n * s.oh, s.ow * s.c);
    Windows across(s.sw, s.left, s.kw, s.ow);
    for (int64_t col = 0; col < s.w; col++, across.next()) {
      const Range cols = across.range;
      const float* from = dy + base;
      const I* taps = index + base;
      float* to = dx + (at * s.w + col) * s.c;
      overChannels(
          s.c, room,
          [&](int64_t i) __attribute__((always_inline)) {
            maxGradientOf<4, I, false>(s, row, col, rows, cols, from + i, taps + i, to + i, 0);
          },
          [&](int64_t i) __attribute__((always_inline)) {
            maxGradientOf<1, I, false>(s, row, col, rows, cols, from + i, taps + i, to + i, 0);
          },
          [&](int64_t n) __attribute__((always_inline)) {
            maxGradientOf<1, I, true>(s, row, col, rows, cols, from, taps, to, n);
          });
    }
  }
}

// One pixel of dx: Σ dy / (elements of the window) over the windows that cover it.
template <int U, bool Partial>
LW_INLINE void meanGradientOf(const Pool& s, const Range& rows, const Range& cols, const float* dy,
                              float* dx, int64_t n) {
  VF sum[U];
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) sum[u] = zero();
  for (int64_t i = rows.begin; i < rows.end; i++) {
    const Taps r = tapsOf(i, s.sh, s.top, s.kh, s.h);
    for (int64_t j = cols.begin; j < cols.end; j++) {
      const Taps c = tapsOf(j, s.sw, s.left, s.kw, s.w);
      const float share = 1.0f / (float)((r.end - r.begin) * (c.end - c.begin));
      const float* p = dy + (i * s.ow + j) * s.c;
#pragma GCC unroll 4
      for (int u = 0; u < U; u++) sum[u] += (Partial ? loadPartial(p, n) : load(p + u * W)) * share;
    }
  }
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) {
    if (Partial) storePartial(dx, sum[u], n);
    else store(dx + u * W, sum[u]);
  }
}

// Parts of at least 4096 taps; an element of a window costs a quarter of a nanosecond.
void planRows(Call& call, int64_t rows, int64_t taps) {
  call.phases = 1;
  call.maxParts = maxOf(1, minOf(rows, taps / 4096));
  call.work = taps / 4;
}

}  // namespace

void plan_maxPool(Call& call) {
  const Pool s(call);
  planRows(call, s.n * s.oh, s.n * s.oh * s.ow * s.c * s.kh * s.kw);
}

void run_maxPool(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const Pool s(call);
  const float* x = (const float*)run.ptr[call.inputs[0]];
  float* y = (float*)run.ptr[call.outputs[0]];
  const Range r = split(s.n * s.oh, 1, part, parts);
  if (call.nOutputs == 1) return maxRows<int32_t, false>(s, x, y, (int32_t*)y, r);
  void* index = run.ptr[call.outputs[1]];
  if (call.outputTypes[1] == kUint8) maxRows<uint8_t, true>(s, x, y, (uint8_t*)index, r);
  else maxRows<int32_t, true>(s, x, y, (int32_t*)index, r);
}

void plan_maxPoolGradient(Call& call) {
  const Pool s(call);
  planRows(call, s.n * s.h, s.n * s.oh * s.ow * s.c * s.kh * s.kw);
}

void run_maxPoolGradient(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const Pool s(call);
  const float* dy = (const float*)run.ptr[call.inputs[0]];
  const void* index = run.ptr[call.inputs[1]];
  float* dx = (float*)run.ptr[call.outputs[0]];
  const Range r = split(s.n * s.h, 1, part, parts);
  if (call.inputTypes[1] == kUint8) maxGradientRows(s, dy, (const uint8_t*)index, dx, r);
  else maxGradientRows(s, dy, (const int32_t*)index, dx, r);
}

void plan_avgPool(Call& call) { plan_maxPool(call); }

void run_avgPool(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const Pool s(call);
  const float* x = (const float*)run.ptr[call.inputs[0]];
  float* y = (float*)run.ptr[call.outputs[0]];
  const Range r = split(s.n * s.oh, 1, part, parts);
  for (int64_t row = r.begin; row < r.end; row++) {
    const int64_t image = row / s.oh;
    const Taps rows = tapsOf(row - image * s.oh, s.sh, s.top, s.kh, s.h);
    const float* from = x + image * s.h * s.w * s.c;
    const bool room = roomBehind(row, r.end, s.ow * s.c) &&
                      roomBehind(image * s.h + rows.start + rows.end - 1, s.n * s.h, s.w * s.c);
    for (int64_t o = 0; o < s.ow; o++) {
      const Taps cols = tapsOf(o, s.sw, s.left, s.kw, s.w);
      const float count = (float)((rows.end - rows.begin) * (cols.end - cols.begin));
      float* to = y + (row * s.ow + o) * s.c;
      overChannels(
          s.c, room,
          [&](int64_t i) __attribute__((always_inline)) {
            meanOfWindow<4, false>(s, rows, cols, from + i, to + i, count, 0);
          },
          [&](int64_t i) __attribute__((always_inline)) {
            meanOfWindow<1, false>(s, rows, cols, from + i, to + i, count, 0);
          },
          [&](int64_t n) __attribute__((always_inline)) {
            meanOfWindow<1, true>(s, rows, cols, from, to, count, n);
          });
    }
  }
}

void plan_avgPoolGradient(Call& call) { plan_maxPoolGradient(call); }

void run_avgPoolGradient(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const Pool s(call);
  const float* dy = (const float*)run.ptr[call.inputs[0]];
  float* dx = (float*)run.ptr[call.outputs[0]];
  const Range r = split(s.n * s.h, 1, part, parts);
  for (int64_t at = r.begin; at < r.end; at++) {
    const int64_t image = at / s.h;
    const Range rows = windowsOf(at - image * s.h, s.sh, s.top, s.kh, s.oh);
    const float* from = dy + image * s.oh * s.ow * s.c;
    const bool room = roomBehind(at, r.end, s.w * s.c) &&
                      roomBehind(image * s.oh + rows.end - 1, s.n * s.oh, s.ow * s.c);
    Windows across(s.sw, s.left, s.kw, s.ow);
    for (int64_t col = 0; col < s.w; col++, across.next()) {
      const Range cols = across.range;
      float* to = dx + (at * s.w + col) * s.c;
      overChannels(
          s.c, room,
          [&](int64_t i) __attribute__((always_inline)) {
            meanGradientOf<4, false>(s, rows, cols, from + i, to + i, 0);
          },
          [&](int64_t i) __attribute__((always_inline)) {
            meanGradientOf<1, false>(s, rows, cols, from + i, to + i, 0);
          },
          [&](int64_t n) __attribute__((always_inline)) {
            meanGradientOf<1, true>(s, rows, cols, from, to, n);
          });
    }
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
