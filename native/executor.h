// Runs a validated Program: no checks but data errors, no allocation.
#pragma once

#include <atomic>
#include <string>

#include "program.h"
#include "thread_pool.h"

namespace layerwise {

// Points the state's bound tensors at the bindings' memory; `bases` by binding.
void bindPointers(const Program& program, ExecutionState& state, void* const* bases);

// Runs all calls. With a pool (held by the caller) larger calls are split over its threads. Ends early
// when *abort is set. False if there was a data error.
bool runCalls(const Program& program, ExecutionState& state, ThreadPool* pool,
              const std::atomic<bool>* abort, DataError* error);

std::string describe(const Program& program, const DataError& error);

}  // namespace layerwise
