// Spin, then park: a worker spins for kSpin after its last part and then sleeps on a futex, so that a
// Program's regions follow each other in under a microsecond while an idle process uses no CPU.
#include "thread_pool.h"

#include <thread>

#include "cpu.h"
#include "spin.h"

#if defined(__linux__)
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <condition_variable>
#endif

namespace layerwise {
namespace {

constexpr uint64_t kFieldMask = 0xffff;

uint64_t nextOf(uint64_t region) { return region & kFieldMask; }
uint64_t partsOf(uint64_t region) { return region >> 16 & kFieldMask; }

#if defined(__linux__)
void sleepWhile(std::atomic<uint32_t>& word, uint32_t value) {
  syscall(SYS_futex, (uint32_t*)&word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}
void wakeAll(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, (uint32_t*)&word, FUTEX_WAKE_PRIVATE, 0x7fffffff, nullptr, nullptr, 0);
}
#else
// Elsewhere one mutex and condition variable stand in for all futexes.
std::mutex& sleepMutex() {
  static std::mutex* m = new std::mutex;
  return *m;
}
std::condition_variable& sleepSignal() {
  static std::condition_variable* c = new std::condition_variable;
  return *c;
}
void sleepWhile(std::atomic<uint32_t>& word, uint32_t value) {
  std::unique_lock<std::mutex> lock(sleepMutex());
  if (word.load() == value) sleepSignal().wait(lock);
}
void wakeAll(std::atomic<uint32_t>&) {
  std::lock_guard<std::mutex> lock(sleepMutex());
  sleepSignal().notify_all();
}
#endif

}  // namespace

// Never destroyed: its threads outlive every environment and static destructor.
ThreadPool& ThreadPool::instance() {
  static ThreadPool* pool = new ThreadPool;
  return *pool;
}

ThreadPool::ThreadPool() : wanted_(defaultThreads()) {}

void ThreadPool::setThreads(int count) { wanted_.store(count < 1 ? 1 : count); }

void ThreadPool::acquire() {
  owner_.lock();
  prepare();
}

bool ThreadPool::tryAcquire() {
  if (!owner_.try_lock()) return false;
  prepare();
  return true;
}

void ThreadPool::prepare() {
  const int wanted = wanted_.load(std::memory_order_relaxed);
  if (wanted == active_.load(std::memory_order_relaxed)) return;
  while (spawned_ < wanted) {
    const int id = spawned_;
    std::thread([this, id] { workerLoop(id); }).detach();
    spawned_++;
  }
  active_.store(wanted);
}

// Does parts until none is left to claim; true if it did any.
bool ThreadPool::help(int worker) {
  bool any = false;
  for (;;) {
    uint64_t region = region_.load(std::memory_order_acquire);
    if (nextOf(region) >= partsOf(region)) return any;
    region = region_.fetch_add(1, std::memory_order_acq_rel);
    if (nextOf(region) >= partsOf(region)) return any;
    const uint32_t parts = (uint32_t)partsOf(region);
    task_(context_, (int64_t)nextOf(region), worker);
    any = true;
    if (done_.fetch_add(1) + 1 == parts && holderSleeps_.load()) wakeAll(done_);
  }
}

void ThreadPool::workerLoop(int id) {
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "layerwise");
#endif
  flushDenormals();
  const auto ready = [this, id] {
    const uint64_t region = region_.load(std::memory_order_acquire);
    return nextOf(region) < partsOf(region) && id < active_.load(std::memory_order_relaxed);
  };
  for (;;) {
    if (spinUntil(ready)) {
      help(id);
      continue;
    }
    const uint32_t seen = wakeups_.load();
    sleepers_.fetch_add(1);
    if (!ready()) sleepWhile(wakeups_, seen);
    sleepers_.fetch_sub(1);
  }
}

void ThreadPool::parallel(int64_t parts, Task task, void* context) {
  task_ = task;
  context_ = context;
  done_.store(0, std::memory_order_relaxed);
  holderSleeps_.store(0, std::memory_order_relaxed);
  const uint64_t epoch = (region_.load(std::memory_order_relaxed) >> 32) + 1;
  region_.store(epoch << 32 | (uint64_t)parts << 16);
  if (sleepers_.load() > 0) {
    wakeups_.fetch_add(1);
    wakeAll(wakeups_);
  }
  help(0);
  const auto finished = [&] { return done_.load(std::memory_order_acquire) == (uint32_t)parts; };
  while (!finished() && !spinUntil(finished)) {
    holderSleeps_.store(1);
    const uint32_t seen = done_.load();
    if (seen != (uint32_t)parts) sleepWhile(done_, seen);
  }
}

}  // namespace layerwise
