#include "guarded_run.h"

#include <string.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "../../cpu.h"
#include "../../executor.h"

namespace layerwise::test {
namespace {

// Scratch begins on a cache line, so its guard is up to 63 bytes behind it.
size_t scratchSize(int64_t bytes) { return ((size_t)bytes + 63) / 64 * 64; }

struct Memory {
  std::vector<GuardedMemory> bindings;
  std::vector<GuardedMemory> scratch;  // by part

  Memory(const Program& program, const std::vector<Bytes>& values, int parts, Guard guard) {
    for (size_t b = 0; b < values.size(); b++) {
      bindings.emplace_back(values[b].size(), guard);
      if (!values[b].empty()) memcpy(bindings[b].data(), values[b].data(), values[b].size());
      if (isReadOnly(program.bindings()[b].access)) bindings[b].makeReadOnly();
    }
    int64_t most = 0;
    for (const Call& call : program.calls()) most = std::max(most, call.scratchBytes);
    for (int p = 0; p < parts; p++) scratch.emplace_back(scratchSize(most), guard);
  }
  std::string violation() const {
    for (size_t b = 0; b < bindings.size(); b++) {
      if (!bindings[b].intact()) return "wrote beside binding " + std::to_string(b);
    }
    for (const GuardedMemory& memory : scratch) {
      if (!memory.intact()) return "wrote beside its scratch memory";
    }
    return "";
  }
};

// Flushes subnormals as the executor does, and puts the state back.
struct FlushedDenormals {
  const unsigned long long before = flushDenormals();
  ~FlushedDenormals() { restoreDenormals(before); }
};

}  // namespace

std::string difference(const Program& program, const Outcome& a, const Outcome& b) {
  if (a.error != b.error) return "one fails with: " + a.error + ", the other with: " + b.error;
  for (size_t i = 0; i < a.bindings.size(); i++) {
    const Bytes &x = a.bindings[i], &y = b.bindings[i];
    if (x == y) continue;
    const size_t width = (size_t)program.bindings()[i].elementBytes();
    for (size_t at = 0; at < x.size(); at += width) {
      if (memcmp(&x[at], &y[at], width) == 0) continue;
      if (program.bindings()[i].dtype == kFloat32) {
        float p, q;
        memcpy(&p, &x[at], 4);
        memcpy(&q, &y[at], 4);
        if (std::isnan(p) && std::isnan(q)) continue;
      }
      return "element " + std::to_string(at / width) + " of binding " + std::to_string(i);
    }
  }
  return "";
}

Outcome runGuarded(Program& program, const std::vector<Bytes>& bindings, int parts, Parts how,
                   Guard guard) {
  Memory memory(program, bindings, parts, guard);
  std::unique_ptr<ExecutionState> state = program.takeState();
  if (!state) return {{}, "no memory", ""};
  memset(state->arena.data(), 0, state->arena.size());
  std::vector<void*> bases;
  for (const GuardedMemory& binding : memory.bindings) bases.push_back(binding.data());
  bindPointers(program, *state, bases.data());

  DataError error = {};
  const FlushedDenormals flushed;
  for (const Call& call : program.calls()) {
    const RunFunction run = program.table()->kernels[call.kernel].run;
    const int split = (int)std::min<int64_t>(parts, std::max<int64_t>(call.maxParts, 1));
    GuardedMemory shared(scratchSize(call.sharedBytes), guard);
    for (int phase = 0; phase < call.phases; phase++) {
      const auto part = [&](int p) {
        const FlushedDenormals here;
        const Run context = {state->pointers.data(), memory.scratch[(size_t)p].data(),
                             shared.data(), &error};
        run(call, context, phase, p, split);
      };
      std::vector<std::thread> threads;
      for (int p = 1; p < split; p++) {
        if (how == Parts::kInThreads) threads.emplace_back(part, p);
        else part(p);
      }
      part(0);
      for (std::thread& thread : threads) thread.join();
    }
    if (!shared.intact()) return {{}, "", "wrote beside its shared memory"};
    if (error.set) break;
  }

  Outcome outcome;
  outcome.violation = memory.violation();
  if (error.set) outcome.error = describe(program, error);
  for (const GuardedMemory& b : memory.bindings) {
    outcome.bindings.emplace_back(b.data(), b.data() + b.size());
  }
  program.giveState(std::move(state));
  return outcome;
}

}  // namespace layerwise::test
