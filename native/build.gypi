# All targets of the addon. The kernels are compiled once per instruction set, as static libraries that
# differ in name, flags and namespace only; the addon links them all and dispatch.cc picks one at load.
{
  "includes": ["sources.gypi"],
  "variables": {
    "warnings": ["-Wall", "-Wextra", "-Wno-psabi"],
    # GCC 12 takes the deliberately undefined operand of some AVX-512 intrinsics for a mistake.
    "kernel_flags": ["-O3", "-ffp-contract=off", "-fno-strict-aliasing", "-fwrapv", "-fno-math-errno",
                     "-fno-trapping-math", "-fno-exceptions", "-fno-rtti", "-Wno-maybe-uninitialized"],
    "core_flags": ["-fwrapv"],
  },
  "target_defaults": {
    "cflags": ["<@(warnings)", "-fvisibility=hidden"],
    "cflags_cc": ["-std=c++17", "-fvisibility-inlines-hidden"],
    "xcode_settings": {
      "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
      "CLANG_CXX_LIBRARY": "libc++",
      "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
      "MACOSX_DEPLOYMENT_TARGET": "11.0",
      "OTHER_CFLAGS": ["<@(kernel_flags)"],
    },
  },
  "targets": [
    {
      "target_name": "layerwise",
      "sources": ["addon.cc", "<@(core_files)"],
      "include_dirs": ["<(module_root_dir)/node_modules/node-addon-api"],
      "defines": ["NAPI_VERSION=8", "NAPI_DISABLE_CPP_EXCEPTIONS"],
      "cflags": ["<@(core_flags)"],
      "ldflags": ["-static-libstdc++", "-static-libgcc", "-Wl,--exclude-libs,ALL", "-Wl,-z,nodelete"],
      "conditions": [
        ["target_arch=='x64'", {
          "dependencies": ["kernels_baseline", "kernels_avx2", "kernels_avx512"],
        }],
        ["target_arch=='arm64'", {
          "dependencies": ["kernels_neon"],
        }],
      ],
    },
  ],
  "conditions": [
    ["target_arch=='x64'", {
      "targets": [
        {
          "target_name": "kernels_baseline",
          "type": "static_library",
          "sources": ["<@(kernel_files)"],
          "defines": ["LAYERWISE_ISA_NAMESPACE=baseline"],
          "cflags": ["<@(kernel_flags)"],
        },
        {
          "target_name": "kernels_avx2",
          "type": "static_library",
          "sources": ["<@(kernel_files)"],
          "defines": ["LAYERWISE_ISA_NAMESPACE=avx2"],
          "cflags": ["<@(kernel_flags)", "-mavx2", "-mfma"],
        },
        {
          "target_name": "kernels_avx512",
          "type": "static_library",
          "sources": ["<@(kernel_files)"],
          "defines": ["LAYERWISE_ISA_NAMESPACE=avx512"],
          "cflags": ["<@(kernel_flags)", "-mavx2", "-mfma", "-mavx512f", "-mavx512vl", "-mavx512bw",
                     "-mavx512dq", "-mprefer-vector-width=512"],
        },
      ],
    }],
    ["target_arch=='arm64'", {
      "targets": [
        {
          "target_name": "kernels_neon",
          "type": "static_library",
          "sources": ["<@(kernel_files)"],
          "defines": ["LAYERWISE_ISA_NAMESPACE=neon"],
          "cflags": ["<@(kernel_flags)"],
        },
      ],
    }],
  ],
}
