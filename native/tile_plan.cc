// Turns an encoded tile program into a TilePlan: checks it, gives every value a slot, takes uniform
// work out of the loop, and finds which values can be written straight to their output.
#include <string.h>

#include <string>

#include "program.h"
#include "tile_values.h"

namespace layerwise {
namespace {

struct InstructionRow {
  const char* name;
  const char* lanes;  // result, '_', arguments: see elementwise.def
};
constexpr InstructionRow kRows[] = {
#define INSTRUCTION(name, lanes, expression) {#name, #lanes},
#include "elementwise.def"
#undef INSTRUCTION
};
static_assert(sizeof kRows / sizeof *kRows == kInstructionCount, "one row per instruction");

constexpr int kMaxRank = 8, kMaxRegisters = 64, kMaxInstructions = 512, kMaxResults = 64;

enum Lane : char { kNone = 0, kFloat = 'f', kInt = 'i' };
Lane laneOf(DType dtype) { return dtype == kFloat32 ? kFloat : kInt; }
const char* laneName(Lane lane) { return lane == kFloat ? "float" : "integer"; }

bool hasVariants(int op) {
  const char* lanes = kRows[op].lanes;
  return strcmp(lanes, "F_FF") == 0 || strcmp(lanes, "B_FF") == 0 || strcmp(lanes, "X_IXX") == 0;
}

// One or two instructions of the CPU, or a byte of Philox, which costs no more than a pass over memory; the others
// are polynomials, calls or whole words of random bits.
bool isSimple(int op) {
  switch (op) {
    case i_neg: case i_abs: case i_square: case i_sqrt: case i_relu: case i_add: case i_sub: case i_mul:
    case i_div: case i_minimum: case i_maximum: case i_equal: case i_notEqual: case i_less:
    case i_lessEqual: case i_select: case i_notBool: case i_toFloat: case i_philoxBelow:
      return true;
    default:
      return false;
  }
}

std::string text(int64_t n) { return std::to_string(n); }

uint32_t wrapWord(double x) {
  // As JavaScript's ToUint32 for the values an encoder writes: integers from −2³¹ to 2³² − 1.
  return (uint32_t)(int64_t)x;
}

}  // namespace

const char* instructionName(int32_t instruction) { return kRows[instruction].name; }

std::string TilePlanner::build() {
  const int rank = (int)tile.dims.size();
  const int nInputs = (int)inputs.size();
  if (rank > kMaxRank) return "tile rank " + text(rank) + " is above " + text(kMaxRank);
  if ((int)tile.strides.size() != nInputs) {
    return "tile has " + text((int64_t)tile.strides.size()) + " stride rows for " + text(nInputs) +
           " inputs";
  }
  if (tile.registers < nInputs || tile.registers > kMaxRegisters) {
    return "tile has " + text(tile.registers) + " registers, allowed are " + text(nInputs) + " to " +
           text(kMaxRegisters);
  }
  if (tile.instructions.size() > (size_t)kMaxInstructions) {
    return "tile has " + text((int64_t)tile.instructions.size()) + " instructions, at most " +
           text(kMaxInstructions);
  }
  if (tile.results.size() != outputs.size()) {
    return "tile has " + text((int64_t)tile.results.size()) + " results for " +
           text((int64_t)outputs.size()) + " outputs";
  }
  if (outputs.size() > (size_t)kMaxResults) return "tile has more than 64 results";

  // The domain, and every input inside its tensor.
  bool empty = false;
  int64_t total = 1;
  for (int64_t dim : tile.dims) {
    if (dim < 0) return "tile dimension " + text(dim) + " is negative";
    if (dim == 0) empty = true;
  }
  if (empty) total = 0;
  for (int64_t dim : tile.dims) {
    if (empty) break;
    total *= dim;
    if (total > INT32_MAX) return "tile domain has 2^31 elements or more";
  }
  const int firstInput = hasEpilogue(kernel) ? 1 : 0;
  for (int i = firstInput; i < nInputs; i++) {
    int64_t extent = empty ? 0 : 1;
    for (int d = 0; d < rank; d++) {
      const int64_t stride = tile.strides[i][d];
      if (stride < 0) return "stride " + text(stride) + " of tile input " + text(i) + " is negative";
      if (!empty) extent += (tile.dims[d] - 1) * stride;  // < 2³¹·2³¹ each, at most 8 of them
      if (extent > (int64_t{1} << 40)) break;
    }
    if (extent > tensors[inputs[i]].size) {
      return "tile input " + text(i) + " reaches " + text(extent) + " elements into tensor " +
             text(inputs[i]) + ", which has " + text(tensors[inputs[i]].size);
    }
  }

  // Drop dimensions of 1 and, where the kernel doesn't need the shape, merge neighbours.
  std::vector<int64_t> dims;
  std::vector<std::vector<int64_t>> strides(nInputs);
  const auto push = [&](int d) {
    dims.push_back(tile.dims[d]);
    for (int i = 0; i < nInputs; i++) strides[i].push_back(tile.strides[i][d]);
  };
  if (kernel == k_map) {
    for (int d = 0; d < rank; d++) {
      if (tile.dims[d] == 1) continue;
      bool merge = !dims.empty();
      for (int i = 0; i < nInputs && merge; i++) {
        merge = strides[i].back() == tile.strides[i][d] * tile.dims[d];
      }
      if (merge) {
        dims.back() *= tile.dims[d];
        for (int i = 0; i < nInputs; i++) strides[i].back() = tile.strides[i][d];
      } else {
        push(d);
      }
    }
  } else {
    if (kernel == k_reduce) {
      if (rank != 3) return "tile of a reduce has rank " + text(rank) + ", expected 3";
      for (int d = 0; d < 3; d++) plan.domain[d] = tile.dims[d];
    } else if (rank != 2) {
      return "tile of a gemm has rank " + text(rank) + ", expected 2";
    }
    // reduce: [outer, axis] with rows along the axis, or [outer, axis, inner] with rows along inner.
    const int used = kernel == k_reduce && tile.dims[2] == 1 ? 2 : rank;
    for (int d = 0; d < used; d++) push(d);
  }
  if (dims.empty()) {
    dims.push_back(1);
    for (int i = 0; i < nInputs; i++) strides[i].push_back(0);
  }
  const int outerRank = (int)dims.size() - 1;
  plan.outerRank = outerRank;
  plan.rows = 1;
  for (int d = 0; d < outerRank; d++) {
    plan.outerDims[d] = dims[d];
    plan.rows *= dims[d];
  }
  plan.cols = dims[outerRank];
  if (empty) plan.rows = 0;

  // Values: inputs first, then one per instruction.
  std::vector<Value> values(nInputs);
  std::vector<int> held(tile.registers, -1);
  std::vector<Lane> lanes(tile.registers, kNone);
  for (int i = 0; i < nInputs; i++) {
    TileInput in{};
    in.tensor = inputs[i];
    in.dtype = i < firstInput ? kFloat32 : tensors[inputs[i]].dtype;
    in.stride = strides[i][outerRank];
    bool rowsFixed = true, linear = plan.cols == 1 || in.stride == 1;
    int64_t expected = plan.cols;
    for (int d = outerRank - 1; d >= 0; d--) {
      in.strides[d] = strides[i][d];
      if (dims[d] != 1) {
        rowsFixed = rowsFixed && strides[i][d] == 0;
        linear = linear && strides[i][d] == expected;
      }
      expected *= dims[d];
    }
    const bool constant = plan.cols == 1 || in.stride == 0;
    if (i < firstInput) in.kind = kExternal;
    else if (rowsFixed && constant) in.kind = kUniform;
    else if (linear) in.kind = kLinear;
    else if (rowsFixed && in.stride == 1) in.kind = kPeriodic;
    else if (constant) in.kind = kRowConst;
    else if (in.stride == 1) in.kind = kRowUnit;
    else in.kind = kGeneral;
    if (plan.cols == 1) in.stride = 1;
    planInputs.push_back(in);
    values[i].uniform = in.kind == kUniform;
    values[i].column = in.kind == kPeriodic;
    values[i].slot = i;
    held[i] = i;
    lanes[i] = laneOf(in.dtype);
  }
  for (size_t at = 0; at < tile.instructions.size(); at++) {
    const EncodedTile::Instruction& instruction = tile.instructions[at];
    if (instruction.op < 0 || instruction.op >= kInstructionCount) {
      return "tile instruction " + text((int64_t)at) + " has unknown id " + text(instruction.op);
    }
    const InstructionRow& row = kRows[instruction.op];
    const std::string where = "tile instruction " + text((int64_t)at) + " (" + row.name + ")";
    Value value;
    value.op = instruction.op;
    const char* wanted = row.lanes + 2;
    const bool takesConstant = wanted[0] == 'K', isPhilox = wanted[0] == 'P' || wanted[0] == 'T';
    const int arity = takesConstant ? 0 : isPhilox ? 2 : (int)strlen(wanted);
    bool uniform = true, column = true;
    Lane any = kNone;
    for (int a = 0; a < arity; a++) {
      const int reg = instruction.args[a];
      if (reg < 0 || reg >= tile.registers || held[reg] < 0) {
        return where + " reads register " + text(reg) + ", which holds nothing";
      }
      Lane lane = isPhilox || wanted[a] == 'I' ? kInt : wanted[a] == 'F' ? kFloat : any;
      if (wanted[a] == 'X' && any == kNone) any = lane = lanes[reg];
      if (lanes[reg] != lane) {
        return where + " got " + laneName(lanes[reg]) + " lanes as argument " + text(a);
      }
      value.args[a] = held[reg];
      uniform = uniform && values[held[reg]].uniform;
      column = column && (values[held[reg]].uniform || values[held[reg]].column);
    }
    if (takesConstant || isPhilox) {
      const int64_t index = instruction.args[takesConstant ? 0 : 2];
      const int64_t count = wanted[0] == 'T' ? 3 : isPhilox ? 2 : 1;
      if (index < 0 || index + count > (int64_t)floats.size()) {
        return where + " takes constant " + text(index) + " of " + text((int64_t)floats.size());
      }
      const double x = floats[index];
      if (instruction.op == i_constFloat) {
        const float f = (float)x;
        memcpy(&value.k0, &f, 4);
      } else {
        for (int64_t c = 0; c < count; c++) {
          const double word = floats[index + c];
          if (!(word >= -2147483648.0 && word <= 4294967295.0)) {
            return where + " has a constant outside 32 bits";
          }
        }
        value.k0 = wrapWord(x);
        if (count > 1) value.k1 = wrapWord(floats[index + 1]);
        if (count > 2) value.k2 = wrapWord(floats[index + 2]);
      }
    }
    if (isPhilox) {
      if (!uniform) return where + " wants seed and step to be the same for the whole domain";
      uniform = column = false;
    }
    value.uniform = uniform;
    value.column = column && !uniform;
    if (instruction.dst < nInputs || instruction.dst >= tile.registers) {
      return where + " writes register " + text(instruction.dst) + ", allowed are " +
             text(nInputs) + " to " + text(tile.registers - 1);
    }
    held[instruction.dst] = (int)values.size();
    lanes[instruction.dst] = row.lanes[0] == 'F' ? kFloat : row.lanes[0] == 'X' ? any : kInt;
    values.push_back(value);
  }

  // Results, and what is needed for them.
  const int nResults = (int)outputs.size();
  std::vector<int> resultValue(nResults);
  for (int r = 0; r < nResults; r++) {
    const int reg = tile.results[r];
    if (reg < 0 || reg >= tile.registers || held[reg] < 0) {
      return "tile result " + text(r) + " is register " + text(reg) + ", which holds nothing";
    }
    const DType dtype = tensors[outputs[r]].dtype;
    if (lanes[reg] != laneOf(dtype)) {
      return std::string("tile result ") + text(r) + " has " + laneName(lanes[reg]) +
             " lanes, its output does not";
    }
    resultValue[r] = held[reg];
    values[held[reg]].needed = true;
  }
  for (size_t v = values.size(); v-- > (size_t)nInputs;) {
    if (!values[v].needed) continue;
    for (int arg : values[v].args) {
      if (arg >= 0) values[arg].needed = true;
    }
  }
  for (size_t v = nInputs; v < values.size(); v++) {
    if (!values[v].needed) continue;
    for (int arg : values[v].args) {
      if (arg >= 0) values[arg].uses++;
    }
  }
  for (int r = 0; r < nResults; r++) values[resultValue[r]].uses++;
  scaleBeforeKeeping(values, nInputs);
  findPairs(values, nInputs);
  // Where an op reads what value v reads: at its pair's second, if it has one.
  const auto placeOf = [&](size_t v) { return values[v].pairedBy >= 0 ? values[v].pairedBy : (int)v; };
  for (size_t v = nInputs; v < values.size(); v++) {
    if (!values[v].needed) continue;
    for (int arg : values[v].args) {
      if (arg >= 0 && placeOf(v) > values[arg].lastUse) values[arg].lastUse = placeOf(v);
    }
  }
  constexpr int kAtEnd = 1 << 20;
  for (int r = 0; r < nResults; r++) values[resultValue[r]].lastUse = kAtEnd;

  // Slots: inputs, outputs, then scratch; uniform values keep theirs, others share by lifetime.
  int nSlots = nInputs + nResults;
  for (int r = 0; r < nResults; r++) {
    Value& value = values[resultValue[r]];
    const DType dtype = tensors[outputs[r]].dtype;
    TileResult result{outputs[r], dtype, -1, kStored};
    if (kernel != k_reduce && value.op >= 0 && !value.uniform && !value.column && value.slot < 0 &&
        (dtype == kFloat32 || dtype == kInt32)) {
      value.slot = nInputs + r;
      result.direct = kDirect;
    }
    planResults.push_back(result);
  }
  std::vector<int> freeSlots;
  std::vector<bool> spread(values.size(), false);  // uniform values read by the loop
  const auto isUniform = [&](int v) { return v >= 0 && values[(size_t)v].uniform; };
  for (size_t v = nInputs; v < values.size(); v++) {
    Value& value = values[v];
    if (!value.needed || value.pairedBy >= 0) continue;
    if (value.uniform) {
      value.slot = nSlots++;
      continue;
    }
    // What the op reads: up to three arguments, of a pair a and b of its first and c.
    int reads[3] = {value.args[0], value.args[1], value.args[2]};
    if (value.first >= 0) {
      const Value& first = values[(size_t)value.first];
      reads[0] = first.args[0];
      reads[2] = value.args[1];
      reads[1] = first.args[1];
      value.mask = (isUniform(reads[1]) ? kPairUniformB : 0) | (isUniform(reads[2]) ? kPairUniformC : 0);
      if (isUniform(reads[0])) spread[(size_t)reads[0]] = true;  // of a square or a root: not in practice
    } else if (hasVariants(value.op)) {
      const bool select = value.op == i_select;
      const int x = select ? reads[1] : reads[0], y = select ? reads[2] : reads[1];
      value.mask = (isUniform(x) ? 1 : 0) | (isUniform(y) ? 2 : 0);
      if (select && isUniform(reads[0])) spread[(size_t)reads[0]] = true;
    } else if (value.op != i_philox && value.op != i_philoxBelow) {  // which read one lane of their seeds
      for (int arg : reads) {
        if (isUniform(arg)) spread[(size_t)arg] = true;
      }
    }
    for (int a = 0; a < 3; a++) value.reads[a] = reads[a];
    for (int arg : reads) {
      if (arg < 0 || values[arg].uniform) continue;
      if (values[arg].column) continue;  // keeps its slot for the rows to come
      const bool scratch = values[arg].slot >= nInputs + nResults;
      // Each slot is freed once even where one value is both arguments.
      if (scratch && values[arg].lastUse == (int)v) {
        freeSlots.push_back(values[arg].slot);
        values[arg].lastUse = -1;
      }
    }
    if (value.slot >= 0) continue;
    if (freeSlots.empty() || value.column) {
      value.slot = nSlots++;
    } else {
      value.slot = freeSlots.back();
      freeSlots.pop_back();
    }
  }
  for (int r = 0; r < nResults; r++) {
    if (values[resultValue[r]].uniform) spread[resultValue[r]] = true;
    planResults[r].slot = values[resultValue[r]].slot;
  }
  for (size_t v = 0; v < values.size(); v++) {
    const Value& value = values[v];
    if (!value.needed) continue;
    if (spread[v]) fills.push_back(value.slot);
    if (value.op < 0 || value.pairedBy >= 0) continue;
    const int* reads = value.uniform ? value.args : value.reads;
    const auto slotOf = [&](int arg) { return (int16_t)(arg >= 0 ? values[(size_t)arg].slot : 0); };
    TileOp op{};
    op.function = (int16_t)(value.first >= 0
                                ? functionOfPair(value.firstId, value.secondId, value.mask)
                                : functionOf(value.op, value.mask));
    op.dst = (int16_t)value.slot;
    op.a = slotOf(reads[0]);
    op.b = slotOf(reads[1]);
    op.c = slotOf(reads[2]);
    op.k0 = value.k0;
    op.k1 = value.k1;
    op.k2 = value.k2;
    (value.uniform ? uniformOps : value.column ? columnOps : ops).push_back(op);
  }

  // In place: an output written straight to memory must not destroy an input that is read later.
  const auto readAfter = [&](int input, int value) {
    for (size_t v = (size_t)nInputs; v < values.size(); v++) {
      if (!values[v].needed || values[v].uniform || placeOf(v) <= value) continue;
      for (int arg : values[v].args) {
        if (arg == input) return true;
      }
    }
    for (int r = 0; r < nResults; r++) {
      if (resultValue[r] == input) return true;
    }
    return false;
  };
  bool aliased = false;
  for (int r = 0; r < nResults; r++) {
    for (int i = firstInput; i < nInputs; i++) {
      if (!tensorsOverlap(tensors[inputs[i]], tensors[outputs[r]])) continue;
      aliased = true;
      const bool direct = planResults[r].direct == kDirect;
      if (readAfter(i, direct ? resultValue[r] : (int)values.size())) planInputs[i].copyIn = 1;
    }
  }
  plan.aliased = aliased;
  findChain(ops, planResults, &plan);
  constexpr size_t kFewOps = 4;
  plan.light = plan.chain >= 0 || ops.size() <= kFewOps;
  for (size_t v = (size_t)nInputs; v < values.size(); v++) {
    if (values[v].needed && !values[v].uniform && !values[v].column && !isSimple(values[v].op)) plan.light = 0;
  }

  // Epilogue: an output may hold C while it is computed, unless it is still needed as something else.
  plan.blockTensor = -1;
  if (hasEpilogue(kernel)) {
    for (int pass = 0; pass < 2 && plan.blockTensor < 0; pass++) {
      for (int r = 0; r < nResults && plan.blockTensor < 0; r++) {
        TileResult& result = planResults[r];
        if (result.dtype != kFloat32) continue;
        bool taken = false;
        for (int i = 1; i < nInputs; i++) {
          taken = taken || tensorsOverlap(tensors[inputs[i]], tensors[outputs[r]]);
        }
        if (taken) continue;
        if (pass == 0 && resultValue[r] == 0) {
          result.direct = kInBlock;
          plan.blockTensor = outputs[r];
        } else if (pass == 1 && result.direct == kDirect && !readAfter(0, resultValue[r])) {
          plan.blockTensor = outputs[r];
        }
      }
    }
  }

  plan.nInputs = nInputs;
  plan.nResults = nResults;
  plan.nSlots = nSlots;
  plan.nUniformOps = (int32_t)uniformOps.size();
  plan.nColumnOps = (int32_t)columnOps.size();
  plan.nOps = (int32_t)ops.size();
  plan.nFills = (int32_t)fills.size();
  plan.drawn = 0;
  plan.drawnMask = -1;
  plan.rowsAtOnce = 0;
  if (kernel == k_map) {
    findRows(planInputs, columnOps, planResults, &plan);
    findDrawn(planInputs, ops, planResults, &plan);
  }
  plan.scratchBytes = ((nSlots * (int64_t)sizeof(void*) + 63) & ~int64_t{63}) +
                      nSlots * kTileStride * 4;
  return "";
}

}  // namespace layerwise
