// While a Program runs, nothing is allocated: all memory was laid out when it was loaded. (C++'s operator new is counted; the
// one place that takes memory otherwise is arena.cc.)
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "../dispatch.h"
#include "../executor.h"
#include "../thread_pool.h"
#include "support/random_program.h"

namespace {

std::atomic<bool> counts{false};
std::atomic<int64_t> allocations{0};

void* allocate(size_t bytes) {
  if (counts) allocations++;
  void* const memory = std::malloc(bytes > 0 ? bytes : 1);
  if (!memory) std::abort();
  return memory;
}

}  // namespace

void* operator new(size_t bytes) { return allocate(bytes); }
void* operator new[](size_t bytes) { return allocate(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

using namespace layerwise;
using namespace layerwise::test;

namespace {

TEST(AllocationTest, SeesAllocations) {
  counts = true;
  const int64_t before = allocations;
  std::vector<int>(100).swap(*std::make_unique<std::vector<int>>(50));
  counts = false;
  EXPECT_GE(allocations - before, 3);
}

TEST(AllocationTest, RunsOfRandomProgramsAllocateNothing) {
  Random random(11);
  ThreadPool& pool = ThreadPool::instance();
  pool.setThreads(2);
  int64_t calls = 0;
  for (int i = 0; i < 400; i++) {
    std::string error;
    const std::shared_ptr<Program> program = load(currentTable(), randomProgram(random), &error);
    if (!program) continue;  // some share memory that they may not
    std::vector<Bytes> data = randomBindings(*program, random);
    std::vector<void*> bases;
    for (Bytes& bytes : data) bases.push_back(bytes.data());
    const std::unique_ptr<ExecutionState> state = program->takeState();
    ASSERT_TRUE(state);
    pool.acquire();
    ASSERT_TRUE(program->growScratch(*state, pool.workerLimit()));
    DataError problem = {};
    const int64_t before = allocations;
    counts = true;
    bindPointers(*program, *state, bases.data());
    runCalls(*program, *state, &pool, nullptr, &problem);
    counts = false;
    pool.release();
    ASSERT_EQ(allocations, before) << "Program " << i;
    calls += (int64_t)program->calls().size();
  }
  EXPECT_GT(calls, 400);
}

}  // namespace
