// How fast memory is: a probe's passes on several threads at once.
#pragma once

#include "call.h"

namespace layerwise {

// Runs `sweep` on all threads at once for the given time; GB/s of all together, 0 without the memory.
double sweepRate(Sweep sweep, bool aroundCaches, int threads, double milliseconds);

}  // namespace layerwise
