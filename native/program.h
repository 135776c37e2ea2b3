// A loaded Program: parsed from its encoded words, validated completely (docs/program.md), planned for
// one instruction set. After that it never changes; running it checks nothing but data errors.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "arena.h"
#include "call.h"

namespace layerwise {

enum class Place : int32_t { kArena = 0, kBinding = 1, kConstant = 2 };
// kLasts: read, and the same in every run in which the stamp is. kStamp: one int32, read before the calls.
enum class Access : int32_t { kRead = 0, kWrite = 1, kReadWrite = 2, kLasts = 3, kStamp = 4 };
constexpr bool isReadOnly(Access access) { return access != Access::kWrite && access != Access::kReadWrite; }

struct ProgramTensor {
  DType dtype;
  Place place;
  uint64_t value;  // byte offset, or index of the binding
  int64_t size;    // elements
  int64_t bytes() const { return size * (dtype == kUint8 || dtype == kBool ? 1 : 4); }
};

struct ProgramBinding {
  DType dtype;
  int64_t size;
  Access access;
  int64_t elementBytes() const { return dtype == kUint8 || dtype == kBool ? 1 : 4; }
};

// A tile program as it is encoded.
struct EncodedTile {
  std::vector<int64_t> dims;
  std::vector<std::vector<int64_t>> strides;
  int registers = 0;
  struct Instruction {
    int op, dst, args[3];
  };
  std::vector<Instruction> instructions;
  std::vector<int> results;
};

// Everything one run at a time needs: arena, resolved pointers, scratch per worker.
struct ExecutionState {
  Arena arena;
  Arena shared;
  Arena kept;                   // what calls made of inputs that last
  bool keeps = false;           // whether it holds that, for inputs with this stamp
  int32_t stamp = 0;
  std::vector<void*> pointers;  // by tensor; bindings are filled in for each run
  std::vector<Arena> scratch;   // by worker
};

class Program {
 public:
  // Null and a message if anything is wrong with the words.
  static std::shared_ptr<Program> load(const KernelTable* table, const int32_t* words, size_t nWords,
                                       const double* floats, size_t nFloats,
                                       const uint8_t* constants, size_t nConstants,
                                       std::string* error);

  const KernelTable* table() const { return table_; }
  const std::vector<ProgramTensor>& tensors() const { return tensors_; }
  const std::vector<ProgramBinding>& bindings() const { return bindings_; }
  const std::vector<Call>& calls() const { return calls_; }
  // (tensor, binding) pairs: which pointers change with the bindings.
  const std::vector<std::pair<int32_t, int32_t>>& boundTensors() const { return boundTensors_; }
  // Bytes of one execution state with one worker, for the garbage collector's books.
  int64_t stateBytes() const { return arenaBytes_ + scratchBytes_ + sharedBytes_ + keptBytes_; }
  // The binding that holds the stamp, −1 for none: then no input lasts.
  int32_t stamp() const { return stamp_; }
  // "Program call 3 (gemm)".
  static std::string callName(int32_t index, int32_t kernel);

  // A state of one's own until it is given back; null if memory is short.
  std::unique_ptr<ExecutionState> takeState();
  void giveState(std::unique_ptr<ExecutionState> state);
  // Scratch for `workers` workers; false if memory is short.
  bool growScratch(ExecutionState& state, int workers) const;

 private:
  friend class ProgramReader;
  Program() = default;

  const KernelTable* table_ = nullptr;
  std::vector<ProgramTensor> tensors_;
  std::vector<ProgramBinding> bindings_;
  std::vector<std::pair<int32_t, int32_t>> boundTensors_;
  std::vector<Call> calls_;
  Arena constants_;
  int64_t arenaBytes_ = 0, scratchBytes_ = 0, sharedBytes_ = 0, keptBytes_ = 0;
  int32_t stamp_ = -1;

  // What the Calls and TilePlans point into; deques and heap blocks never move.
  std::deque<std::vector<int32_t>> ints_;
  std::deque<std::vector<double>> floats_;
  std::deque<std::vector<DType>> types_;
  std::deque<TilePlan> plans_;
  std::deque<std::vector<TileInput>> tileInputs_;
  std::deque<std::vector<TileResult>> tileResults_;
  std::deque<std::vector<TileOp>> tileOps_;
  std::deque<std::vector<int32_t>> tileFills_;

  std::mutex freeMutex_;
  std::vector<std::unique_ptr<ExecutionState>> free_;
};

// What a tile plan is made from; tile_plan.cc.
struct TilePlanner {
  const EncodedTile& tile;
  KernelId kernel;
  const std::vector<ProgramTensor>& tensors;
  // Tensors of the tile inputs; gemm: index 0 is C and has none (−1).
  std::vector<int32_t> inputs;
  std::vector<int32_t> outputs;
  const std::vector<double>& floats;

  // Results.
  TilePlan plan{};
  std::vector<TileInput> planInputs{};
  std::vector<TileResult> planResults{};
  std::vector<TileOp> uniformOps{}, columnOps{}, ops{};
  std::vector<int32_t> fills{};

  // An empty string, or what is wrong.
  std::string build();
};

// True if two tensors share memory within one Program; program_overlap.cc.
bool tensorsOverlap(const ProgramTensor& a, const ProgramTensor& b);

// An empty string, or which operands of a call share memory that may not; program_overlap.cc.
std::string checkOverlap(const Call& call, const EncodedTile* tile,
                         const std::vector<ProgramTensor>& tensors);

// Checks the attributes, dtypes and sizes of a call against its kernel; program_check.cc. `call` has
// ids, ints, floats and types; `tile` is null without a tile program.
std::string checkCall(const Call& call, const EncodedTile* tile,
                      const std::vector<ProgramTensor>& tensors);

// Whether a run can fail with what the kernel finds in its inputs.
bool checksData(int32_t kernel);

const char* kernelName(int32_t kernel);
const char* instructionName(int32_t instruction);

}  // namespace layerwise
