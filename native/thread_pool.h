// One pool per process. Who holds it may run parallel regions, with the holder's own thread as worker 0.
// A region is a number of parts that the workers claim one by one, so a worker that is late or
// descheduled holds up nobody; which worker computes a part never changes a result.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

namespace layerwise {

class ThreadPool {
 public:
  using Task = void (*)(void* context, int64_t part, int worker);

  static ThreadPool& instance();

  // Threads of a region, the holder's included. Takes effect when the pool is next acquired.
  void setThreads(int count);
  int threads() const { return wanted_.load(std::memory_order_relaxed); }

  void acquire();
  bool tryAcquire();
  void release() { owner_.unlock(); }

  // Only for the holder. Workers of this acquisition, worker 0 included.
  int activeThreads() const { return active_.load(std::memory_order_relaxed); }
  // Worker ids stay below this; threads once started count even when they are no longer used.
  int workerLimit() const { return spawned_; }
  // Runs task(context, part, worker) for every part; returns when all are done. parts < 32768.
  void parallel(int64_t parts, Task task, void* context);

 private:
  ThreadPool();
  void prepare();
  void workerLoop(int id);
  bool help(int worker);

  std::mutex owner_;
  std::atomic<int> wanted_{1};
  std::atomic<int> active_{1};
  int spawned_ = 1;

  // Epoch (32 bits) | parts (16) | next part (16). A claimed part pins the region: task_ and context_
  // don't change until it is done. Each on its own pair of cache lines.
  alignas(128) std::atomic<uint64_t> region_{0};
  Task task_ = nullptr;
  void* context_ = nullptr;
  alignas(128) std::atomic<uint32_t> done_{0};
  std::atomic<uint32_t> holderSleeps_{0};
  alignas(128) std::atomic<uint32_t> wakeups_{0};
  std::atomic<uint32_t> sleepers_{0};
};

}  // namespace layerwise
