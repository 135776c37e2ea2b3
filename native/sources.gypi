# The one list of sources, read by build.gypi and by CMakeLists.txt (which takes every quoted .cc).
{
  "variables": {
    "core_files": [
      "program.cc",
      "program_check.cc",
      "tile_plan.cc",
      "executor.cc",
      "runner.cc",
      "thread_pool.cc",
      "arena.cc",
      "cpu.cc",
      "dispatch.cc",
    ],
    "kernel_files": [
      "kernels/table.cc",
      "kernels/instructions.cc",
      "kernels/map.cc",
      "kernels/reduce.cc",
      "kernels/matmul.cc",
      "kernels/convolution.cc",
      "kernels/movement.cc",
      "kernels/gather.cc",
      "kernels/softmax.cc",
      "kernels/normalization.cc",
      "kernels/select.cc",
      "kernels/pooling.cc",
      "kernels/image.cc",
      "kernels/probe.cc",
    ],
  },
}
