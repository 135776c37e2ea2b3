// The kernel table of one instruction set: what dispatch.cc picks from.
#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

#define LW_TEXT(x) #x
#define LW_NAME(x) LW_TEXT(x)

extern const KernelTable kTable;
const KernelTable kTable = {
    LW_NAME(LAYERWISE_ISA_NAMESPACE),
    {
#define KERNEL(name) {plan_##name, run_##name},
#include "../kernels.def"
#undef KERNEL
    },
    measurePeak,
    sweepPass,
};

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
