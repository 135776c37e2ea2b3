// What this machine has and what this process may use of it: instruction sets, brand, affinity mask,
// cgroup CPU quota, physical cores, caches.
#pragma once

#include <stdint.h>

#include <string>

namespace layerwise {

struct CpuFeatures {
  bool avx2;    // AVX2 and FMA, enabled by the operating system
  bool avx512;  // F, VL, BW, DQ, enabled by the operating system
};
CpuFeatures cpuFeatures();
std::string cpuBrand();
// CPUs in the affinity mask of the process.
int affinityCount();
// Physical cores among them (SMT siblings counted once).
int physicalCores();
// CPUs granted by cgroup v2 cpu.max or v1 cfs_quota over the whole ancestor path; 0 without a limit.
double cpuQuota();
// min(affinity, ⌊quota⌋, physical cores), at least 1.
int defaultThreads();

// Bytes of a core's first-level data cache; 0 where that is not known. Read once, when this is loaded; tests set it.
extern int64_t l1Bytes;

// Flush-to-zero and denormals-are-zero on this thread; returns the state to restore.
unsigned long long flushDenormals();
void restoreDenormals(unsigned long long state);

}  // namespace layerwise
