// Reads the words of an encoded Program. Every number is checked before it is used; the first thing
// that is wrong ends the load with a message that names it.
#include "program.h"

#include <string.h>

namespace layerwise {
namespace {

constexpr int32_t kMagic = 0x4c575031;
constexpr int32_t kVersion = 1;
constexpr int kMaxTensorRank = 16;
// Enough for any model; a hostile count must not exhaust memory before the words run out.
constexpr int32_t kMaxOperands = 256;

std::string text(int64_t n) { return std::to_string(n); }

}  // namespace

class ProgramReader {
 public:
  ProgramReader(Program& program, const int32_t* words, size_t nWords, const double* floats,
                size_t nFloats)
      : p_(program), words_(words), nWords_(nWords), floats_(floats), nFloats_(nFloats) {}

  // True if all is well, else error() says what is not.
  bool read(const uint8_t* constants, size_t nConstants) {
    int32_t header[7];
    for (int32_t& word : header) {
      if (!next(&word)) return false;
    }
    if (header[0] != kMagic) return fail("does not begin with the magic number");
    if (header[1] != kVersion) return fail("has version " + text(header[1]) + ", expected 1");
    const int32_t tensors = header[2], bindings = header[3], calls = header[4];
    if (tensors < 0 || bindings < 0 || calls < 0) return fail("has a negative count");
    const uint64_t arena = wide(header[5], header[6]);
    if (arena > (uint64_t{1} << 46)) return fail("asks for an arena of " + std::to_string(arena) + " bytes");
    p_.arenaBytes_ = (int64_t)arena;
    for (int32_t t = 0; t < tensors; t++) {
      if (!tensor(t, bindings, nConstants)) return false;
    }
    for (int32_t b = 0; b < bindings; b++) {
      if (!binding(b)) return false;
    }
    for (int32_t b = 0; b < bindings && p_.stamp_ < 0; b++) {
      if (p_.bindings_[b].access == Access::kLasts) return fail("binding " + text(b) + " lasts, but there is no stamp");
    }
    for (int32_t t = 0; t < tensors; t++) {
      const ProgramTensor& tensor = p_.tensors_[t];
      if (tensor.place != Place::kBinding) continue;
      const ProgramBinding& b = p_.bindings_[tensor.value];
      if (tensor.dtype != b.dtype || tensor.size != b.size) {
        return fail("tensor " + text(t) + " does not have the dtype and size of binding " +
                    text((int64_t)tensor.value));
      }
      p_.boundTensors_.push_back({t, (int32_t)tensor.value});
    }
    for (int32_t c = 0; c < calls; c++) {
      if (!call(c)) return false;
    }
    if (at_ != nWords_) return fail("has " + text((int64_t)(nWords_ - at_)) + " words too many");
    if (atFloat_ != nFloats_) {
      return fail("has " + text((int64_t)(nFloats_ - atFloat_)) + " floats too many");
    }
    if (!p_.constants_.allocate(nConstants)) return fail("has no memory for its constants");
    if (nConstants) memcpy(p_.constants_.data(), constants, nConstants);
    return true;
  }
  std::string error() const { return error_; }

 private:
  bool fail(const std::string& message) {
    error_ = "Program " + message;
    return false;
  }
  bool failCall(const std::string& message) {
    error_ = Program::callName(callIndex_, kernel_) + ": " + message;
    return false;
  }
  bool next(int32_t* word) {
    if (at_ >= nWords_) return fail("ends after " + text((int64_t)nWords_) + " words");
    *word = words_[at_++];
    return true;
  }
  static uint64_t wide(int32_t low, int32_t high) {
    return (uint64_t)(uint32_t)high << 32 | (uint32_t)low;
  }
  // A count of things that take at least one word each.
  bool count(int32_t* n, int32_t limit, const char* what) {
    if (!next(n)) return false;
    if (*n >= 0 && *n <= limit) return true;
    const std::string message = std::string("has ") + text(*n) + " " + what;
    return callIndex_ >= 0 ? failCall(message) : fail(message);
  }

  bool tensor(int32_t t, int32_t bindings, size_t nConstants) {
    int32_t dtype, place, low, high, rank;
    if (!next(&dtype) || !next(&place) || !next(&low) || !next(&high) || !next(&rank)) return false;
    const std::string name = "tensor " + text(t);
    if (dtype < 0 || dtype > 3) return fail(name + " has unknown dtype " + text(dtype));
    if (place < 0 || place > 2) return fail(name + " has unknown place " + text(place));
    if (rank < 0 || rank > kMaxTensorRank) return fail(name + " has rank " + text(rank));
    int64_t size = 1;
    bool empty = false;
    std::vector<int32_t> dims(rank);
    for (int32_t& dim : dims) {
      if (!next(&dim)) return false;
      if (dim < 0) return fail(name + " has dimension " + text(dim));
      empty = empty || dim == 0;
    }
    for (int32_t dim : dims) {
      if (empty) break;
      size *= dim;
      if (size > INT32_MAX) return fail(name + " has 2^31 elements or more");
    }
    ProgramTensor tensor{(DType)dtype, (Place)place, wide(low, high), empty ? 0 : size};
    const uint64_t bytes = (uint64_t)tensor.bytes();
    if (tensor.place == Place::kBinding) {
      if (tensor.value >= (uint64_t)bindings) {
        return fail(name + " is binding " + std::to_string(tensor.value) + " of " + text(bindings));
      }
    } else {
      const uint64_t limit =
          tensor.place == Place::kArena ? (uint64_t)p_.arenaBytes_ : (uint64_t)nConstants;
      if (tensor.value % 64 != 0) return fail(name + " is not 64-byte aligned");
      if (tensor.value > limit || bytes > limit - tensor.value) {
        return fail(name + " lies outside the " +
                    (tensor.place == Place::kArena ? "arena (" : "constants (") +
                    std::to_string(tensor.value) + " + " + std::to_string(bytes) + " of " +
                    std::to_string(limit) + " bytes)");
      }
    }
    p_.tensors_.push_back(tensor);
    return true;
  }

  bool binding(int32_t b) {
    int32_t dtype, size, access;
    if (!next(&dtype) || !next(&size) || !next(&access)) return false;
    const std::string name = "binding " + text(b);
    if (dtype < 0 || dtype > 3) return fail(name + " has unknown dtype " + text(dtype));
    if (size < 0) return fail(name + " has size " + text(size));
    if (access < 0 || access > 4) return fail(name + " has unknown access " + text(access));
    if ((Access)access == Access::kStamp) {
      if (dtype != kInt32 || size != 1) return fail(name + " is a stamp, but not one int32");
      if (p_.stamp_ >= 0) return fail(name + " is a second stamp");
      p_.stamp_ = b;
    }
    p_.bindings_.push_back({(DType)dtype, size, (Access)access});
    return true;
  }

  bool operands(const char* what, std::vector<int32_t>* ids) {
    int32_t n;
    if (!count(&n, kMaxOperands, what)) return false;
    for (int32_t i = 0; i < n; i++) {
      int32_t id;
      if (!next(&id)) return false;
      if (id < 0 || (size_t)id >= p_.tensors_.size()) {
        return failCall(std::string(what) + " name tensor " + text(id) + " of " +
                        text((int64_t)p_.tensors_.size()));
      }
      ids->push_back(id);
    }
    return true;
  }

  bool call(int32_t index) {
    callIndex_ = -1;
    int32_t kernel;
    if (!next(&kernel)) return false;
    if (kernel < 0 || kernel >= kKernelCount) {
      return fail("call " + text(index) + " has unknown kernel id " + text(kernel));
    }
    callIndex_ = index;
    kernel_ = kernel;
    std::vector<int32_t> inputs, outputs, ints;
    int32_t nInts, nFloats, hasTile;
    if (!operands("inputs", &inputs) || !operands("outputs", &outputs)) return false;
    if (!count(&nInts, kMaxOperands, "integer attributes")) return false;
    for (int32_t i = 0; i < nInts; i++) {
      int32_t value;
      if (!next(&value)) return false;
      ints.push_back(value);
    }
    if (!next(&nFloats) || !next(&hasTile)) return false;
    if (nFloats < 0 || (size_t)nFloats > nFloats_ - atFloat_) {
      return failCall("takes " + text(nFloats) + " floats, " + text((int64_t)(nFloats_ - atFloat_)) +
                      " are left");
    }
    std::vector<double> floats(floats_ + atFloat_, floats_ + atFloat_ + nFloats);
    atFloat_ += (size_t)nFloats;
    if (hasTile != 0 && hasTile != 1) return failCall("has tile flag " + text(hasTile));

    for (int32_t id : outputs) {
      const ProgramTensor& t = p_.tensors_[id];
      if (t.place == Place::kConstant) return failCall("writes tensor " + text(id) + ", a constant");
      if (t.place == Place::kBinding && isReadOnly(p_.bindings_[t.value].access)) {
        return failCall("writes tensor " + text(id) + ", a read-only binding");
      }
    }
    EncodedTile encoded;
    if (hasTile && !tile(&encoded)) return false;
    if (hasTile && kernel != k_map && kernel != k_reduce && !hasEpilogue(kernel)) {
      return failCall("takes no tile program");
    }

    Call c{};
    c.kernel = kernel;
    c.index = index;
    c.nInputs = (int32_t)inputs.size();
    c.nOutputs = (int32_t)outputs.size();
    c.nInts = nInts;
    c.nFloats = nFloats;
    std::vector<DType> inputTypes, outputTypes;
    for (int32_t id : inputs) inputTypes.push_back(p_.tensors_[id].dtype);
    for (int32_t id : outputs) outputTypes.push_back(p_.tensors_[id].dtype);
    std::vector<int32_t> tileInputs;
    if (hasEpilogue(kernel) && hasTile) {
      tileInputs = inputs;
      if (tileInputs.size() >= 2) {
        tileInputs.erase(tileInputs.begin());
        tileInputs[0] = -1;
      }
    } else {
      tileInputs = inputs;
    }
    if (inputs.size() > 1) {
      const ProgramTensor& second = p_.tensors_[inputs[1]];
      c.lasts = second.place == Place::kBinding && p_.bindings_[second.value].access == Access::kLasts;
    }
    c.inputs = keep(p_.ints_, std::move(inputs));
    c.outputs = keep(p_.ints_, outputs);
    c.ints = keep(p_.ints_, std::move(ints));
    c.inputTypes = keep(p_.types_, std::move(inputTypes));
    c.outputTypes = keep(p_.types_, std::move(outputTypes));
    p_.floats_.push_back(std::move(floats));
    c.floats = p_.floats_.back().data();

    const std::string problem = checkCall(c, hasTile ? &encoded : nullptr, p_.tensors_);
    if (!problem.empty()) return failCall(problem);
    if (hasTile) {
      TilePlanner planner{encoded, (KernelId)kernel, p_.tensors_, std::move(tileInputs), outputs,
                          p_.floats_.back()};
      const std::string tileProblem = planner.build();
      if (!tileProblem.empty()) return failCall(tileProblem);
      TilePlan plan = planner.plan;
      plan.inputs = keep(p_.tileInputs_, std::move(planner.planInputs));
      plan.results = keep(p_.tileResults_, std::move(planner.planResults));
      plan.uniformOps = keep(p_.tileOps_, std::move(planner.uniformOps));
      plan.columnOps = keep(p_.tileOps_, std::move(planner.columnOps));
      plan.ops = keep(p_.tileOps_, std::move(planner.ops));
      plan.fills = keep(p_.tileFills_, std::move(planner.fills));
      p_.plans_.push_back(plan);
      c.tile = &p_.plans_.back();
    }
    c.maxParts = 1;
    // Where nothing is written nothing is done: other sizes may be so large that walking them takes minutes.
    if (writesSomething(c) || checksData(kernel)) {
      c.phases = 1;
      p_.table_->kernels[kernel].plan(c);
    }
    if (c.scratchBytes > p_.scratchBytes_) p_.scratchBytes_ = c.scratchBytes;
    if (c.keeps > 0) {
      c.keptAt = p_.keptBytes_;
      p_.keptBytes_ += (c.sharedBytes + 63) / 64 * 64;
    } else if (c.sharedBytes > p_.sharedBytes_) {
      p_.sharedBytes_ = c.sharedBytes;
    }
    p_.calls_.push_back(c);
    return true;
  }

  bool writesSomething(const Call& call) const {
    for (int o = 0; o < call.nOutputs; o++) {
      if (p_.tensors_[(size_t)call.outputs[o]].size > 0) return true;
    }
    return false;
  }

  bool tile(EncodedTile* tile) {
    int32_t rank, inputs, registers, instructions, results;
    if (!count(&rank, 8, "tile dimensions")) return false;
    for (int32_t d = 0; d < rank; d++) {
      int32_t dim;
      if (!next(&dim)) return false;
      tile->dims.push_back(dim);
    }
    if (!count(&inputs, 64, "tile inputs")) return false;
    for (int32_t i = 0; i < inputs; i++) {
      std::vector<int64_t> row;
      for (int32_t d = 0; d < rank; d++) {
        int32_t stride;
        if (!next(&stride)) return false;
        row.push_back(stride);
      }
      tile->strides.push_back(std::move(row));
    }
    if (!count(&registers, 64, "registers")) return false;
    tile->registers = registers;
    if (!count(&instructions, 512, "instructions")) return false;
    for (int32_t i = 0; i < instructions; i++) {
      EncodedTile::Instruction instruction;
      if (!next(&instruction.op) || !next(&instruction.dst) || !next(&instruction.args[0]) ||
          !next(&instruction.args[1]) || !next(&instruction.args[2])) {
        return false;
      }
      tile->instructions.push_back(instruction);
    }
    if (!count(&results, 64, "tile results")) return false;
    for (int32_t r = 0; r < results; r++) {
      int32_t reg;
      if (!next(&reg)) return false;
      tile->results.push_back(reg);
    }
    return true;
  }

  template <class T>
  static const T* keep(std::deque<std::vector<T>>& store, std::vector<T> items) {
    store.push_back(std::move(items));
    return store.back().data();
  }

  Program& p_;
  const int32_t* words_;
  size_t nWords_, at_ = 0;
  const double* floats_;
  size_t nFloats_, atFloat_ = 0;
  int32_t callIndex_ = -1, kernel_ = 0;
  std::string error_;
};

std::string Program::callName(int32_t index, int32_t kernel) {
  return "Program call " + text(index) + " (" + kernelName(kernel) + ")";
}

std::shared_ptr<Program> Program::load(const KernelTable* table, const int32_t* words, size_t nWords,
                                       const double* floats, size_t nFloats,
                                       const uint8_t* constants, size_t nConstants,
                                       std::string* error) {
  std::shared_ptr<Program> program(new Program);
  program->table_ = table;
  ProgramReader reader(*program, words, nWords, floats, nFloats);
  if (!reader.read(constants, nConstants)) {
    *error = reader.error();
    return nullptr;
  }
  // The first state is made now, so that a Program too large for memory fails here.
  std::unique_ptr<ExecutionState> state = program->takeState();
  if (!state) {
    *error = "Program needs " + text(program->stateBytes()) + " bytes, which could not be allocated";
    return nullptr;
  }
  program->giveState(std::move(state));
  return program;
}

std::unique_ptr<ExecutionState> Program::takeState() {
  {
    std::lock_guard<std::mutex> lock(freeMutex_);
    if (!free_.empty()) {
      std::unique_ptr<ExecutionState> state = std::move(free_.back());
      free_.pop_back();
      return state;
    }
  }
  auto state = std::make_unique<ExecutionState>();
  if (!state->arena.allocate((size_t)arenaBytes_) || !state->shared.allocate((size_t)sharedBytes_) ||
      !state->kept.allocate((size_t)keptBytes_) || !growScratch(*state, 1)) {
    return nullptr;
  }
  for (const ProgramTensor& tensor : tensors_) {
    void* pointer = nullptr;
    if (tensor.place == Place::kArena) pointer = state->arena.data() + tensor.value;
    if (tensor.place == Place::kConstant) pointer = constants_.data() + tensor.value;
    state->pointers.push_back(pointer);
  }
  return state;
}

void Program::giveState(std::unique_ptr<ExecutionState> state) {
  // More than a few states at once are the exception; don't keep their memory.
  constexpr size_t kKept = 4;
  std::lock_guard<std::mutex> lock(freeMutex_);
  if (free_.size() < kKept) free_.push_back(std::move(state));
}

bool Program::growScratch(ExecutionState& state, int workers) const {
  while (state.scratch.size() < (size_t)workers) {
    Arena scratch;
    if (!scratch.allocate((size_t)scratchBytes_)) return false;
    state.scratch.push_back(std::move(scratch));
  }
  return true;
}

}  // namespace layerwise
