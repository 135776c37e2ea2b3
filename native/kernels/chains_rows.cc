// Chains over several rows at once. What they read of a column, a mean or a scale, is read once for all of them: with fewer
// instructions to a line, a core has more lines under way.
#include "chain_run.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

// Rows at once. Two gain half as much, eight as good as nothing: so many streams the hardware does not follow.
constexpr int kRows = 4;

template <int Id, int ROWS, bool AROUND>
LW_INLINE void runLanes(ChainRun<Id, false, true>& chain, int64_t at, int64_t stride, int64_t n, bool asks) {
  for (int64_t i = 0; i < n; i += W) {
    chain.readColumns(i);
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; r++) {
      const int64_t lane = at + r * stride + i;
      if (asks) chain.ask(lane + kRows * stride, false);
      chain.template lanes<false>(lane, W, AROUND ? storedOf(kChains[Id]) : 0);
    }
  }
}

template <int Id, bool AROUND>
LW_INLINE void runAll(ChainRun<Id, false, true>& chain, int64_t n, int64_t rows, int64_t stride, bool asks) {
  int64_t r = 0;
  for (; r + kRows <= rows; r += kRows) runLanes<Id, kRows, AROUND>(chain, r * stride, stride, n, asks);
  for (; r < rows; r++) runLanes<Id, 1, AROUND>(chain, r * stride, stride, n, false);
}

template <int Id>
void runRows(void* const* slot, const int16_t* operands, const int16_t* results, int64_t n, int64_t rows, int64_t stride,
             bool around, bool asks) {
  ChainRun<Id, false, true> chain(slot, operands, results);
  if (around) runAll<Id, true>(chain, n, rows, stride, asks);
  else runAll<Id, false>(chain, n, rows, stride, asks);
}

template <int Id>
constexpr RowsFunction rowsFunction() {
  if constexpr (kRunsRows && kChains[Id].columns != 0) return runRows<Id>;
  else return nullptr;
}
template <size_t... Ids>
constexpr RowsFunctions functionsOf(std::index_sequence<Ids...>) {
  return {{rowsFunction<Ids>()...}};
}

}  // namespace

const RowsFunctions kRowsFunctions = functionsOf(std::make_index_sequence<kChainCount>());

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
