// recurrent: all steps of a simple recurrent, LSTM or GRU layer. Phase 0 packs the weights and starts the
// states; each stage of a step is a phase of its own, unless threads share the rows: then phase 1 is all.
#include "recurrent.h"
#include "../simd/math.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

// Results by their bit in `wanted`.
enum : int { kOutputs, kState, kGates, kPrevious, kInner, kCell, kPreviousCells };

// What the plan decides, from the shape alone.
struct Plan {
  int64_t batch;
  bool packed;
  int64_t width, blocks;  // units of a block, and how many blocks
  explicit Plan(const RecurrentShape& s) : batch(s.batch) {
    // Packing pays from a few uses of the weights on; a single step is as a matrix product.
    packed = s.time > 1 ? s.batch * s.time >= 8 : s.batch >= 3 * kRows;
    width = row() ? kRowUnits : panelWidth(s.batch, s.units);
    blocks = ceilDiv(s.units, width);
  }
  // A single row reads the weights as they are stored, all of its blocks at once.
  bool row() const { return !packed && batch == 1; }
};

// Byte offsets in shared memory.
struct Shared {
  Layout layout;
  int64_t order, panels, bias, recurrentBias, h[2], c, z, reset;
  int64_t stride;  // of the rows of states
  Shared(const RecurrentShape& s, const Plan& plan) {
    stride = rowStride(s.units);
    const int64_t rows = s.batch * stride;
    const bool gru = s.cell == kGruCell;
    order = layout.take(SequenceOrder::ints(s.batch, s.time) * 4);
    bias = layout.floats(s.gates() * stride);
    recurrentBias = layout.floats(s.gates() * stride);
    for (int64_t& at : h) at = layout.floats(rows);
    c = layout.floats(s.cell >= kLstmCell ? rows : 0);
    z = layout.floats(gru ? rows : 0);
    reset = layout.floats(gru ? rows : 0);
    panels = layout.floats(plan.packed ? plan.blocks * s.gates() * s.units * plan.width : 0);
  }
};

struct Forward {
  const Call& call;
  const Run& run;
  const RecurrentShape s;
  const Plan plan;
  const Shared at;
  const float *pre, *weights, *bias, *recurrentBias, *h0, *c0, *peepholes, *mask;
  const int32_t* lengths;
  int32_t lengthsInput;
  float *outputs, *hLast, *gates, *previous, *inner, *cLast, *previousCells;
  float *panels, *paddedBias, *paddedRecurrentBias, *h[2], *c, *z, *reset;  // c: of a GRU, h without the mask
  SequenceOrder order;

  template <class T>
  T* shared(int64_t offset) const { return (T*)(run.shared + offset); }

  Forward(const Call& theCall, const Run& theRun)
      : call(theCall), run(theRun), s(theCall), plan(s), at(s, plan),
        order(theRun.shared + at.order, s.batch, s.time) {
    const int32_t* const has = call.ints + 6;
    Operands operands = {call, run};
    pre = operands.input();
    weights = operands.input();
    bias = operands.input(has[0]);
    recurrentBias = operands.input(has[1]);
    h0 = operands.input(has[2]);
    c0 = operands.input(has[2] && s.cell == kLstmCell);
    peepholes = operands.input(has[3]);
    mask = operands.input(has[4]);
    lengthsInput = operands.inputs;
    lengths = (const int32_t*)operands.input(has[5]);
    const auto wanted = [&](int bit) { return operands.output((s.wanted >> bit & 1) != 0); };
    outputs = wanted(kOutputs);
    hLast = wanted(kState);
    gates = wanted(kGates);
    previous = wanted(kPrevious);
    inner = wanted(kInner);
    cLast = wanted(kCell);
    previousCells = wanted(kPreviousCells);
    panels = shared<float>(at.panels);
    paddedBias = shared<float>(at.bias);
    paddedRecurrentBias = shared<float>(at.recurrentBias);
    for (int i = 0; i < 2; i++) h[i] = shared<float>(at.h[i]);
    c = shared<float>(at.c);
    z = shared<float>(at.z);
    reset = shared<float>(at.reset);
  }
  // Whether a GRU's h is kept without the mask, too: products see it masked, z·h(t − 1) does not.
  bool keepsState() const { return mask && s.cell >= kGruCell; }
};

// Where one row of one step and one block stands; pointers are at the block's first unit.
struct Row {
  int64_t gate, product;  // distance of gates in `gates`, and in `z`
  int64_t pad;            // in the biases
  const float *z, *bias, *recurrentBias, *seen, *mask, *peepholes;
  float* gates;  // x·W before, activated gates after
  float *next, *c, *kept, *update, *reset;  // kept: h without the mask, null where `seen` is
  float *outputs, *inner;  // null: not wanted
  float *hLast, *cLast;    // null: not this row's last step

  LW_MEMBER void save(float* p, int64_t j, VF v, int64_t n) const {
    if (!p) return;
    if (n >= W) store(p + j, v);
    else storePartial(p + j, v, n);
  }
  template <bool PART>
  LW_MEMBER VF gateOf(int64_t g, int64_t j, int64_t n) const { return get<PART>(gates + g * gate + j, n); }
  template <bool PART>
  LW_MEMBER void keep(int64_t g, int64_t j, VF v, int64_t n) const { put<PART>(gates + g * gate + j, v, n); }
  template <bool PART>
  LW_MEMBER VF input(int64_t g, int64_t j, int64_t n) const {
    return gateOf<PART>(g, j, n) + load(bias + g * pad + j);
  }
  LW_MEMBER VF recurrent(int64_t g, int64_t j) const { return load(z + g * product + j); }
  // h(t − 1) of a GRU, as z lets it through.
  LW_MEMBER VF before(int64_t j) const { return load((kept ? kept : seen) + j); }
  template <bool PART>
  LW_MEMBER void finish(int64_t j, VF h, int64_t n) const {
    store(next + j, mask ? h * get<PART>(mask + j, n) : h);
    if (kept) store(kept + j, h);
    save(outputs, j, h, n);
    save(hLast, j, h, n);
  }
};

template <Cell CELL, bool PART>
LW_INLINE void simpleLanes(const Row& r, int64_t j, int64_t n) {
  const VF x = r.input<PART>(0, j, n) + r.recurrent(0, j);
  VF h = x;
  if (CELL == kTanhCell) h = tanh(x);
  if (CELL == kReluCell) h = x > 0.0f ? x : (x != x ? x : zero());
  if (CELL == kSigmoidCell) h = sigmoid(x);
  r.keep<PART>(0, j, h, n);
  r.finish<PART>(j, h, n);
}

template <bool PART>
LW_INLINE void lstmGateLanes(const Row& r, int64_t j, int64_t n) {
  VF i = r.input<PART>(0, j, n) + r.recurrent(0, j);
  VF f = r.input<PART>(1, j, n) + r.recurrent(1, j);
  const VF g = r.input<PART>(2, j, n) + r.recurrent(2, j);
  const VF o = r.input<PART>(3, j, n) + r.recurrent(3, j);
  if (r.peepholes) {
    const VF before = load(r.c + j);
    i = fma(get<PART>(r.peepholes + j, n), before, i);
    f = fma(get<PART>(r.peepholes + r.gate + j, n), before, f);
  }
  r.keep<PART>(0, j, sigmoid(i), n);
  r.keep<PART>(1, j, sigmoid(f), n);
  r.keep<PART>(2, j, tanh(g), n);
  // With peepholes it waits for the cell.
  r.keep<PART>(3, j, r.peepholes ? o : sigmoid(o), n);
}
template <bool PART>
LW_INLINE void lstmStateLanes(const Row& r, int64_t j, int64_t n) {
  VF o = r.gateOf<PART>(3, j, n);
  const VF c =
      fma(r.gateOf<PART>(1, j, n), load(r.c + j), r.gateOf<PART>(0, j, n) * r.gateOf<PART>(2, j, n));
  if (r.peepholes) {
    o = sigmoid(fma(get<PART>(r.peepholes + 2 * r.gate + j, n), c, o));
    r.keep<PART>(3, j, o, n);
  }
  const VF t = tanh(c);
  store(r.c + j, c);
  r.save(r.inner, j, t, n);
  r.save(r.cLast, j, c, n);
  r.finish<PART>(j, o * t, n);
}

template <bool PART>
LW_INLINE void gruAfterGateLanes(const Row& r, int64_t j, int64_t n) {
  const VF z = r.input<PART>(0, j, n) + (r.recurrent(0, j) + load(r.recurrentBias + j));
  const VF reset = r.input<PART>(1, j, n) + (r.recurrent(1, j) + load(r.recurrentBias + r.pad + j));
  r.keep<PART>(0, j, sigmoid(z), n);
  r.keep<PART>(1, j, sigmoid(reset), n);
}
template <bool PART>
LW_INLINE void gruAfterStateLanes(const Row& r, int64_t j, int64_t n) {
  const VF before = r.before(j), z = r.gateOf<PART>(0, j, n);
  const VF inner = r.recurrent(2, j) + load(r.recurrentBias + 2 * r.pad + j);
  const VF g = tanh(fma(r.gateOf<PART>(1, j, n), inner, r.input<PART>(2, j, n)));
  r.keep<PART>(2, j, g, n);
  r.save(r.inner, j, inner, n);
  r.finish<PART>(j, fma(z, before - g, g), n);
}

template <bool PART>
LW_INLINE void gruGateLanes(const Row& r, int64_t j, int64_t n) {
  const VF z = sigmoid(r.input<PART>(0, j, n) + r.recurrent(0, j));
  const VF reset = sigmoid(r.input<PART>(1, j, n) + r.recurrent(1, j));
  const VF inner = reset * load(r.seen + j);
  store(r.update + j, z);
  store(r.reset + j, inner);
  r.keep<PART>(0, j, z, n);
  r.keep<PART>(1, j, reset, n);
  r.save(r.inner, j, inner, n);
}
template <bool PART>
LW_INLINE void gruStateLanes(const Row& r, int64_t j, int64_t n) {
  const VF before = r.before(j), z = load(r.update + j);
  const VF g = tanh(r.input<PART>(2, j, n) + r.recurrent(0, j));
  r.keep<PART>(2, j, g, n);
  r.finish<PART>(j, fma(z, before - g, g), n);
}

// What follows the products of some rows in a block of units. Gates of all rows come before their states: a state's
// chain of latencies is as long as the instructions that a core looks ahead, and would stand alone there.
void finishRows(Cell cell, int64_t stage, const Row* rows, int64_t count, int64_t units) {
  const auto each = [&](auto lanes) __attribute__((always_inline)) {
    for (int64_t i = 0; i < count; i++) lanes(rows[i]);
  };
#define LW_EACH(loop) each([&](const Row& r) __attribute__((always_inline)) { loop; })
  switch (cell) {
    case kTanhCell: return LW_EACH(LW_OVER_UNITS_OF(kTanhCell, simpleLanes));
    case kReluCell: return LW_EACH(LW_OVER_UNITS_OF(kReluCell, simpleLanes));
    case kSigmoidCell: return LW_EACH(LW_OVER_UNITS_OF(kSigmoidCell, simpleLanes));
    case kLinearCell: return LW_EACH(LW_OVER_UNITS_OF(kLinearCell, simpleLanes));
    case kLstmCell:
      LW_EACH(LW_OVER_UNITS(lstmGateLanes));
      return LW_EACH(LW_OVER_UNITS(lstmStateLanes));
    case kGruAfterCell:
      LW_EACH(LW_OVER_UNITS(gruAfterGateLanes));
      return LW_EACH(LW_OVER_UNITS(gruAfterStateLanes));
    case kGruCell:
      return stage == 0 ? LW_EACH(LW_OVER_UNITS(gruGateLanes)) : LW_EACH(LW_OVER_UNITS(gruStateLanes));
  }
#undef LW_EACH
}

// Step k of a row, block of units from j0 on; null pointers stay null.
Row rowOf(const Forward& f, int64_t row, int64_t k, int64_t j0, const float* products, int64_t ldc,
          float* staged) {
  const RecurrentShape& s = f.s;
  const int64_t place = s.place(f.order, row, k), sequence = f.order.sequence[row], stride = f.at.stride;
  const bool last = f.order.length[row] == k + 1;
  const auto step = [&](float* p) { return p ? p + place * s.units + j0 : nullptr; };
  const auto state = [&](float* p) { return p && last ? p + sequence * s.units + j0 : nullptr; };
  const auto own = [&](float* p) { return p + row * stride + j0; };
  Row r;
  r.gate = s.units;
  r.product = ldc;
  r.pad = stride;
  r.z = products;
  r.gates = staged + j0;
  r.bias = f.paddedBias + j0;
  r.recurrentBias = f.paddedRecurrentBias + j0;
  r.seen = own(f.h[k & 1]);
  r.mask = f.mask ? f.mask + sequence * s.units + j0 : nullptr;
  r.peepholes = f.peepholes ? f.peepholes + j0 : nullptr;
  r.next = own(f.h[(k + 1) & 1]);
  r.c = own(f.c);
  r.kept = f.keepsState() ? r.c : nullptr;
  r.update = own(f.z);
  r.reset = own(f.reset);
  r.outputs = f.mask ? step(f.outputs) : nullptr;
  r.inner = step(f.inner);
  r.hLast = state(f.hLast);
  r.cLast = state(f.cLast);
  return r;
}

// Rows of different sequences lie whole pages apart, where they would evict each other from every cache: a
// group's are brought together before a stage, and what became of them goes back after it. Units [units) of
// gates [first, first + gates) are a share's own.
struct Staging {
  const Forward& f;
  float* rows;
  int64_t stride;
  Range units;
  int64_t first, gates;

  LW_MEMBER void move(float* to, const float* from) const {
    const int64_t n = units.end - units.begin, all = f.s.units;
    if (n == all) {
      copyRow(to + first * all, from + first * all, gates * all);
      return;
    }
    for (int64_t g = first; g < first + gates; g++) {
      copyRow(to + g * all + units.begin, from + g * all + units.begin, n);
    }
  }
  // A row of [batch, time, units] from one of the states.
  LW_MEMBER void keep(float* to, int64_t place, const float* states, int64_t row) const {
    if (!to) return;
    copyRow(to + place * f.s.units + units.begin, states + row * f.at.stride + units.begin,
            units.end - units.begin);
  }
  void ask(int64_t row, int64_t k, bool start) const {
    const int64_t place = f.s.place(f.order, row, k);
    askFor(f.pre + place * f.s.width(), f.s.width());
    if (!start) return;
    if (f.previous) askToWrite(f.previous + place * f.s.units, f.s.units);
    if (f.previousCells) askToWrite(f.previousCells + place * f.s.units, f.s.units);
  }
  void askToPut(int64_t row, int64_t k) const {
    const int64_t place = f.s.place(f.order, row, k);
    if (f.gates) askToWrite(f.gates + place * f.s.width(), f.s.width());
    if (f.outputs) askToWrite(f.outputs + place * f.s.units, f.s.units);
  }
  void bring(int64_t i, int64_t row, int64_t k, bool start) const {
    const int64_t place = f.s.place(f.order, row, k);
    move(rows + i * stride, f.pre + place * f.s.width());
    if (!start) return;
    keep(f.previous, place, f.keepsState() ? f.c : f.h[k & 1], row);
    if (f.s.cell == kLstmCell) keep(f.previousCells, place, f.c, row);
  }
  void put(int64_t i, int64_t row, int64_t k, bool end) const {
    const int64_t place = f.s.place(f.order, row, k);
    if (f.gates) move(f.gates + place * f.s.width(), rows + i * stride);
    if (end && !f.mask) keep(f.outputs, place, f.h[(k + 1) & 1], row);
  }
};

// One row times its share of weights that are not packed. Where the share is all of them, rows of the matrix are read
// from end to end: gate by gate, every page would be opened several times.
void multiplyWeights(const Forward& f, const float* h, Range own, int64_t firstGate, int64_t gates, float* to) {
  const int64_t all = f.s.units, n = own.end - own.begin;
  const float* const from = f.weights + firstGate * all + own.begin;
  if (n == all) {
    multiplyRow(all, h, 1, from, f.s.width(), to, gates * all);
    return;
  }
  for (int64_t g = 0; g < gates; g++) multiplyRow(all, h, 1, from + g * all, f.s.width(), to + g * n, n);
}

// One stage of step k for a share of rows and units.
void runStage(const Forward& f, const Share& share, int64_t k, int64_t stage) {
  const RecurrentShape& s = f.s;
  const int64_t rows = share.rows(f.order.active(k)), width = f.plan.width, lda = share.step * f.at.stride;
  const Range own = {share.blocks.begin * width, minOf(s.units, share.blocks.end * width)};
  if (rows == 0 || own.begin >= own.end) return;
  const int64_t firstGate = stage == 1 ? 2 : 0;
  const int64_t gates = s.cell == kGruCell ? (stage == 0 ? 2 : 1) : s.gates();
  const float* const a = (stage == 1 ? f.reset : f.h[k & 1]) + share.first * f.at.stride;
  float* const products = (float*)f.run.scratch;
  const int64_t stride = rowStride(s.width());
  const Staging staging = {f, (float*)(f.run.scratch + f.call.custom[0]), stride, own, firstGate, gates};
  for (int64_t i0 = 0; i0 < rows; i0 += kGroupRows) {
    const int64_t n = minOf(kGroupRows, rows - i0);
    const auto rowAt = [&](int64_t i) { return share.first + (i0 + i) * share.step; };
    for (int64_t i = 0; i < n; i++) {
      if (i + 1 < n) staging.ask(rowAt(i + 1), k, stage == 0);
      staging.bring(i, rowAt(i), k, stage == 0);
    }
    if (f.plan.row()) {
      multiplyWeights(f, a, own, firstGate, gates, products);
      const Row r = rowOf(f, 0, k, own.begin, products, own.end - own.begin, staging.rows);
      finishRows(s.cell, stage, &r, 1, own.end - own.begin);
      staging.put(0, 0, k, stage == s.stages() - 1);
      continue;
    }
    for (int64_t block = share.blocks.begin; block < share.blocks.end; block++) {
      const int64_t j0 = block * width, units = minOf(width, s.units - j0);
      for (int64_t g = 0; g < gates; g++) {
        float* const to = products + g * width;
        if (f.plan.packed) {
          const float* const panel =
              f.panels + (block * s.gates() + firstGate + g) * s.units * width;
          multiplyRows(a + i0 * lda, lda, n, panel, width, true, s.units, width, to, gates * width);
        } else {
          const float* const from = f.weights + (firstGate + g) * s.units + j0;
          multiplyRows(a + i0 * lda, lda, n, from, s.width(), false, s.units, units, to, gates * width);
        }
      }
      Row rowsOf[kGroupRows];
      for (int64_t i = 0; i < n; i++) {
        rowsOf[i] =
            rowOf(f, rowAt(i), k, j0, products + i * gates * width, width, staging.rows + i * stride);
      }
      finishRows(s.cell, stage, rowsOf, n, units);
    }
    for (int64_t i = 0; i < n; i++) {
      if (i + 1 < n) staging.askToPut(rowAt(i + 1), k);
      staging.put(i, rowAt(i), k, stage == s.stages() - 1);
    }
  }
}

// Packs a part of the weights, starts a part of the rows, and leaves zeros where there are no steps.
void prepare(Forward& f, int64_t part, int64_t parts) {
  const RecurrentShape& s = f.s;
  const int64_t units = s.units, stride = f.at.stride, gates = s.gates();
  // Everybody needs the order now: only the first part's stays.
  if (part > 0) f.order = SequenceOrder(f.run.scratch, s.batch, s.time);
  if (f.lengths && part == 0) checkLengths(f.call, f.run, f.lengthsInput, s.batch, s.time);
  f.order.sort(f.lengths, s.batch);
  if (part == 0) {
    for (int64_t g = 0; g < gates; g++) {
      copyOrClear(f.paddedBias + g * stride, f.bias ? f.bias + g * units : nullptr, units);
      copyOrClear(f.paddedRecurrentBias + g * stride,
                  f.recurrentBias ? f.recurrentBias + g * units : nullptr, units);
    }
  }
  if (f.plan.packed) {
    const Range own = split(f.plan.blocks * gates, 1, part, parts);
    for (int64_t i = own.begin; i < own.end; i++) {
      const int64_t j0 = i / gates * f.plan.width;
      packPanel(f.weights + i % gates * units + j0, s.width(), false, units,
                minOf(f.plan.width, units - j0), f.plan.width, f.panels + i * units * f.plan.width);
    }
  }
  for (int64_t row = part; row < s.batch; row += parts) {
    const int64_t b = f.order.sequence[row], length = f.order.length[row];
    const float* const h = f.h0 ? f.h0 + b * units : nullptr;
    const float* const c = f.c0 ? f.c0 + b * units : nullptr;
    float* const start = f.h[0] + row * stride;
    copyOrClear(start, h, units);
    if (f.mask && h) {
      for (int64_t u = 0; u < units; u++) start[u] = h[u] * f.mask[b * units + u];
    }
    if (s.cell == kLstmCell) copyOrClear(f.c + row * stride, c, units);
    if (f.keepsState()) copyOrClear(f.c + row * stride, h, units);
    if (length == 0) {
      if (f.hLast) copyOrClear(f.hLast + b * units, h, units);
      if (f.cLast) copyOrClear(f.cLast + b * units, c, units);
    }
    float* const steps[] = {f.outputs, f.previous, f.inner, f.previousCells};
    for (float* p : steps) clearPadding(p, b, length, s.time, units);
    clearPadding(f.gates, b, length, s.time, s.width());
  }
}

}  // namespace

// custom[0]: byte offset in scratch of the staged rows.
void plan_recurrent(Call& call) {
  const RecurrentShape s(call);
  const Plan plan(s);
  const Shared shared(s, plan);
  call.phases = (int32_t)(1 + s.time * s.stages());
  call.sharedBytes = shared.layout.bytes;
  Layout scratch;
  const int64_t rows = minOf(kGroupRows, s.batch);
  scratch.floats(rows * s.gates() * (plan.row() ? ceilDiv(s.units, W) * W : plan.width));
  call.custom[0] = scratch.floats(rows * rowStride(s.width()));
  call.scratchBytes = maxOf(scratch.bytes, SequenceOrder::ints(s.batch, s.time) * 4);
  const int64_t stepWork = s.batch * s.width() * (s.units / (5 * W) + 2);
  call.work = s.time * stepWork + (plan.packed ? s.units * s.width() / 4 : 0);
  call.maxParts = partsOf(s, plan.blocks, stepWork);
}

void run_recurrent(const Call& call, const Run& run, int phase, int64_t part, int64_t parts) {
  Forward f(call, run);
  if (phase == 0) {
    prepare(f, part, parts);
    return;
  }
  const Share share(f.s.batch, f.plan.blocks, part, parts);
  const int64_t stages = f.s.stages();
  if (!share.alone) {
    runStage(f, share, (phase - 1) / stages, (phase - 1) % stages);
    return;
  }
  if (phase > 1) return;
  for (int64_t k = 0; k < f.s.time; k++) {
    for (int64_t stage = 0; stage < stages; stage++) runStage(f, share, k, stage);
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
