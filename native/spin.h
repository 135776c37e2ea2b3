// Waiting awake: what answers within microseconds is not worth a sleep, whose end takes a multiple of that.
#pragma once

#include <chrono>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace layerwise {

constexpr std::chrono::microseconds kSpin{50};

inline void relaxCpu() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Spins until ready() or kSpin has passed, by the clock: pause takes 40 to 140 cycles by CPU model.
template <class F>
bool spinUntil(F ready) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 16; i++) {
      if (ready()) return true;
      relaxCpu();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

}  // namespace layerwise
