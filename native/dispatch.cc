// One row per instruction set, in order of preference. The list is walked once.
#include "dispatch.h"

#include <atomic>

#include "cpu.h"

namespace layerwise {

#if defined(__x86_64__)
namespace avx512 {
extern const KernelTable kTable;
}
namespace avx2 {
extern const KernelTable kTable;
}
namespace baseline {
extern const KernelTable kTable;
}
#elif defined(__aarch64__)
namespace neon {
extern const KernelTable kTable;
}
#endif

namespace {

struct Row {
  const KernelTable* table;
  bool runs;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> list = [] {
    const CpuFeatures cpu = cpuFeatures();
    (void)cpu;
    return std::vector<Row>{
#if defined(__x86_64__)
        {&avx512::kTable, cpu.avx512},
        {&avx2::kTable, cpu.avx2},
        {&baseline::kTable, true},
#elif defined(__aarch64__)
        {&neon::kTable, true},
#endif
    };
  }();
  return list;
}

std::atomic<const KernelTable*>& chosen() {
  static std::atomic<const KernelTable*> table{availableTables().front()};
  return table;
}

}  // namespace

const std::vector<const KernelTable*>& compiledTables() {
  static const std::vector<const KernelTable*> list = [] {
    std::vector<const KernelTable*> tables;
    for (const Row& row : rows()) tables.push_back(row.table);
    return tables;
  }();
  return list;
}

const std::vector<const KernelTable*>& availableTables() {
  static const std::vector<const KernelTable*> list = [] {
    std::vector<const KernelTable*> tables;
    for (const Row& row : rows()) {
      if (row.runs) tables.push_back(row.table);
    }
    return tables;
  }();
  return list;
}

const KernelTable* currentTable() { return chosen().load(); }

bool selectTable(const std::string& name) {
  for (const KernelTable* table : availableTables()) {
    if (name == table->name) {
      chosen().store(table);
      return true;
    }
  }
  return false;
}

}  // namespace layerwise
