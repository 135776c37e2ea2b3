// A function for each chain: one pass over the lanes.
#include "chain_run.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

template <int Id>
void runChain(void* const* slot, const int16_t* operands, const int16_t* results, int64_t n, ChainAround around,
              const ChainAhead& ahead) {
  const ChainRun<Id, false> chain(slot, operands, results);
  int64_t i = 0;
  if (around.ops) {
    i = around.head < n ? around.head : n;
    if (i > 0) chain.template lanes<true>(0, i, around.ops);
    for (; i + W <= n; i += W) {
      ahead.ask(i);
      chain.template lanes<false>(i, W, around.ops);
    }
  } else {
    for (; i + W <= n; i += W) chain.template lanes<false>(i, W, 0);
  }
  if (i < n) chain.template lanes<true>(i, n - i, around.ops);
}

template <size_t... Ids>
constexpr ChainFunctions functionsOf(std::index_sequence<Ids...>) {
  return {{runChain<Ids>...}};
}

}  // namespace

const ChainFunctions kChainFunctions = functionsOf(std::make_index_sequence<kChainCount>());

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
