// Reads CPUID and XGETBV, sysconf, /proc, /sys and the affinity mask. Called at load and by info().
#include "cpu.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <set>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace layerwise {
namespace {

std::string readLine(const std::string& path) {
  std::string line;
  if (FILE* f = fopen(path.c_str(), "r")) {
    char buffer[4096];
    if (fgets(buffer, sizeof buffer, f)) line = buffer;
    fclose(f);
  }
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
  return line;
}

#if defined(__linux__)
std::vector<int> affinityCpus() {
  // More CPUs than cpu_set_t holds need a larger mask; 8192 is Linux's own limit.
  const size_t limit = 8192;
  cpu_set_t* set = CPU_ALLOC(limit);
  const size_t size = CPU_ALLOC_SIZE(limit);
  std::vector<int> cpus;
  CPU_ZERO_S(size, set);
  if (sched_getaffinity(0, size, set) == 0) {
    for (size_t c = 0; c < limit; c++) {
      if (CPU_ISSET_S(c, size, set)) cpus.push_back((int)c);
    }
  }
  CPU_FREE(set);
  return cpus;
}

// Smallest quota from `dir` up to the root of the mounted hierarchy.
double quotaOf(const std::string& root, std::string path, bool v2) {
  double least = 0;
  for (;;) {
    const std::string dir = root + path;
    double quota = -1, period = -1;
    if (v2) {
      const std::string line = readLine(dir + "/cpu.max");
      if (!line.empty() && line.compare(0, 3, "max") != 0) {
        if (sscanf(line.c_str(), "%lf %lf", &quota, &period) != 2) quota = -1;
      }
    } else {
      const std::string q = readLine(dir + "/cpu.cfs_quota_us");
      const std::string p = readLine(dir + "/cpu.cfs_period_us");
      if (!q.empty() && !p.empty()) quota = atof(q.c_str()), period = atof(p.c_str());
    }
    if (quota > 0 && period > 0 && (least == 0 || quota / period < least)) least = quota / period;
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos || path.empty()) return least;
    path.resize(slash);
  }
}
#endif

}  // namespace

CpuFeatures cpuFeatures() {
  CpuFeatures features = {false, false};
#if defined(__x86_64__)
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return features;
  const bool osxsave = c & (1u << 27), fma = c & (1u << 12), avx = c & (1u << 28);
  if (!osxsave || !avx) return features;
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & 6) != 6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return features;
  features.avx2 = fma && (b & (1u << 5));
  const unsigned wanted = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // F, DQ, BW, VL
  features.avx512 = features.avx2 && (low & 0xe6) == 0xe6 && (b & wanted) == wanted;
#endif
  return features;
}

std::string cpuBrand() {
#if defined(__x86_64__)
  unsigned words[12];
  if ((unsigned)__get_cpuid_max(0x80000000u, nullptr) >= 0x80000004u) {
    for (unsigned i = 0; i < 3; i++) {
      __get_cpuid(0x80000002u + i, words + 4 * i, words + 4 * i + 1, words + 4 * i + 2,
                  words + 4 * i + 3);
    }
    char text[49];
    memcpy(text, words, 48);
    text[48] = 0;
    std::string brand = text;
    const size_t first = brand.find_first_not_of(' ');
    if (first == std::string::npos) return "x86-64";
    return brand.substr(first, brand.find_last_not_of(' ') - first + 1);
  }
  return "x86-64";
#else
  const std::string model = readLine("/sys/devices/virtual/dmi/id/product_name");
  return model.empty() ? "arm64" : "arm64 (" + model + ")";
#endif
}

int affinityCount() {
#if defined(__linux__)
  const int count = (int)affinityCpus().size();
  if (count > 0) return count;
#endif
  const int cpus = (int)std::thread::hardware_concurrency();
  return cpus > 0 ? cpus : 1;
}

int physicalCores() {
#if defined(__linux__)
  std::set<std::string> cores;
  for (int cpu : affinityCpus()) {
    const std::string siblings = readLine("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                                          "/topology/thread_siblings_list");
    cores.insert(siblings.empty() ? std::to_string(cpu) : siblings);
  }
  if (!cores.empty()) return (int)cores.size();
#endif
  return affinityCount();
}

int64_t l1Bytes = [] {
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  const long bytes = sysconf(_SC_LEVEL1_DCACHE_SIZE);
  if (bytes > 0) return (int64_t)bytes;
#endif
  // For C libraries that don't say, and processors that glibc doesn't ask: "32K". Index 0 holds data, or data and code.
  return (int64_t)atoi(readLine("/sys/devices/system/cpu/cpu0/cache/index0/size").c_str()) * 1024;
}();

double cpuQuota() {
  double least = 0;
#if defined(__linux__)
  FILE* f = fopen("/proc/self/cgroup", "r");
  if (!f) return 0;
  char line[4096];
  while (fgets(line, sizeof line, f)) {
    line[strcspn(line, "\n")] = 0;
    char* controllers = strchr(line, ':');
    if (!controllers) continue;
    char* path = strchr(++controllers, ':');
    if (!path) continue;
    *path++ = 0;
    const std::string where = strcmp(path, "/") == 0 ? "" : path;
    double quota = 0;
    if (*controllers == 0) {
      quota = quotaOf("/sys/fs/cgroup", where, true);
    } else {
      for (char* c = strtok(controllers, ","); c; c = strtok(nullptr, ",")) {
        if (strcmp(c, "cpu") != 0) continue;
        quota = quotaOf("/sys/fs/cgroup/cpu", where, false);
        // Inside a container the path may be the host's; the mount then starts at our own group.
        if (quota == 0) quota = quotaOf("/sys/fs/cgroup/cpu", "", false);
        break;
      }
    }
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
  }
  fclose(f);
#endif
  return least;
}

int defaultThreads() {
  int threads = affinityCount();
  const int cores = physicalCores();
  if (cores < threads) threads = cores;
  const double quota = cpuQuota();
  if (quota > 0 && (int)quota < threads) threads = (int)quota;
  return threads < 1 ? 1 : threads;
}

unsigned long long flushDenormals() {
#if defined(__x86_64__)
  const unsigned state = _mm_getcsr();
  if ((state & 0x8040u) != 0x8040u) _mm_setcsr(state | 0x8040u);
  return state;
#elif defined(__aarch64__)
  unsigned long long state;
  __asm__ volatile("mrs %0, fpcr" : "=r"(state));
  __asm__ volatile("msr fpcr, %0" : : "r"(state | (1ull << 24)));
  return state;
#else
  return 0;
#endif
}

void restoreDenormals(unsigned long long state) {
#if defined(__x86_64__)
  if (((unsigned)state & 0x8040u) != 0x8040u) _mm_setcsr((unsigned)state);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" : : "r"(state));
#else
  (void)state;
#endif
}

}  // namespace layerwise
