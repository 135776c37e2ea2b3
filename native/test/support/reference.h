// What the kernels are compared with: plain loops in double, written from docs/program.md and not
// from the kernels. Tolerances are the caller's, per kernel and with a reason.
#pragma once

#include <gtest/gtest.h>
#include <string.h>

#include <cmath>
#include <vector>

#include "../../dispatch.h"
#include "guarded_run.h"

namespace layerwise::test {

template <class T>
std::vector<T> valuesOf(const Bytes& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!bytes.empty()) memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

// A suite whose tests run once per instruction set of this CPU.
class KernelTest : public testing::TestWithParam<const KernelTable*> {
 protected:
  // Runs with 1, 2 and 3 threads and guards behind and before every tensor, and with second operands of products that
  // last; all must give the same bits.
  std::vector<Bytes> run(const ProgramBuilder& builder, const std::vector<Bytes>& bindings);
  // The same for a run that must end in a data error.
  std::string failure(const ProgramBuilder& builder, const std::vector<Bytes>& bindings);
};

// |got − want| ≤ bound(i), or both NaN.
template <class Bound>
void expectNear(const Bytes& got, const std::vector<double>& want, Bound bound) {
  const std::vector<float> values = valuesOf<float>(got);
  ASSERT_EQ(values.size(), want.size());
  for (size_t i = 0; i < want.size(); i++) {
    if (std::isnan(want[i]) && std::isnan(values[i])) continue;
    if (values[i] == want[i]) continue;
    ASSERT_LE(std::abs(values[i] - want[i]), bound(i))
        << "element " << i << ": got " << values[i] << ", expected " << want[i];
  }
}

template <class T>
void expectEqual(const Bytes& got, const std::vector<T>& want) {
  ASSERT_EQ(valuesOf<T>(got), want);
}

// Half a unit in the last place of float32, relative.
constexpr double kHalfUlp = 0x1p-24;

std::string tableName(const testing::TestParamInfo<const KernelTable*>& info);

// Defines the suite `name` for every instruction set.
#define LAYERWISE_KERNEL_SUITE(name)                                                   \
  class name : public layerwise::test::KernelTest {};                                  \
  INSTANTIATE_TEST_SUITE_P(Isa, name, testing::ValuesIn(layerwise::availableTables()), \
                           layerwise::test::tableName)

}  // namespace layerwise::test
