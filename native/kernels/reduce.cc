// reduce: a tile program whose results are summed (or max, min, prod) over the middle axis of
// [outer, axis, inner]. With inner = 1 rows are reduced along their lanes, else columns are reduced
// with vectors over inner. Long axes with few outputs are cut into chunks whose number depends on the
// shape alone; partial results are float64 and are combined in chunk order.
#include "kernels.h"
#include "tile.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

enum Reducer { kSum = 0, kMax = 1, kMin = 2, kProd = 3 };
// custom[]: how plan_reduce divided the work.
enum { kRowsPerBlock = 0, kChunks = 1, kChunkLength = 2, kStaged = 3 };
constexpr int64_t kColumnGrain = 64;
// Columns whose accumulators a thread keeps at once: rows up to this length are read whole.
constexpr int64_t kPanel = 2048;

double identityOf(int reducer, bool isInt) {
  switch (reducer) {
    case kMax:
      return isInt ? -2147483648.0 : -__builtin_inf();
    case kMin:
      return isInt ? 2147483647.0 : __builtin_inf();
    case kProd:
      return 1;
    default:
      return 0;
  }
}

// Partial results are doubles, which hold every float and int32 exactly.
double combine(int reducer, bool isInt, double a, double b) {
  switch (reducer) {
    case kMax:
      return b > a || b != b ? b : a;
    case kMin:
      return b < a || b != b ? b : a;
    case kProd:
      return isInt ? (double)(int32_t)((uint32_t)(int32_t)a * (uint32_t)(int32_t)b) : a * b;
    default:
      return isInt ? (double)(int32_t)((uint32_t)(int32_t)a + (uint32_t)(int32_t)b) : a + b;
  }
}

LW_INLINE VF larger(VF x, VF best) { return (VI)(x > best) | (VI)(x != x) ? x : best; }
LW_INLINE VF smaller(VF x, VF best) { return (VI)(x < best) | (VI)(x != x) ? x : best; }

// Reduces n lanes.
double reduceLanes(int reducer, bool isInt, const void* lanes, int64_t n) {
  double state = identityOf(reducer, isInt);
  if (isInt) {
    const int32_t* x = (const int32_t*)lanes;
    int32_t r = (int32_t)state;
    for (int64_t i = 0; i < n; i++) {
      if (reducer == kSum) r = (int32_t)((uint32_t)r + (uint32_t)x[i]);
      else if (reducer == kProd) r = (int32_t)((uint32_t)r * (uint32_t)x[i]);
      else if (reducer == kMax) r = x[i] > r ? x[i] : r;
      else r = x[i] < r ? x[i] : r;
    }
    return r;
  }
  const float* x = (const float*)lanes;
  if (reducer == kSum) {
    return sumChunks(n, [x](int64_t i, int64_t count) {
      return count >= 16 ? loadLanes16(x + i) : loadLanes16(x + i, count, 0.0f);
    });
  }
  if (reducer == kProd) {
    for (int64_t i = 0; i < n; i++) state *= x[i];
    return state;
  }
  if (reducer == kMax) return maxFloat(x, n);
  VF best = infinity();
  int64_t i = 0;
  for (; i + W <= n; i += W) best = smaller(load(x + i), best);
  float f[W];
  store(f, best);
  for (int l = 0; l < W; l++) state = combine(kMin, false, state, f[l]);
  for (; i < n; i++) state = combine(kMin, false, state, x[i]);
  return state;
}

// y[i] ∘= x[i] of R rows that are `stride` apart, row after row. Nothing is prefetched: several rows at once the
// hardware reads faster than one (8192×1024, Zen 3: 1.05 times the `read` probe), and asking for them costs a third.
template <int R, class Op>
LW_INLINE void addRows(float* y, const float* x, int64_t stride, int64_t n, Op op) {
  int64_t i = 0;
  for (; i + W <= n; i += W) {
    VF v = load(y + i);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) v = op(v, load(x + r * stride + i));
    store(y + i, v);
  }
  if (i < n) {
    VF v = load(y + i);
    for (int r = 0; r < R; r++) v = op(v, loadPartial(x + r * stride + i, n - i));
    store(y + i, v);
  }
}

// Column accumulators of one result: float (or int32) lanes, and doubles for sums and products.
struct Columns {
  int reducer;
  bool isInt;
  float* lanes;
  double* totals;

  void begin(int64_t n) {
    const double id = identityOf(reducer, isInt);
    for (int64_t i = 0; i < n; i++) {
      if (isInt) ((int32_t*)lanes)[i] = (int32_t)id;
      else lanes[i] = reducer == kSum ? 0.0f : (float)id;
      totals[i] = id;
    }
  }
  // lanes ∘= x, lane by lane, for rows that are `stride` apart.
  void add(const void* p, int64_t stride, int64_t rows, int64_t n) {
    const float* x = (const float*)p;
    if (isInt || reducer == kProd) {
      for (int64_t r = 0; r < rows; r++) addRow(x + r * stride, n);
    } else if (reducer == kSum) {
      addAll(x, stride, rows, n, [](VF a, VF b) { return a + b; });
    } else if (reducer == kMax) {
      addAll(x, stride, rows, n, [](VF a, VF b) { return larger(b, a); });
    } else {
      addAll(x, stride, rows, n, [](VF a, VF b) { return smaller(b, a); });
    }
  }
  template <class Op>
  void addAll(const float* x, int64_t stride, int64_t rows, int64_t n, Op op) {
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) addRows<4>(lanes, x + r * stride, stride, n, op);
    for (; r < rows; r++) addRows<1>(lanes, x + r * stride, stride, n, op);
  }
  void addRow(const void* p, int64_t n) {
    if (isInt) {
      const int32_t* x = (const int32_t*)p;
      int32_t* y = (int32_t*)lanes;
      for (int64_t i = 0; i < n; i++) {
        if (reducer == kSum) y[i] = (int32_t)((uint32_t)y[i] + (uint32_t)x[i]);
        else if (reducer == kProd) y[i] = (int32_t)((uint32_t)y[i] * (uint32_t)x[i]);
        else if (reducer == kMax) y[i] = x[i] > y[i] ? x[i] : y[i];
        else y[i] = x[i] < y[i] ? x[i] : y[i];
      }
      return;
    }
    const float* x = (const float*)p;
    for (int64_t i = 0; i < n; i++) totals[i] *= x[i];
  }
  // After at most 256 rows: float sums move on into the doubles.
  void flush(int64_t n) {
    if (isInt || reducer != kSum) return;
    for (int64_t i = 0; i < n; i++) {
      totals[i] += lanes[i];
      lanes[i] = 0.0f;
    }
  }
  double result(int64_t i) const {
    if (isInt) return ((int32_t*)lanes)[i];
    return reducer == kMax || reducer == kMin ? lanes[i] : totals[i];
  }
};

// Stores a finished value, or a chunk's part of it.
struct Sink {
  const Call& call;
  const Run& run;
  int64_t outputs, chunks;
  bool staged;  // results go through shared memory and are stored in phase 1

  void put(int32_t r, int64_t chunk, int64_t at, double value) const {
    if (!staged) finish(r, at, value);
    else ((double*)run.shared)[(chunk * call.nOutputs + r) * outputs + at] = value;
  }
  void finish(int32_t r, int64_t at, double value) const {
    void* out = run.ptr[call.outputs[r]];
    if (call.outputTypes[r] == kInt32) {
      ((int32_t*)out)[at] = (int32_t)value;
    } else {
      const int reducer = call.ints[r];
      const bool scaled = reducer == kSum || reducer == kProd;
      ((float*)out)[at] = (float)(scaled ? value * call.floats[r] : value);
    }
  }
};

void reduceRows(const Call& call, const Run& run, const Sink& sink, int64_t part, int64_t parts) {
  const TilePlan& tile = *call.tile;
  const int64_t outer = tile.domain[0], axis = tile.domain[1];
  const int64_t chunks = call.custom[kChunks], length = call.custom[kChunkLength];
  const int64_t perBlock = call.custom[kRowsPerBlock];
  const Range range = split(outer * chunks, 1, part, parts);
  if (range.begin >= range.end) return;
  if (perBlock > 1) {  // one chunk, short rows
    TileRun t(tile, run.ptr, run.scratch, minOf(perBlock, range.end - range.begin) * axis, true);
    for (int64_t row = range.begin; row < range.end; row += perBlock) {
      const int64_t n = minOf(perBlock, range.end - row);
      t.evaluate(row, n, 0, axis, row * axis, n * axis);
      for (int32_t r = 0; r < call.nOutputs; r++) {
        const float* x = (const float*)t.slot[tile.results[r].slot];
        const bool isInt = call.outputTypes[r] == kInt32;
        for (int64_t k = 0; k < n; k++) {
          sink.put(r, 0, row + k, reduceLanes(call.ints[r], isInt, x + k * axis, axis));
        }
      }
    }
    return;
  }
  TileRun t(tile, run.ptr, run.scratch, minOf(kTileLanes, axis), false);
  double* state = (double*)(run.scratch + tile.scratchBytes);
  for (int64_t unit = range.begin; unit < range.end; unit++) {
    const int64_t row = unit / chunks, chunk = unit % chunks;
    for (int32_t r = 0; r < call.nOutputs; r++) {
      state[r] = identityOf(call.ints[r], call.outputTypes[r] == kInt32);
    }
    const int64_t end = minOf(axis, (chunk + 1) * length);
    for (int64_t c = chunk * length; c < end; c += kTileLanes) {
      const int64_t n = minOf(kTileLanes, end - c);
      t.evaluate(row, 1, c, n, row * axis + c, n);
      for (int32_t r = 0; r < call.nOutputs; r++) {
        const bool isInt = call.outputTypes[r] == kInt32;
        const double x = reduceLanes(call.ints[r], isInt, t.slot[tile.results[r].slot], n);
        state[r] = combine(call.ints[r], isInt, state[r], x);
      }
    }
    for (int32_t r = 0; r < call.nOutputs; r++) sink.put(r, chunk, row, state[r]);
  }
}

// What batch normalisation's gradient sums: g·(x − mean), and g itself. Both read whole rows where they lie.
struct Centred {
  const float *x = nullptr, *mean = nullptr, *g = nullptr;
  bool alone;  // only the products
  bool is;     // whether the call is such a sum; else nothing else is set

  static bool matches(const Call& call) {
    const TilePlan& tile = *call.tile;
    if (tile.nOps != 1 || tile.nColumnOps > 0 || call.nOutputs > 2) return false;
    const TileOp& op = tile.ops[0];
    if (op.function != functionOfPair(kFirstSub, kSecondMul, 0)) return false;
    const auto reads = [&](int16_t slot, int32_t kind) {
      if (slot >= tile.nInputs) return false;
      const TileInput& in = tile.inputs[slot];
      return in.kind == kind && !in.copyIn && in.dtype == kFloat32;
    };
    if (!reads(op.a, kLinear) || !reads(op.b, kPeriodic) || !reads(op.c, kLinear)) return false;
    for (int32_t r = 0; r < call.nOutputs; r++) {
      const int32_t slot = tile.results[r].slot;
      if (call.ints[r] != kSum || slot != (r + 1 == call.nOutputs ? op.dst : op.c)) return false;
    }
    return true;
  }
  Centred(const Call& call, const Run& run) : alone(call.nOutputs == 1), is(matches(call)) {
    if (!is) return;
    const TilePlan& tile = *call.tile;
    const auto input = [&](int16_t slot) { return (const float*)run.ptr[tile.inputs[slot].tensor]; };
    x = input(tile.ops[0].a);
    mean = input(tile.ops[0].b);
    g = input(tile.ops[0].c);
  }
  // sums += Σ g, products += Σ g·(x − mean) over `rows` rows of n columns, from element `at` and column `column` on.
  void add(float* sums, float* products, int64_t at, int64_t column, int64_t stride, int64_t rows, int64_t n) const {
    int64_t r = 0;
    if (stride < kWideRow) {
      for (; r + 4 <= rows; r += 4) addRows<4, false>(sums, products, at + r * stride, column, stride, n);
    }
    for (; n == stride && r < rows; r++) addRows<1, true>(sums, products, at + r * stride, column, stride, n);
    for (; r < rows; r++) addRows<1, false>(sums, products, at + r * stride, column, stride, n);
  }
  template <int R, bool AHEAD>
  void addRows(float* sums, float* products, int64_t at, int64_t column, int64_t stride, int64_t n) const {
    const auto columns = [&](int64_t i, auto read) {
      const VF m = read(mean + column + i);
      VF sum, product;
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
        const int64_t from = at + r * stride + i;
        if (AHEAD) {
          askAhead(g + at + r * stride, i);
          askAhead(x + at + r * stride, i);
        }
        const VF v = read(g + from), p = (read(x + from) - m) * v;
        sum = r == 0 ? v : sum + v;
        product = r == 0 ? p : product + p;
      }
      if (!alone) store(sums + i, load(sums + i) + sum);
      store(products + i, load(products + i) + product);
    };
    int64_t i = 0;
    for (; i + W <= n; i += W) columns(i, [](const float* p) { return load(p); });
    const int64_t rest = n - i;  // the sums have room for a vector
    if (rest > 0) columns(i, [rest](const float* p) { return loadPartial(p, rest); });
  }
};

constexpr int64_t kPlainRows = 32;
// Whether all results are inputs as they lie in memory.
bool readsTensor(const TilePlan& tile) {
  for (int32_t r = 0; r < tile.nResults; r++) {
    const int32_t slot = tile.results[r].slot;
    if (slot >= tile.nInputs) return false;
    const TileInput& in = tile.inputs[slot];
    if (in.kind != kLinear || in.copyIn || in.dtype >= kUint8) return false;
  }
  return tile.nResults > 0;
}

void reduceColumns(const Call& call, const Run& run, const Sink& sink, int64_t part, int64_t parts) {
  const TilePlan& tile = *call.tile;
  const int64_t outer = tile.domain[0], axis = tile.domain[1], inner = tile.domain[2];
  const int64_t chunks = call.custom[kChunks], length = call.custom[kChunkLength];
  const int64_t perBlock = call.custom[kRowsPerBlock];
  // Split over (outer, chunk) pairs if there are enough, else over columns.
  Range units = {0, outer * chunks}, columns = {0, inner};
  if (outer * chunks >= parts) units = split(outer * chunks, 1, part, parts);
  else columns = split(inner, kColumnGrain, part, parts);
  if (units.begin >= units.end || columns.begin >= columns.end) return;
  const bool whole = columns.begin == 0 && columns.end == inner;
  // Columns of tensors themselves need no tile: many rows at once, so that they stream.
  const Centred centred(call, run);
  const bool plain = centred.is || readsTensor(tile);
  const int64_t rowsAtOnce = plain ? kPlainRows : whole ? perBlock : 1;
  const bool manyRows = !plain && rowsAtOnce > 1;
  const int64_t lanes = manyRows ? rowsAtOnce * inner
                                 : minOf(kTileLanes, columns.end - columns.begin);
  TileRun t(tile, run.ptr, run.scratch, lanes, manyRows);
  char* scratch = run.scratch + tile.scratchBytes;
  const auto columnsOf = [&](int32_t r) {
    float* f = (float*)(scratch + r * kPanel * 12);
    return Columns{call.ints[r], call.outputTypes[r] == kInt32, f, (double*)(f + kPanel)};
  };
  // Rows are walked whole, as memory is read fastest. Work that depends on the column only is done once per
  // block of columns, so with any the rows go inside.
  const int64_t panel = tile.nColumnOps > 0 ? kTileLanes : kPanel;
  const int64_t block = plain ? panel : kTileLanes;
  for (int64_t unit = units.begin; unit < units.end; unit++) {
    const int64_t o = unit / chunks, chunk = unit % chunks;
    const int64_t begin = chunk * length, end = minOf(axis, begin + length);
    for (int64_t first = columns.begin; first < columns.end; first += panel) {
      const int64_t n = minOf(panel, columns.end - first);
      for (int32_t r = 0; r < call.nOutputs; r++) columnsOf(r).begin(n);
      int64_t sinceFlush = 0;
      for (int64_t a = begin; a < end;) {
        // Never across a flush, which comes after every 256 rows of the chunk.
        const int64_t count = minOf(minOf(rowsAtOnce, end - a), 256 - sinceFlush);
        const int64_t row = o * axis + a;
        a += count;
        sinceFlush += count;
        const bool flush = sinceFlush == 256 || a == end;
        for (int64_t c = 0; c < n; c += block) {
          const int64_t width = minOf(block, n - c), at = row * inner + first + c;
          if (centred.is) {  // one block: all columns of the panel
            centred.add(columnsOf(0).lanes, columnsOf(call.nOutputs - 1).lanes, at, first, inner, count, n);
            continue;
          }
          // What comes next: the row's next columns, or the next row.
          if (!plain) t.evaluate(row, count, first + c, width, at, c + width < n ? width : count * inner - c);
          for (int32_t r = 0; r < call.nOutputs; r++) {
            Columns state = columnsOf(r);
            state.lanes += c;
            const int32_t slot = tile.results[r].slot;
            const float* x = plain ? (const float*)run.ptr[tile.inputs[slot].tensor] + at
                                   : (const float*)t.slot[slot];
            state.totals += c;
            state.add(x, plain ? inner : width, count, width);
          }
        }
        if (!flush) continue;
        for (int32_t r = 0; r < call.nOutputs; r++) columnsOf(r).flush(n);
        sinceFlush = 0;
      }
      for (int32_t r = 0; r < call.nOutputs; r++) {
        const Columns state = columnsOf(r);
        for (int64_t i = 0; i < n; i++) sink.put(r, chunk, o * inner + first + i, state.result(i));
      }
    }
  }
}

}  // namespace

void plan_reduce(Call& call) {
  const TilePlan& tile = *call.tile;
  const int64_t outer = tile.domain[0], axis = tile.domain[1], inner = tile.domain[2];
  const int64_t outputs = outer * inner, total = outputs * axis;
  const bool rows = inner == 1;
  // Rows beyond a panel are cut into columns for threads, shorter ones are left whole.
  const int64_t units = rows || inner <= kPanel ? outer : outer * ceilDiv(inner, kColumnGrain);
  // At least 8192 elements and 1024 terms in a chunk, at most 32 chunks, none where outputs suffice.
  int64_t chunks = 1;
  if (units < 16 && axis > 0) {
    chunks = maxOf(1, minOf(minOf(axis / 1024, total / 8192), 32));
  }
  const int64_t length = ceilDiv(ceilDiv(maxOf(axis, 1), chunks), kTileLanes) * kTileLanes;
  chunks = maxOf(1, ceilDiv(axis, length));
  const int64_t across = rows ? axis : inner;
  call.custom[kRowsPerBlock] =
      chunks == 1 && rows ? (across > 0 && across <= kTileLanes / 2 ? kTileLanes / across : 1)
      : rows              ? 1
                          : (across > 0 && across <= kTileLanes / 2 ? kTileLanes / across : 1);
  call.custom[kChunks] = chunks;
  call.custom[kChunkLength] = length;
  // An output on an input's bytes may only be written when all of the input has been read.
  const bool staged = chunks > 1 || tile.aliased;
  call.custom[kStaged] = staged;
  call.phases = staged ? 2 : 1;
  call.maxParts = rows ? outer * chunks : maxOf(outer * chunks, ceilDiv(inner, kColumnGrain));
  call.work = total * (2 + tile.nOps + tile.nInputs) / 10;
  call.scratchBytes = tile.scratchBytes + call.nOutputs * (rows ? 8 : kPanel * 12) + 64;
  call.sharedBytes = staged ? chunks * call.nOutputs * outputs * 8 : 0;
}

void run_reduce(const Call& call, const Run& run, int phase, int64_t part, int64_t parts) {
  const TilePlan& tile = *call.tile;
  const int64_t outputs = tile.domain[0] * tile.domain[2];
  const Sink sink = {call, run, outputs, call.custom[kChunks], call.custom[kStaged] != 0};
  if (phase == 0) {
    if (tile.domain[1] == 0) {  // an empty axis: nothing to read, not even uniform inputs
      for (int32_t r = 0; part == 0 && r < call.nOutputs; r++) {
        const double id = identityOf(call.ints[r], call.outputTypes[r] == kInt32);
        for (int64_t at = 0; at < outputs; at++) sink.put(r, 0, at, id);
      }
      return;
    }
    if (outputs == 0) return;
    if (tile.domain[2] == 1) reduceRows(call, run, sink, part, parts);
    else reduceColumns(call, run, sink, part, parts);
    return;
  }
  const Range range = split(outputs, 16, part, parts);
  for (int32_t r = 0; r < call.nOutputs; r++) {
    const bool isInt = call.outputTypes[r] == kInt32;
    for (int64_t at = range.begin; at < range.end; at++) {
      double state = identityOf(call.ints[r], isInt);
      for (int64_t chunk = 0; chunk < sink.chunks; chunk++) {
        const double x = ((const double*)run.shared)[(chunk * call.nOutputs + r) * outputs + at];
        state = combine(call.ints[r], isInt, state, x);
      }
      sink.finish(r, at, state);
    }
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
