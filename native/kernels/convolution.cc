// conv2d, conv2dInputGradient, conv2dFilterGradient: the choice of algorithm, by shape alone.
#include "convolution.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// custom[15] is the algorithm; the others are its own.
enum Algorithm : int64_t { kPatches, kDepthwise, kWinograd, kImages };

void plan_conv2d(Call& call) {
  const bool filter = call.kernel == k_conv2dFilterGradient;
  if (Geometry(call).depthwise()) {
    if (filter) planDepthwiseFilter(call);
    else planDepthwise(call);
    call.custom[15] = kDepthwise;
  } else if (filter ? planWinogradFilter(call) : planWinograd(call)) {
    call.custom[15] = kWinograd;
  } else if (filter ? planImagesFilter(call) : planImages(call)) {
    call.custom[15] = kImages;
  } else {
    if (filter) planFilterGradient(call);
    else planPatches(call);
    call.custom[15] = kPatches;
  }
}
void run_conv2d(const Call& call, const Run& run, int phase, int64_t part, int64_t parts) {
  const auto algorithm = call.custom[15] == kDepthwise  ? runDepthwise
                         : call.custom[15] == kWinograd ? runWinograd
                         : call.custom[15] == kImages   ? runImages
                                                        : runPatches;
  algorithm(call, run, phase, part, parts);
}

void plan_conv2dInputGradient(Call& call) { plan_conv2d(call); }
void run_conv2dInputGradient(const Call& call, const Run& run, int phase, int64_t part, int64_t parts) {
  run_conv2d(call, run, phase, part, parts);
}

void plan_conv2dFilterGradient(Call& call) { plan_conv2d(call); }
void run_conv2dFilterGradient(const Call& call, const Run& run, int phase, int64_t part,
                              int64_t parts) {
  const auto algorithm = call.custom[15] == kDepthwise  ? runDepthwiseFilter
                         : call.custom[15] == kWinograd ? runWinogradFilter
                         : call.custom[15] == kImages   ? runImagesFilter
                                                        : runFilterGradient;
  algorithm(call, run, phase, part, parts);
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
