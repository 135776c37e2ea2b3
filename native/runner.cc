// The queue and its thread. The runner is busy with a job from its first step until complete() has
// returned or the job is back in the queue; cancelJobs waits for that.
#include "runner.h"

#include <string.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "cpu.h"
#include "executor.h"
#include "spin.h"
#include "thread_pool.h"

namespace layerwise {
namespace {

bool allFinite(const float* x, int64_t n) {
  uint32_t bad = 0;
  for (int64_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, 4);
    bad |= (bits & 0x7f800000u) == 0x7f800000u;
  }
  return !bad;
}

class Runner {
 public:
  static Runner& instance() {
    static Runner* runner = new Runner;  // never destroyed, like its thread
    return *runner;
  }

  void submit(Job* job) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!started_) {
      started_ = true;
      std::thread([this] { threadLoop(); }).detach();
    }
    queue_.push_back(job);
    countWaiting();
    wake_.notify_one();
  }

  void cancel(const void* owner) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      for (auto it = queue_.begin(); it != queue_.end();) {
        if ((*it)->owner == owner) {
          delete *it;
          it = queue_.erase(it);
        } else {
          ++it;
        }
      }
      countWaiting();
      if (!busy_ || owner_ != owner) return;
      if (current_) current_->abort.store(true);
      idle_.wait(lock);
    }
  }

  void pause() {
    std::unique_lock<std::mutex> lock(mutex_);
    paused_++;
    countWaiting();
    idle_.wait(lock, [this] { return !busy_; });
  }

  void resume() {
    std::lock_guard<std::mutex> lock(mutex_);
    paused_--;
    countWaiting();
    wake_.notify_one();
  }

 private:
  // Jobs and threads that the running job lets go first when its step is done.
  void countWaiting() { waiting_.store((int)queue_.size() + paused_, std::memory_order_relaxed); }

  void threadLoop() {
    flushDenormals();
    std::unique_lock<std::mutex> lock(mutex_);
    // On one CPU, the thread that would submit could not.
    const bool spins = defaultThreads() > 1;
    for (;;) {
      if (spins && queue_.empty() && paused_ == 0) {
        // Who awaits one run after the other submits the next one soon.
        lock.unlock();
        spinUntil([this] { return waiting_.load(std::memory_order_relaxed) > 0; });
        lock.lock();
      }
      wake_.wait(lock, [this] { return !queue_.empty() && paused_ == 0; });
      Job* job = queue_.front();
      queue_.pop_front();
      countWaiting();
      busy_ = true;
      owner_ = job->owner;
      current_ = job;
      lock.unlock();
      const bool over = turn(*job);
      lock.lock();
      current_ = nullptr;
      if (over) {
        lock.unlock();
        job->complete(job);
        lock.lock();
      } else {
        queue_.push_back(job);
      }
      busy_ = false;
      countWaiting();
      idle_.notify_all();
    }
  }

  // Steps until the job is over (true) or another one waits.
  bool turn(Job& job) {
    Program& program = *job.program;
    ThreadPool& pool = ThreadPool::instance();
    std::unique_ptr<ExecutionState> state = program.takeState();
    if (!state) {
      job.error = "Program run: memory for its arena could not be allocated";
      return true;
    }
    // Others had their turns since the last step, and may have changed what lasts: the stamp is from before.
    if (job.done > 0) state->keeps = false;
    std::vector<void*> bases(job.windows.size());
    bool over = false;
    pool.acquire();
    if (!program.growScratch(*state, pool.workerLimit())) {
      job.error = "Program run: memory for its threads could not be allocated";
      over = true;
    }
    bool first = true;
    while (!over) {
      if (stopRequested(job)) {
        job.reason = Reason::kAborted;
        over = true;
        break;
      }
      if (job.done >= job.steps) {
        over = true;
        break;
      }
      // Let others go first between steps: waiting jobs, and threads that asked for a pause.
      if (!first && waiting_.load(std::memory_order_relaxed) > 0) break;
      first = false;
      for (size_t b = 0; b < bases.size(); b++) {
        bases[b] = job.windows[b].base + job.done * job.windows[b].advance;
      }
      bindPointers(program, *state, bases.data());
      DataError error = {};
      if (!runCalls(program, *state, &pool, &job.abort, &error)) {
        job.error = describe(program, error);
        over = true;
        break;
      }
      if (job.abort.load()) continue;
      job.done++;
      if (job.progress) __atomic_store_n(&job.progress[0], (int32_t)job.done, __ATOMIC_RELEASE);
      for (int32_t b : job.watch) {
        if (!allFinite((const float*)bases[(size_t)b], program.bindings()[(size_t)b].size)) {
          job.reason = Reason::kNonFinite;
          over = true;
          break;
        }
      }
    }
    pool.release();
    program.giveState(std::move(state));
    return over;
  }

  static bool stopRequested(const Job& job) {
    if (job.abort.load()) return true;
    return job.progress && __atomic_load_n(&job.progress[1], __ATOMIC_ACQUIRE) != 0;
  }

  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::deque<Job*> queue_;
  std::atomic<int> waiting_{0};
  int paused_ = 0;
  bool busy_ = false;
  const void* owner_ = nullptr;  // of the job the runner is busy with
  Job* current_ = nullptr;       // null while it is completed: who takes it back may have deleted it
  bool started_ = false;
};

}  // namespace

void submitJob(Job* job) { Runner::instance().submit(job); }
void cancelJobs(const void* owner) { Runner::instance().cancel(owner); }
void pauseJobs() { Runner::instance().pause(); }
void resumeJobs() { Runner::instance().resume(); }

std::string runHere(Program& program, void* const* bases) {
  std::unique_ptr<ExecutionState> state = program.takeState();
  if (!state) return "Program run: memory for its arena could not be allocated";
  ThreadPool& pool = ThreadPool::instance();
  const bool pooled = pool.threads() > 1 && pool.tryAcquire();
  std::string problem;
  if (pooled && !program.growScratch(*state, pool.workerLimit())) {
    problem = "Program run: memory for its threads could not be allocated";
  } else {
    bindPointers(program, *state, bases);
    const unsigned long long floats = flushDenormals();
    DataError error = {};
    if (!runCalls(program, *state, pooled ? &pool : nullptr, nullptr, &error)) {
      problem = describe(program, error);
    }
    restoreDenormals(floats);
  }
  if (pooled) pool.release();
  program.giveState(std::move(state));
  return problem;
}

}  // namespace layerwise
