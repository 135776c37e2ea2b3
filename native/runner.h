// Runs jobs off the JavaScript threads: one runner thread per process, which holds the pool while it
// works. Jobs take turns between the steps of a loop, so a short run does not wait for a long one.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "program.h"

namespace layerwise {

enum class Reason { kDone, kAborted, kNonFinite };

struct Job {
  struct Window {
    char* base;
    int64_t advance;  // bytes per step
  };
  std::shared_ptr<Program> program;
  std::vector<Window> windows;  // by binding
  int64_t steps = 1;
  int32_t* progress = nullptr;  // [finished steps, stop request]
  std::vector<int32_t> watch;   // float32 bindings checked after each step
  bool isLoop = false;
  const void* owner = nullptr;  // the environment that submitted it

  // Called on the runner thread when the job is over; takes the job back.
  void (*complete)(Job*) = nullptr;

  // Outcome.
  int64_t done = 0;
  Reason reason = Reason::kDone;
  std::string error;
  std::atomic<bool> abort{false};

  virtual ~Job() = default;
};

// Queues the job; the runner owns it until complete().
void submitJob(Job* job);
// Drops the owner's waiting jobs and ends its running one between two calls; returns when none is left.
// Dropped jobs are deleted without complete().
void cancelJobs(const void* owner);

// Holds every job between two steps until as many resumeJobs() follow; returns when no step is running.
void pauseJobs();
void resumeJobs();

// Runs once on this thread, with the pool if it is free. Empty string, or what went wrong.
std::string runHere(Program& program, void* const* bases);

}  // namespace layerwise
