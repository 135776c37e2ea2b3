// How fast cores and memory are: the kernels' probes on several threads at once.
#pragma once

#include "call.h"
#include "dispatch.h"

namespace layerwise {

// Runs an instruction set's FMA loop on all threads at once for the given time; GFLOP/s of all together, each at its best.
double peakRate(const KernelTable& table, int threads, double milliseconds);

// Runs `sweep` on all threads at once for the given time; GB/s of all together, 0 without the memory.
double sweepRate(Sweep sweep, bool aroundCaches, int threads, double milliseconds);

}  // namespace layerwise
