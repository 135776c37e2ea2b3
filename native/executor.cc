// The loop over calls. Each call is one region of the pool, or runs here when it is small: waking
// workers for less than kMinWork of work per thread costs more than it brings.
#include "executor.h"

namespace layerwise {
namespace {

constexpr int64_t kMinWork = 1500;  // nanoseconds per part
constexpr int64_t kMaxParts = 4096;

char* sharedOf(const Call& call, const ExecutionState& state) {
  return call.keeps > 0 ? state.kept.data() + call.keptAt : state.shared.data();
}

struct Region {
  const Call& call;
  RunFunction run;
  ExecutionState& state;
  DataError* error;
  int phase;
  int64_t parts;
};

void runPart(void* context, int64_t part, int worker) {
  const Region& r = *static_cast<const Region*>(context);
  const Run run = {r.state.pointers.data(), r.state.scratch[(size_t)worker].data(),
                   sharedOf(r.call, r.state), r.error};
  r.run(r.call, run, r.phase, part, r.parts);
}

}  // namespace

void bindPointers(const Program& program, ExecutionState& state, void* const* bases) {
  for (const auto& [tensor, binding] : program.boundTensors()) {
    state.pointers[(size_t)tensor] = bases[binding];
  }
  if (program.stamp() < 0) return;
  const int32_t stamp = *static_cast<const int32_t*>(bases[program.stamp()]);
  state.keeps = state.keeps && state.stamp == stamp;
  state.stamp = stamp;
}

bool runCalls(const Program& program, ExecutionState& state, ThreadPool* pool,
              const std::atomic<bool>* abort, DataError* error) {
  const KernelEntry* kernels = program.table()->kernels;
  const int64_t threads = pool ? pool->activeThreads() : 1;
  for (const Call& call : program.calls()) {
    const RunFunction run = kernels[call.kernel].run;
    int64_t parts = 1;
    if (threads > 1 && call.work >= 2 * kMinWork && call.maxParts > 1) {
      parts = call.work / kMinWork;
      if (parts > threads) parts = threads;
      if (parts > call.maxParts) parts = call.maxParts;
      if (parts > kMaxParts) parts = kMaxParts;
    }
    const int first = state.keeps ? call.keeps : 0;
    if (parts == 1) {
      const Run alone = {state.pointers.data(), state.scratch[0].data(), sharedOf(call, state), error};
      for (int phase = first; phase < call.phases; phase++) run(call, alone, phase, 0, 1);
    } else {
      for (int phase = first; phase < call.phases; phase++) {
        Region region = {call, run, state, error, phase, parts};
        pool->parallel(parts, runPart, &region);
      }
    }
    if (error->set) return false;
    if (abort && abort->load(std::memory_order_relaxed)) return true;
  }
  state.keeps = program.stamp() >= 0;
  return true;
}

std::string describe(const Program& program, const DataError& error) {
  const Call& call = program.calls()[(size_t)error.call];
  const char* what = "length";
  if (call.kernel == k_gather || call.kernel == k_scatterAdd || call.kernel == k_scatterRows) what = "index";
  if (call.kernel == k_sparseSoftmaxCrossEntropy) what = "label";
  return std::string(kernelName(call.kernel)) + ": " + what + " " + std::to_string(error.value) +
         " at position " + std::to_string(error.position) + " lies outside [" +
         std::to_string(error.low) + ", " + std::to_string(error.high) + ") (Program call " +
         std::to_string(error.call) + ")";
}

}  // namespace layerwise
