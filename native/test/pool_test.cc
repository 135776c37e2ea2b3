// The thread pool: every part once, results of parts visible to the holder, thread counts that
// change, parts that are slow, holders that take turns.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "../thread_pool.h"

using layerwise::ThreadPool;

namespace {

// Holds the pool with a number of threads.
struct Held {
  ThreadPool& pool = ThreadPool::instance();
  explicit Held(int threads) {
    pool.setThreads(threads);
    pool.acquire();
  }
  ~Held() { pool.release(); }
};

template <class F>
void parallel(ThreadPool& pool, int64_t parts, F f) {
  pool.parallel(
      parts,
      [](void* context, int64_t part, int worker) { (*static_cast<F*>(context))(part, worker); },
      &f);
}

TEST(PoolTest, RunsEveryPartOnce) {
  for (int threads : {1, 2, 3, 8}) {
    Held held(threads);
    for (int64_t parts : {1, 2, 3, 7, 64, 1000, 4096}) {
      // Not atomic: that each is written by one thread and read after it is what ThreadSanitizer
      // checks.
      std::vector<int> runs((size_t)parts, 0);
      std::atomic<bool> known{true};
      parallel(held.pool, parts, [&](int64_t part, int worker) {
        runs[(size_t)part]++;
        if (worker < 0 || worker >= held.pool.workerLimit()) known = false;
      });
      EXPECT_EQ(runs, std::vector<int>((size_t)parts, 1)) << threads << " threads";
      EXPECT_TRUE(known);
    }
  }
}

TEST(PoolTest, OrdersRegionsThatFollowEachOther) {
  Held held(3);
  std::vector<int64_t> values(48, 0);
  constexpr int64_t kRegions = 20000;
  for (int64_t region = 0; region < kRegions; region++) {
    parallel(held.pool, 3, [&](int64_t part, int) {
      // Reads what another part wrote in the region before.
      const int64_t from = (part + 1) % 3;
      if (region % 2) values[(size_t)part] = values[(size_t)(24 + from)] + 1;
      else values[(size_t)(24 + part)] = values[(size_t)from] + 1;
    });
  }
  for (int part = 0; part < 3; part++) EXPECT_EQ(values[(size_t)part], kRegions);
}

TEST(PoolTest, WakesWorkersThatSleep) {
  Held held(3);
  for (int turn = 0; turn < 20; turn++) {
    // Longer than workers spin.
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> done{0};
    parallel(held.pool, 3, [&](int64_t part, int) {
      // The holder sleeps in turn while the others work.
      if (part > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      done++;
    });
    EXPECT_EQ(done, 3);
  }
}

TEST(PoolTest, GivesEachWorkerAnIdOfItsOwn) {
  Held held(4);
  for (int turn = 0; turn < 200; turn++) {
    std::vector<std::atomic<int>> inside((size_t)held.pool.workerLimit());
    std::atomic<bool> shared{false};
    parallel(held.pool, 16, [&](int64_t, int worker) {
      if (inside[(size_t)worker].fetch_add(1) != 0) shared = true;
      std::this_thread::yield();
      inside[(size_t)worker]--;
    });
    EXPECT_FALSE(shared);
  }
}

TEST(PoolTest, HasOneHolderAtATime) {
  ThreadPool& pool = ThreadPool::instance();
  pool.setThreads(2);
  int64_t held = 0;  // guarded by holding the pool
  std::vector<std::thread> holders;
  for (int h = 0; h < 4; h++) {
    holders.emplace_back([&pool, &held, h] {
      for (int turn = 0; turn < 200; turn++) {
        if (h % 2) pool.acquire();
        else if (!pool.tryAcquire()) continue;
        held++;
        std::vector<int> runs(5, 0);
        parallel(pool, 5, [&](int64_t part, int) { runs[(size_t)part]++; });
        EXPECT_EQ(runs, std::vector<int>(5, 1));
        pool.release();
      }
    });
  }
  for (std::thread& holder : holders) holder.join();
  EXPECT_GE(held, 400);
}

TEST(PoolTest, ChangesItsSizeBetweenHolders) {
  for (int turn = 0; turn < 50; turn++) {
    const int threads = 1 + turn % 5;
    Held held(threads);
    EXPECT_EQ(held.pool.activeThreads(), threads);
    std::atomic<int64_t> sum{0};
    parallel(held.pool, 100, [&](int64_t part, int) { sum += part; });
    EXPECT_EQ(sum, 4950);
  }
}

}  // namespace
