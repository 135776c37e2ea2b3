#include "reference.h"

namespace layerwise::test {
namespace {

std::shared_ptr<Program> loaded(const KernelTable* table, const ProgramBuilder& builder) {
  std::string error;
  std::shared_ptr<Program> program = load(table, builder.encode(), &error);
  EXPECT_TRUE(program) << error;
  return program;
}

}  // namespace

std::vector<Bytes> KernelTest::run(const ProgramBuilder& builder,
                                   const std::vector<Bytes>& bindings) {
  const std::shared_ptr<Program> program = loaded(GetParam(), builder);
  if (!program) return bindings;
  Outcome first;
  for (int threads = 1; threads <= 3; threads++) {
    for (Guard guard : {Guard::kBehind, Guard::kBefore}) {
      const Outcome outcome = runGuarded(*program, bindings, threads, Parts::kInThreads, guard);
      EXPECT_EQ(outcome.error, "");
      EXPECT_EQ(outcome.violation, "");
      if (first.bindings.empty()) first = outcome;
      EXPECT_EQ(difference(*program, first, outcome), "") << "1 and " << threads << " threads";
    }
  }
  ProgramBuilder lasting = builder;
  if (!lasting.letOperandsLast()) return first.bindings;
  const std::shared_ptr<Program> keeping = loaded(GetParam(), lasting);
  if (!keeping) return first.bindings;
  std::vector<Bytes> stamped = bindings;
  stamped.emplace_back(4, (uint8_t)0);
  for (int threads : {1, 3}) {
    Outcome outcome = runGuarded(*keeping, stamped, threads, Parts::kInThreads, threads == 1 ? Guard::kBefore : Guard::kBehind);
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.violation, "");
    outcome.bindings.pop_back();
    EXPECT_EQ(difference(*program, first, outcome), "") << "an operand that lasts, " << threads << " threads";
  }
  return first.bindings;
}

std::string KernelTest::failure(const ProgramBuilder& builder, const std::vector<Bytes>& bindings) {
  const std::shared_ptr<Program> program = loaded(GetParam(), builder);
  if (!program) return "";
  return runGuarded(*program, bindings, 1, Parts::kInThreads, Guard::kBehind).error;
}

std::string tableName(const testing::TestParamInfo<const KernelTable*>& info) {
  return info.param->name;
}

}  // namespace layerwise::test
