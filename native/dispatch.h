// The instruction sets that are linked in, best first, and the one in use.
#pragma once

#include <string>
#include <vector>

#include "call.h"

namespace layerwise {

// Every table that is linked in, best first.
const std::vector<const KernelTable*>& compiledTables();
// Those that this CPU can run.
const std::vector<const KernelTable*>& availableTables();
// The table for Programs loaded from now on; the best available one until told otherwise.
const KernelTable* currentTable();
// False if `name` isn't available.
bool selectTable(const std::string& name);

}  // namespace layerwise
