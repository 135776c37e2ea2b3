// recurrentGradient: the steps of `recurrent` backwards. What flows from step k + 1 to step k through the
// weights is a product with their transpose, which opens the stage of step k. Gradients of the weights are
// no part of it: they are products over all steps.
#include "recurrent.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

// Results by their bit in `wanted`.
enum : int { kDPre, kDRecurrent, kDState, kDCell };

// Inputs of a value per unit and step.
enum : int { kSeen, kSavedInner, kSeenCells, kDOutputs, kNarrow };

struct Plan {
  int64_t width, blocks;
  bool products;  // a single step whose first state is given has none
  explicit Plan(const RecurrentShape& s)
      : width(panelWidth(s.batch, s.units)), blocks(ceilDiv(s.units, width)),
        products(s.time > 1 || (s.wanted >> kDState & 1) != 0 || s.cell == kGruCell) {}
};

struct Shared {
  Layout layout;
  int64_t order, panels, dGates[2], dc, carry;
  int64_t stride, gateStride;
  int64_t stagedStride;  // of what a row reads: gates, then each tensor of `Backward::narrow`
  Shared(const RecurrentShape& s, const Plan& plan) {
    stride = rowStride(s.units);
    gateStride = rowStride(s.width());
    stagedStride = rowStride(s.width() + kNarrow * s.units);
    order = layout.take(SequenceOrder::ints(s.batch, s.time) * 4);
    for (int64_t& at : dGates) at = layout.floats(s.batch * gateStride);
    dc = layout.floats(s.cell == kLstmCell ? s.batch * stride : 0);
    carry = layout.floats(s.cell >= kGruCell ? s.batch * stride : 0);
    panels = layout.floats(plan.products ? plan.blocks * plan.width * s.width() : 0);
  }
};

struct Backward {
  const Call& call;
  const Run& run;
  const RecurrentShape s;
  const Plan plan;
  const Shared at;
  const float *weights, *gates, *peepholes, *mask, *dH, *dC;
  const float* narrow[kNarrow];  // null: not of this cell, or 0
  const int32_t* lengths;
  int32_t lengthsInput;
  float *dPre, *dRecurrent, *dH0, *dC0;
  float *panels, *dGates[2], *dc, *carry;
  SequenceOrder order;

  Backward(const Call& theCall, const Run& theRun)
      : call(theCall), run(theRun), s(theCall), plan(s), at(s, plan),
        order(theRun.shared + at.order, s.batch, s.time) {
    const int32_t* const has = call.ints + 6;
    Operands operands = {call, run};
    weights = operands.input();
    gates = operands.input();
    narrow[kSeen] = operands.input(s.cell >= kGruCell);
    narrow[kSavedInner] = operands.input(s.cell >= kLstmCell);
    narrow[kSeenCells] = operands.input(s.cell == kLstmCell);
    peepholes = operands.input(has[0]);
    mask = operands.input(has[1]);
    lengthsInput = operands.inputs;
    lengths = (const int32_t*)operands.input(has[2]);
    narrow[kDOutputs] = operands.input(has[3]);
    dH = operands.input(has[4]);
    dC = operands.input(has[5]);
    const auto wanted = [&](int bit) { return operands.output((s.wanted >> bit & 1) != 0); };
    dPre = wanted(kDPre);
    dRecurrent = wanted(kDRecurrent);
    dH0 = wanted(kDState);
    dC0 = wanted(kDCell);
    panels = (float*)(run.shared + at.panels);
    for (int i = 0; i < 2; i++) dGates[i] = (float*)(run.shared + at.dGates[i]);
    dc = (float*)(run.shared + at.dc);
    carry = (float*)(run.shared + at.carry);
  }
};

// One row of one step and one block; pointers are at the block's first unit.
struct Row {
  int64_t gate;          // distance of gates
  bool later;            // there is a later step: its products are in `product`, its rest in `carry`
  const float *product, *gates, *previous, *inner, *previousCells, *peepholes, *mask;
  const float *dOutputs, *dH, *dC;  // null: 0
  float *dGates, *dc, *carry;
  float* dPre;  // null: not wanted

  // Gradient of h after this step.
  template <bool PART>
  LW_MEMBER VF state(int64_t j, int64_t n, bool carried) const {
    VF d = zero();
    if (later) {
      d = load(product + j);
      if (mask) d *= get<PART>(mask + j, n);
      if (carried) d += load(carry + j);
    } else if (dH) {
      d = get<PART>(dH + j, n);
    }
    return dOutputs ? d + get<PART>(dOutputs + j, n) : d;
  }
  template <bool PART>
  LW_MEMBER VF gateOf(int64_t g, int64_t j, int64_t n) const { return get<PART>(gates + g * gate + j, n); }
  // What flows into the product with the weights.
  template <bool PART>
  LW_MEMBER void give(int64_t g, int64_t j, VF d, int64_t n) const { put<PART>(dGates + g * gate + j, d, n); }
};

template <Cell CELL, bool PART>
LW_INLINE void simpleLanes(const Row& r, int64_t j, int64_t n) {
  const VF y = r.gateOf<PART>(0, j, n);
  VF d = r.state<PART>(j, n, false);
  if (CELL == kTanhCell) d *= fma(-y, y, set1(1.0f));
  if (CELL == kReluCell) d = y > 0.0f ? d : zero();
  if (CELL == kSigmoidCell) d *= y * (1.0f - y);
  r.give<PART>(0, j, d, n);
}

template <bool PART>
LW_INLINE void lstmLanes(const Row& r, int64_t j, int64_t n) {
  const VF i = r.gateOf<PART>(0, j, n), f = r.gateOf<PART>(1, j, n);
  const VF g = r.gateOf<PART>(2, j, n), o = r.gateOf<PART>(3, j, n);
  const VF t = get<PART>(r.inner + j, n), before = get<PART>(r.previousCells + j, n);
  const VF d = r.state<PART>(j, n, false);
  const VF dO = d * t * o * (1.0f - o);
  VF dCell = r.later ? load(r.dc + j) : r.dC ? get<PART>(r.dC + j, n) : zero();
  dCell = fma(d * o, fma(-t, t, set1(1.0f)), dCell);
  if (r.peepholes) dCell = fma(dO, get<PART>(r.peepholes + 2 * r.gate + j, n), dCell);
  const VF dI = dCell * g * i * (1.0f - i);
  const VF dF = dCell * before * f * (1.0f - f);
  VF next = dCell * f;
  if (r.peepholes) {
    next = fma(dI, get<PART>(r.peepholes + j, n), next);
    next = fma(dF, get<PART>(r.peepholes + r.gate + j, n), next);
  }
  store(r.dc + j, next);
  r.give<PART>(0, j, dI, n);
  r.give<PART>(1, j, dF, n);
  r.give<PART>(2, j, dCell * i * fma(-g, g, set1(1.0f)), n);
  r.give<PART>(3, j, dO, n);
}

template <bool PART>
LW_INLINE void gruAfterLanes(const Row& r, int64_t j, int64_t n) {
  const VF z = r.gateOf<PART>(0, j, n), reset = r.gateOf<PART>(1, j, n), g = r.gateOf<PART>(2, j, n);
  const VF before = get<PART>(r.previous + j, n);
  const VF d = r.state<PART>(j, n, true);
  const VF dZ = d * (before - g) * z * (1.0f - z);
  const VF dG = d * (1.0f - z) * fma(-g, g, set1(1.0f));
  const VF dReset = dG * get<PART>(r.inner + j, n) * reset * (1.0f - reset);
  store(r.carry + j, d * z);
  r.give<PART>(0, j, dZ, n);
  r.give<PART>(1, j, dReset, n);
  r.give<PART>(2, j, dG * reset, n);
  if (r.dPre) put<PART>(r.dPre + 2 * r.gate + j, dG, n);
}

template <bool PART>
LW_INLINE void gruStateLanes(const Row& r, int64_t j, int64_t n) {
  const VF z = r.gateOf<PART>(0, j, n), g = r.gateOf<PART>(2, j, n);
  const VF before = get<PART>(r.previous + j, n);
  const VF d = r.state<PART>(j, n, true);
  store(r.carry + j, d * z);
  r.give<PART>(0, j, d * (before - g) * z * (1.0f - z), n);
  r.give<PART>(2, j, d * (1.0f - z) * fma(-g, g, set1(1.0f)), n);
}
// `product` is here the gradient of r·h.
template <bool PART>
LW_INLINE void gruResetLanes(const Row& r, int64_t j, int64_t n) {
  const VF reset = r.gateOf<PART>(1, j, n);
  VF d = load(r.product + j);
  if (r.mask) d *= get<PART>(r.mask + j, n);
  store(r.carry + j, fma(d, reset, load(r.carry + j)));
  r.give<PART>(1, j, d * get<PART>(r.previous + j, n) * reset * (1.0f - reset), n);
}

void finishUnits(Cell cell, int64_t stage, const Row& r, int64_t units) {
  switch (cell) {
    case kTanhCell: return LW_OVER_UNITS_OF(kTanhCell, simpleLanes);
    case kReluCell: return LW_OVER_UNITS_OF(kReluCell, simpleLanes);
    case kSigmoidCell: return LW_OVER_UNITS_OF(kSigmoidCell, simpleLanes);
    case kLinearCell: return LW_OVER_UNITS_OF(kLinearCell, simpleLanes);
    case kLstmCell: return LW_OVER_UNITS(lstmLanes);
    case kGruAfterCell: return LW_OVER_UNITS(gruAfterLanes);
    case kGruCell: return stage == 0 ? LW_OVER_UNITS(gruStateLanes) : LW_OVER_UNITS(gruResetLanes);
  }
}

// Step k of a row, block of units from j0 on, whose inputs are staged; null pointers stay null.
Row rowOf(const Backward& f, int64_t row, int64_t k, int64_t j0, bool later, const float* products,
          const float* staged) {
  const RecurrentShape& s = f.s;
  const int64_t wide = s.place(f.order, row, k) * s.width() + j0;
  const int64_t state = f.order.sequence[row] * s.units + j0, own = row * f.at.stride + j0;
  const auto from = [](const float* p, int64_t offset) { return p ? p + offset : nullptr; };
  const auto narrow = [&](int which) {
    return f.narrow[which] ? staged + s.width() + which * s.units + j0 : nullptr;
  };
  return {s.units,
          later,
          products,
          staged + j0,
          narrow(kSeen),
          narrow(kSavedInner),
          narrow(kSeenCells),
          from(f.peepholes, j0),
          from(f.mask, state),
          narrow(kDOutputs),
          from(f.dH, state),
          from(f.dC, state),
          f.dGates[k & 1] + row * f.at.gateStride + j0,
          f.dc + own,
          f.carry + own,
          f.dPre ? f.dPre + wide : nullptr};
}

// Units [units) of `gates` gates of a row.
LW_INLINE void moveGates(float* to, const float* from, int64_t gates, int64_t all, Range units) {
  const int64_t n = units.end - units.begin;
  if (n == all) {
    copyRow(to, from, gates * all);
    return;
  }
  for (int64_t g = 0; g < gates; g++) {
    copyRow(to + g * all + units.begin, from + g * all + units.begin, n);
  }
}

// Asks for what a row reads and writes in step k.
LW_INLINE void ask(const Backward& f, int64_t row, int64_t k) {
  const RecurrentShape& s = f.s;
  const int64_t place = s.place(f.order, row, k);
  askFor(f.gates + place * s.width(), s.width());
  for (const float* p : f.narrow) {
    if (p) askFor(p + place * s.units, s.units);
  }
}

// Brings what a row reads in step k together.
LW_INLINE void bring(const Backward& f, int64_t row, int64_t k, float* to, Range units) {
  const RecurrentShape& s = f.s;
  const int64_t place = s.place(f.order, row, k);
  moveGates(to, f.gates + place * s.width(), s.gates(), s.units, units);
  for (int which = 0; which < kNarrow; which++) {
    if (!f.narrow[which]) continue;
    moveGates(to + s.width() + which * s.units, f.narrow[which] + place * s.units, 1, s.units, units);
  }
}

// c = the gradients of step k's gates [first, first + count)·Rᵀ, for rows [i0, i0 + n) of a share.
void multiplyGates(const Backward& f, const Share& share, int64_t block, int64_t i0, int64_t n, int64_t k,
                   int64_t first, int64_t count, float* c) {
  const int64_t width = f.plan.width, lda = share.step * f.at.gateStride;
  const float* const panel = f.panels + (block * f.s.width() + first * f.s.units) * width;
  const float* const a =
      f.dGates[k & 1] + (share.first + i0 * share.step) * f.at.gateStride + first * f.s.units;
  multiplyRows(a, lda, n, panel, width, true, count * f.s.units, width, c, width);
}

// One stage of step k for a share of rows and units. Rows of different sequences lie whole pages apart,
// where they would evict each other from every cache: what a group reads is brought together before it, and
// its gradients go back after it.
void runStage(const Backward& f, const Share& share, int64_t k, int64_t stage) {
  const RecurrentShape& s = f.s;
  const int64_t rows = share.rows(f.order.active(k)), later = share.rows(f.order.active(k + 1));
  const int64_t width = f.plan.width, stride = f.at.gateStride, stagedStride = f.at.stagedStride;
  const Range own = {share.blocks.begin * width, minOf(s.units, share.blocks.end * width)};
  if (own.begin >= own.end) return;
  float* const products = (float*)f.run.scratch;
  float* const staged = (float*)(f.run.scratch + f.call.custom[0]);
  for (int64_t i0 = 0; i0 < rows; i0 += kGroupRows) {
    const int64_t n = minOf(kGroupRows, rows - i0);
    const auto rowAt = [&](int64_t i) { return share.first + (i0 + i) * share.step; };
    for (int64_t i = 0; i < n; i++) {
      if (i + 1 < n) ask(f, rowAt(i + 1), k);
      bring(f, rowAt(i), k, staged + i * stagedStride, own);
    }
    for (int64_t block = share.blocks.begin; block < share.blocks.end; block++) {
      const int64_t j0 = block * width, units = minOf(width, s.units - j0);
      if (stage == 1) {
        multiplyGates(f, share, block, i0, n, k, 2, 1, products);
      } else {
        const int64_t through = maxOf((int64_t)0, minOf(n, later - i0));
        multiplyGates(f, share, block, i0, through, k + 1, 0, s.cell == kGruCell ? 2 : s.gates(), products);
      }
      for (int64_t i = 0; i < n; i++) {
        const bool through = i0 + i < later;
        const Row r = rowOf(f, rowAt(i), k, j0, through, products + i * width, staged + i * stagedStride);
        finishUnits(s.cell, stage, r, units);
      }
    }
    if (stage != s.stages() - 1) continue;
    for (int64_t i = 0; i < n; i++) {
      const int64_t to = s.place(f.order, rowAt(i), k) * s.width();
      const float* const from = f.dGates[k & 1] + rowAt(i) * stride;
      if (i + 1 < n) {
        const int64_t next = s.place(f.order, rowAt(i + 1), k) * s.width();
        if (f.dPre) askToWrite(f.dPre + next, s.width());
        if (f.dRecurrent) askToWrite(f.dRecurrent + next, s.width());
      }
      // With reset after, what the candidate adds to x·W stands there already.
      const int64_t same = s.cell == kGruAfterCell ? 2 : s.gates();
      if (f.dPre) moveGates(f.dPre + to, from, same, s.units, own);
      if (f.dRecurrent) moveGates(f.dRecurrent + to, from, s.gates(), s.units, own);
    }
  }
}

// Gradients of the first states.
void finish(const Backward& f, const Share& share) {
  const RecurrentShape& s = f.s;
  if (!f.dH0 && !f.dC0) return;
  const int64_t rows = share.rows(s.batch), later = share.rows(f.order.active(0)), width = f.plan.width;
  float* const products = (float*)f.run.scratch;
  for (int64_t block = share.blocks.begin; block < share.blocks.end; block++) {
    const int64_t j0 = block * width, units = minOf(width, s.units - j0);
    for (int64_t i0 = 0; i0 < rows; i0 += kGroupRows) {
      const int64_t n = minOf(kGroupRows, rows - i0), through = maxOf((int64_t)0, minOf(n, later - i0));
      if (f.dH0) {
        multiplyGates(f, share, block, i0, through, 0, 0, s.cell == kGruCell ? 2 : s.gates(), products);
      }
      for (int64_t i = 0; i < n; i++) {
        const int64_t row = share.first + (i0 + i) * share.step;
        const int64_t at = f.order.sequence[row] * s.units + j0, own = row * f.at.stride + j0;
        if (i >= through) {
          if (f.dH0) copyOrClear(f.dH0 + at, f.dH ? f.dH + at : nullptr, units);
          if (f.dC0) copyOrClear(f.dC0 + at, f.dC ? f.dC + at : nullptr, units);
          continue;
        }
        for (int64_t j = 0; j < units && f.dH0; j++) {
          float d = products[i * width + j];
          if (f.mask) d *= f.mask[at + j];
          f.dH0[at + j] = s.cell >= kGruCell ? d + f.carry[own + j] : d;
        }
        if (f.dC0) copyOrClear(f.dC0 + at, f.dc + own, units);
      }
    }
  }
}

// Packs a part of the transposed weights, and leaves zeros where there are no steps.
void prepare(Backward& f, int64_t part, int64_t parts) {
  const RecurrentShape& s = f.s;
  if (part > 0) f.order = SequenceOrder(f.run.scratch, s.batch, s.time);
  if (f.lengths && part == 0) checkLengths(f.call, f.run, f.lengthsInput, s.batch, s.time);
  f.order.sort(f.lengths, s.batch);
  if (f.plan.products) {
    const int64_t width = f.plan.width;
    const Range own = split(f.plan.blocks, 1, part, parts);
    for (int64_t block = own.begin; block < own.end; block++) {
      packPanel(f.weights + block * width * s.width(), s.width(), true, s.width(),
                minOf(width, s.units - block * width), width, f.panels + block * s.width() * width);
    }
  }
  for (int64_t b = part; b < s.batch; b += parts) {
    const int64_t length = lengthOf(f.lengths, b, s.time);
    clearPadding(f.dPre, b, length, s.time, s.width());
    clearPadding(f.dRecurrent, b, length, s.time, s.width());
  }
}

}  // namespace

// custom[0]: byte offset in scratch of the staged rows.
void plan_recurrentGradient(Call& call) {
  const RecurrentShape s(call);
  const Plan plan(s);
  const Shared shared(s, plan);
  call.phases = (int32_t)(2 + s.time * s.stages());
  call.sharedBytes = shared.layout.bytes;
  Layout scratch;
  const int64_t rows = minOf(kGroupRows, s.batch);
  scratch.floats(rows * plan.width);
  call.custom[0] = scratch.floats(rows * shared.stagedStride);
  call.scratchBytes = maxOf(scratch.bytes, SequenceOrder::ints(s.batch, s.time) * 4);
  const int64_t stepWork = s.batch * s.width() * (s.units / (5 * W) + 2);
  call.work = s.time * stepWork + s.units * s.width() / 2;
  call.maxParts = partsOf(s, plan.blocks, stepWork);
}

void run_recurrentGradient(const Call& call, const Run& run, int phase, int64_t part, int64_t parts) {
  Backward f(call, run);
  if (phase == 0) {
    prepare(f, part, parts);
    return;
  }
  const Share share(f.s.batch, f.plan.blocks, part, parts);
  const int64_t stages = f.s.stages(), steps = f.s.time * stages;
  if (!share.alone) {
    const int64_t at = phase - 1;
    if (at < steps) runStage(f, share, f.s.time - 1 - at / stages, at % stages);
    else finish(f, share);
    return;
  }
  if (phase > 1) return;
  for (int64_t k = f.s.time - 1; k >= 0; k--) {
    for (int64_t stage = 0; stage < stages; stage++) runStage(f, share, k, stage);
  }
  finish(f, share);
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
