// The runner: jobs of several owners, loops and their windows, cancelling in mid-run, runs on this
// thread meanwhile. Under ThreadSanitizer this is the proof of its locking.
#include "../runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "../dispatch.h"
#include "../thread_pool.h"
#include "support/program_builder.h"

using namespace layerwise;
using namespace layerwise::test;

namespace {

// y = y·x (a matrix product, large enough to be split) over square matrices, then loss = Σ y.
std::shared_ptr<Program> chain(int64_t n) {
  ProgramBuilder builder;
  const int x = builder.bind(kFloat32, {n, n}, Access::kRead), y = builder.bind(kFloat32, {n, n});
  const int loss = builder.bind(kFloat32, {1}, Access::kWrite),
            product = builder.arena(kFloat32, {n, n});
  builder.call(k_gemm, {y, x}, {product}, {1, n, n, n, 0, 0, 0, 0});
  const Tile scale{{n * n}, {{1}}, {{i_tanh, 1, {0}}}, {1}};
  builder.call(k_map, {product}, {y}, {}, {}, &scale);
  const Tile sum{{1, n * n, 1}, {{n * n, 1, 1}}, {}, {0}};
  builder.call(k_reduce, {y}, {loss}, {0}, {1}, &sum);
  std::string error;
  std::shared_ptr<Program> program = load(currentTable(), builder.encode(), &error);
  EXPECT_TRUE(program) << error;
  return program;
}

struct Data {
  std::vector<float> x, y, loss;
  explicit Data(int64_t n, int64_t steps = 1)
      : x((size_t)(n * n)), y(x.size()), loss((size_t)steps) {
    for (size_t i = 0; i < x.size(); i++) {
      x[i] = 0.01f * (float)((int)(i * 7 % 23) - 11);
      y[i] = 0.1f * (float)((int)(i * 5 % 19) - 9);
    }
  }
};

// Counts what is over; jobs outlive the test's locals, so it does as well.
struct Finished {
  std::mutex mutex;
  std::condition_variable changed;
  int count = 0;
  void wait(int wanted) {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return count >= wanted; });
  }
};

struct TestJob : Job {
  std::shared_ptr<Finished> finished;
  std::shared_ptr<Data> data;
  Reason* reasonOut = nullptr;
  int64_t* doneOut = nullptr;
};

TestJob* makeJob(const std::shared_ptr<Program>& program, const std::shared_ptr<Data>& data,
                 const std::shared_ptr<Finished>& finished, const void* owner) {
  auto* job = new TestJob;
  job->program = program;
  job->data = data;
  job->finished = finished;
  job->owner = owner;
  job->windows = {
      {(char*)data->x.data(), 0}, {(char*)data->y.data(), 0}, {(char*)data->loss.data(), 0}};
  job->complete = [](Job* base) {
    auto* self = static_cast<TestJob*>(base);
    const std::shared_ptr<Finished> done = self->finished;
    if (self->reasonOut) *self->reasonOut = self->reason;
    if (self->doneOut) *self->doneOut = self->done;
    EXPECT_EQ(self->error, "");
    delete self;
    std::lock_guard<std::mutex> lock(done->mutex);
    done->count++;
    done->changed.notify_all();
  };
  return job;
}

TEST(RunnerTest, GivesTheSameBitsAtAnyThreadCountHereAndThere) {
  const std::shared_ptr<Program> program = chain(150);
  const auto finished = std::make_shared<Finished>();
  std::vector<float> first;
  int jobs = 0;
  for (int threads : {1, 2, 3}) {
    ThreadPool::instance().setThreads(threads);
    const auto there = std::make_shared<Data>(150), here = std::make_shared<Data>(150);
    submitJob(makeJob(program, there, finished, &program));
    finished->wait(++jobs);
    void* bases[] = {here->x.data(), here->y.data(), here->loss.data()};
    EXPECT_EQ(runHere(*program, bases), "");
    if (first.empty()) first = there->y;
    EXPECT_EQ(there->y, first);
    EXPECT_EQ(here->y, first);
  }
}

TEST(RunnerTest, RunsJobsOfManyThreadsAtOnce) {
  ThreadPool::instance().setThreads(2);
  const std::shared_ptr<Program> program = chain(64);
  Data want(64);
  void* bases[] = {want.x.data(), want.y.data(), want.loss.data()};
  EXPECT_EQ(runHere(*program, bases), "");
  std::vector<std::thread> owners;
  for (int o = 0; o < 4; o++) {
    owners.emplace_back([&] {
      const auto finished = std::make_shared<Finished>();
      std::vector<std::shared_ptr<Data>> all;
      for (int j = 0; j < 10; j++) {
        all.push_back(std::make_shared<Data>(64));
        submitJob(makeJob(program, all.back(), finished, &finished));
        Data here(64);
        void* mine[] = {here.x.data(), here.y.data(), here.loss.data()};
        EXPECT_EQ(runHere(*program, mine), "");
        EXPECT_EQ(here.y, want.y);
      }
      finished->wait(10);
      for (const auto& data : all) EXPECT_EQ(data->y, want.y);
    });
  }
  for (std::thread& owner : owners) owner.join();
}

TEST(RunnerTest, MovesWindowsAndReportsProgress) {
  const auto data = std::make_shared<Data>(16, 5);
  const auto finished = std::make_shared<Finished>();
  int32_t progress[2] = {0, 0};
  TestJob* job = makeJob(chain(16), data, finished, nullptr);
  job->steps = 5;
  job->windows[2].advance = 4;
  job->progress = progress;
  job->watch = {1};
  submitJob(job);
  finished->wait(1);
  EXPECT_EQ(progress[0], 5);
  Data want(16);
  for (float loss : data->loss) {
    void* bases[] = {want.x.data(), want.y.data(), want.loss.data()};
    runHere(*chain(16), bases);
    EXPECT_EQ(loss, want.loss[0]);
  }
}

TEST(RunnerTest, StopsOnRequest) {
  const auto finished = std::make_shared<Finished>();
  int32_t progress[2] = {0, 0};
  Reason reason = Reason::kDone;
  TestJob* job = makeJob(chain(32), std::make_shared<Data>(32), finished, nullptr);
  job->steps = INT64_MAX / 2;
  job->progress = progress;
  job->reasonOut = &reason;
  submitJob(job);
  while (__atomic_load_n(&progress[0], __ATOMIC_ACQUIRE) < 3) std::this_thread::yield();
  __atomic_store_n(&progress[1], 1, __ATOMIC_RELEASE);
  finished->wait(1);
  EXPECT_EQ(reason, Reason::kAborted);
}

TEST(RunnerTest, PausesBetweenSteps) {
  ThreadPool::instance().setThreads(2);
  const auto data = std::make_shared<Data>(32);
  const auto finished = std::make_shared<Finished>();
  int32_t progress[2] = {0, 0};
  TestJob* job = makeJob(chain(32), data, finished, nullptr);
  job->steps = INT64_MAX / 2;
  job->progress = progress;
  submitJob(job);
  for (int turn = 0; turn < 50; turn++) {
    pauseJobs();
    // Nobody else touches the data now, which is what ThreadSanitizer checks.
    const int32_t steps = __atomic_load_n(&progress[0], __ATOMIC_ACQUIRE);
    for (float& value : data->y) value = 0.5f - value;
    EXPECT_EQ(__atomic_load_n(&progress[0], __ATOMIC_ACQUIRE), steps);
    resumeJobs();
    while (turn % 10 == 0 && __atomic_load_n(&progress[0], __ATOMIC_ACQUIRE) == steps) {
      std::this_thread::yield();
    }
  }
  __atomic_store_n(&progress[1], 1, __ATOMIC_RELEASE);
  finished->wait(1);
}

TEST(RunnerTest, CancelsAnOwnerInMidRun) {
  ThreadPool::instance().setThreads(3);
  const std::shared_ptr<Program> program = chain(100);
  for (int turn = 0; turn < 100; turn++) {
    int owner = 0, other = 0;  // only their addresses matter
    const auto finished = std::make_shared<Finished>(), others = std::make_shared<Finished>();
    for (int j = 0; j < 3; j++) {
      TestJob* job = makeJob(program, std::make_shared<Data>(100), finished, &owner);
      job->steps = INT64_MAX / 2;
      submitJob(job);
    }
    submitJob(makeJob(program, std::make_shared<Data>(100), others, &other));
    if (turn % 3 == 0) std::this_thread::yield();
    if (turn % 3 == 1) others->wait(1);
    cancelJobs(&owner);
    // Nothing of the owner's is left, and the other's job is not lost.
    others->wait(1);
  }
}

// y = x·w for a w that lasts: what was made of it is used until the stamp is another.
TEST(RunnerTest, KeepsWhatLastsUntilTheStampChanges) {
  ThreadPool::instance().setThreads(2);
  constexpr int64_t n = 40;
  ProgramBuilder builder;
  const int x = builder.bind(kFloat32, {n, n}, Access::kRead), w = builder.bind(kFloat32, {n, n}, Access::kLasts);
  const int y = builder.bind(kFloat32, {n, n}, Access::kWrite);
  builder.bind(kInt32, {1}, Access::kStamp);
  builder.call(k_gemm, {x, w}, {y}, {1, n, n, n, 0, 0, 0, 0});
  std::string error;
  const std::shared_ptr<Program> program = load(currentTable(), builder.encode(), &error);
  ASSERT_TRUE(program) << error;
  std::vector<float> ones((size_t)(n * n), 1.0f), weights(ones.size()), result(ones.size());
  int32_t stamp = 7;
  void* bases[] = {ones.data(), weights.data(), result.data(), &stamp};
  const auto product = [&](float weight) {
    std::fill(weights.begin(), weights.end(), weight);
    EXPECT_EQ(runHere(*program, bases), "");
    return result[0];
  };
  EXPECT_EQ(product(1), n);
  EXPECT_EQ(product(2), n) << "packed again though the stamp says that nothing changed";
  stamp = 8;
  EXPECT_EQ(product(3), 3 * n);
  EXPECT_EQ(product(4), 3 * n);
  stamp = 7;
  EXPECT_EQ(product(5), 5 * n) << "an old stamp is another one too";
}

// A step that was cut short has made nothing that could be kept.
TEST(RunnerTest, KeepsNothingOfAStepThatFailed) {
  constexpr int64_t n = 40;
  ProgramBuilder builder;
  const int at = builder.bind(kInt32, {1}, Access::kRead), rows = builder.bind(kFloat32, {1, n}, Access::kRead);
  const int x = builder.bind(kFloat32, {n, n}, Access::kRead), w = builder.bind(kFloat32, {n, n}, Access::kLasts);
  const int row = builder.bind(kFloat32, {1, n}, Access::kWrite), y = builder.bind(kFloat32, {n, n}, Access::kWrite);
  builder.bind(kInt32, {1}, Access::kStamp);
  builder.call(k_gather, {rows, at}, {row}, {1, 1, n, 1});
  builder.call(k_gemm, {x, w}, {y}, {1, n, n, n, 0, 0, 0, 0});
  std::string error;
  const std::shared_ptr<Program> program = load(currentTable(), builder.encode(), &error);
  ASSERT_TRUE(program) << error;
  std::vector<float> ones((size_t)(n * n), 1.0f), result(ones.size()), first((size_t)n), gathered((size_t)n);
  int32_t stamp = 1, index = 1;
  void* bases[] = {&index, first.data(), ones.data(), ones.data(), gathered.data(), result.data(), &stamp};
  EXPECT_NE(runHere(*program, bases), "");
  index = 0;
  EXPECT_EQ(runHere(*program, bases), "");
  EXPECT_EQ(result[0], n);
}

}  // namespace
