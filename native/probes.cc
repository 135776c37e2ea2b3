#include "probes.h"

#include <string.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "arena.h"

namespace layerwise {
namespace {

// The sum of what `rate` of each thread gives, which is to call its argument when it is ready: that returns when all are.
template <class Rate>
double rateOfAll(int threads, Rate rate) {
  std::vector<double> rates((size_t)threads, 0.0);
  std::vector<std::thread> workers;
  std::atomic<int> ready{0};
  for (int w = 0; w < threads; w++) {
    workers.emplace_back([&, w] {
      rates[(size_t)w] = rate(w, [&] {
        ready++;
        while (ready < threads) std::this_thread::yield();
      });
    });
  }
  double total = 0;
  for (int w = 0; w < threads; w++) {
    workers[(size_t)w].join();
    total += rates[(size_t)w];
  }
  return total;
}

}  // namespace

double peakRate(const KernelTable& table, int threads, double milliseconds) {
  return rateOfAll(threads, [&](int, auto wait) {
    wait();
    return table.peak(milliseconds);
  });
}

double sweepRate(Sweep sweep, bool aroundCaches, int threads, double milliseconds) {
  // Per array 128 MiB in all, far more than a cache holds, but no thread less than 16 MiB.
  constexpr int64_t kAllFloats = int64_t{32} << 20, kLeastFloats = int64_t{4} << 20;
  const int64_t n = std::max(kLeastFloats, kAllFloats / threads / 128 * 128);
  std::vector<Arena> arenas((size_t)threads);
  for (Arena& arena : arenas) {
    if (!arena.allocate((size_t)(4 * n * 4))) return 0;
  }
  return rateOfAll(threads, [&](int w, auto wait) {
    float* data = reinterpret_cast<float*>(arenas[(size_t)w].data());
    memset(data, 0, (size_t)(4 * n * 4));
    wait();
    const auto start = std::chrono::steady_clock::now();
    double bytes = 0, passed = 0;
    do {
      bytes += currentTable()->sweep(sweep, aroundCaches, data, n);
      passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    } while (passed * 1e3 < milliseconds);
    return bytes / passed * 1e-9;
  });
}

}  // namespace layerwise
