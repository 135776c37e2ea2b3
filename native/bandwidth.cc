#include "bandwidth.h"

#include <string.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "arena.h"
#include "dispatch.h"

namespace layerwise {

double sweepRate(Sweep sweep, bool aroundCaches, int threads, double milliseconds) {
  // Per array 128 MiB in all, far more than a cache holds, but no thread less than 16 MiB.
  constexpr int64_t kAllFloats = int64_t{32} << 20, kLeastFloats = int64_t{4} << 20;
  const int64_t n = std::max(kLeastFloats, kAllFloats / threads / 128 * 128);
  std::vector<Arena> arenas((size_t)threads);
  for (Arena& arena : arenas) {
    if (!arena.allocate((size_t)(4 * n * 4))) return 0;
  }
  std::vector<double> rates((size_t)threads, 0.0);
  std::vector<std::thread> workers;
  std::atomic<int> ready{0};
  for (int w = 0; w < threads; w++) {
    workers.emplace_back([&, w] {
      float* data = reinterpret_cast<float*>(arenas[(size_t)w].data());
      memset(data, 0, (size_t)(4 * n * 4));
      ready++;
      while (ready < threads) std::this_thread::yield();
      const auto start = std::chrono::steady_clock::now();
      double bytes = 0, passed = 0;
      do {
        bytes += currentTable()->sweep(sweep, aroundCaches, data, n);
        passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      } while (passed * 1e3 < milliseconds);
      rates[(size_t)w] = bytes / passed * 1e-9;
    });
  }
  double total = 0;
  for (int w = 0; w < threads; w++) {
    workers[(size_t)w].join();
    total += rates[(size_t)w];
  }
  return total;
}

}  // namespace layerwise
