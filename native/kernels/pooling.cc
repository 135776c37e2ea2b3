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

// Whether a window is one of K × K elements, all of them inside the input: its loops are unrolled then.
template <int K>
LW_INLINE bool wholeSquare(const Pool& s, const Taps& rows, const Taps& cols) {
  return s.kh == K && s.kw == K && rows.end - rows.begin == K && cols.end - cols.begin == K;
}

// Largest value of the window, and which tap it is: the first of equals, the first NaN if there is one. K is
// 0 but for whole squares.
template <int K, int U, class I, bool Indexed, bool Partial>
LW_INLINE void maxOfWindow(const Pool& s, const Taps& rows, const Taps& cols, const float* x, float* y,
                           I* index, int64_t n) {
  const int64_t kw = K > 0 ? K : s.kw;
  const int64_t top = K > 0 ? 0 : rows.begin, bottom = K > 0 ? K : rows.end;
  const int64_t left = K > 0 ? 0 : cols.begin, right = K > 0 ? K : cols.end;
  VF best[U];
  VI at[U];
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) {
    best[u] = -infinity();
    if (Indexed) at[u] = set1((int32_t)(top * kw + left));
  }
#pragma GCC unroll 3
  for (int64_t i = top; i < bottom; i++) {
    const float* p = x + ((rows.start + i) * s.w + cols.start) * s.c;
#pragma GCC unroll 3
    for (int64_t j = left; j < right; j++) {
      const int32_t tap = (int32_t)(i * kw + j);
#pragma GCC unroll 4
      for (int u = 0; u < U; u++) {
        const float* q = p + j * s.c + u * W;
        const VF v = Partial ? loadPartial(q, n) : load(q);
        // v is larger, or the first NaN.
        const VI take = ~(VI)(v <= best[u]) & (VI)(best[u] == best[u]);
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
      const bool two = wholeSquare<2>(s, rows, cols);
      overChannels(
          s.c, room,
          [&](int64_t i) __attribute__((always_inline)) {
            if (two) maxOfWindow<2, 4, I, Indexed, false>(s, rows, cols, from + i, values + i, taps + i, 0);
            else maxOfWindow<0, 4, I, Indexed, false>(s, rows, cols, from + i, values + i, taps + i, 0);
          },
          [&](int64_t i) __attribute__((always_inline)) {
            if (two) maxOfWindow<2, 1, I, Indexed, false>(s, rows, cols, from + i, values + i, taps + i, 0);
            else maxOfWindow<0, 1, I, Indexed, false>(s, rows, cols, from + i, values + i, taps + i, 0);
          },
          [&](int64_t n) __attribute__((always_inline)) {
            maxOfWindow<0, 1, I, Indexed, true>(s, rows, cols, from, values, taps, n);
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

// Whether windows lie side by side from the first pixel on: each pixel of dx has one window or none.
bool sideBySide(const Pool& s) { return s.kh == s.sh && s.kw == s.sw && s.top == 0 && s.left == 0; }
// Row `row` of an image's dx (at `to`) where they do. value(pixel, channel) makes ready what a pixel of a row of
// windows hands back, a function of the column in the window, never −0, as a sum of one is none. Whole vectors, of which the last of a pixel may
// reach into the next one.
template <class Value>
LW_INLINE void spreadRow(const Pool& s, int64_t row, float* to, Value value) {
  const int64_t windows = row / s.kh < s.oh ? s.ow : 0;
  for (int64_t o = 0; o < windows; o++) {
    float* const at = to + o * s.kw * s.c;
    const int64_t columns = minOf(s.kw, s.w - o * s.kw);
    // Channels of a pixel as long as they cannot overwrite the next pixel's.
    for (int64_t i = 0; i < s.c; i += W) {
      const int64_t channel = maxOf(0, minOf(i, s.c - W));
      const auto of = value(o, channel);
      for (int64_t j = 0; j < columns; j++) store(at + j * s.c + channel, of(j));
    }
  }
  for (int64_t i = windows * s.kw * s.c; i < s.w * s.c; i++) to[i] = 0.0f;
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
  const bool disjoint = sideBySide(s);
  for (int64_t at = r.begin; at < r.end; at++) {
    const int64_t image = at / s.h, row = at - image * s.h;
    const Range rows = windowsOf(row, s.sh, s.top, s.kh, s.oh);
    const int64_t base = image * s.oh * s.ow * s.c;
    const bool room = roomBehind(at, r.end, s.w * s.c) &&
                      roomBehind(image * s.oh + rows.end - 1, s.n * s.oh, s.ow * s.c);
    if (disjoint && (s.c >= W || room)) {
      const int64_t window = row / s.kh;
      const float* const from = dy + base + window * s.ow * s.c;
      const I* const taps = index + base + window * s.ow * s.c;
      const int32_t first = (int32_t)((row - window * s.kh) * s.kw);
      spreadRow(s, row, dx + at * s.w * s.c, [=](int64_t o, int64_t channel) __attribute__((always_inline)) {
        const VF v = load(from + o * s.c + channel) + zero();
        const VI here = loadIndex(taps + o * s.c + channel) - first;
        return [=](int64_t j) __attribute__((always_inline)) { return here == (int32_t)j ? v : zero(); };
      });
      continue;
    }
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
  const bool disjoint = sideBySide(s);
  for (int64_t at = r.begin; at < r.end; at++) {
    const int64_t image = at / s.h;
    const Range rows = windowsOf(at - image * s.h, s.sh, s.top, s.kh, s.oh);
    const float* from = dy + image * s.oh * s.ow * s.c;
    const bool room = roomBehind(at, r.end, s.w * s.c) &&
                      roomBehind(image * s.oh + rows.end - 1, s.n * s.oh, s.ow * s.c);
    if (disjoint && (s.c >= W || room)) {
      const int64_t row = at - image * s.h;
      const Taps down = tapsOf(row / s.kh, s.sh, s.top, s.kh, s.h);
      const float* const own = from + row / s.kh * s.ow * s.c;
      const auto share = [=](int64_t columns) __attribute__((always_inline)) {
        return 1.0f / (float)((down.end - down.begin) * columns);
      };
      const float whole = share(s.kw), last = share(minOf(s.kw, s.w - (s.ow - 1) * s.kw));
      spreadRow(s, row, dx + at * s.w * s.c, [=](int64_t o, int64_t channel) __attribute__((always_inline)) {
        const VF v = load(own + o * s.c + channel) * (o < s.ow - 1 ? whole : last) + zero();
        return [=](int64_t) __attribute__((always_inline)) { return v; };
      });
      continue;
    }
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
