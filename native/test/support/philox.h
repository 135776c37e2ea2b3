// Random bits one counter at a time.
#pragma once

#include <algorithm>
#include <cstdint>

namespace layerwise::test {

// Philox 4×32-10 as in the paper's figure, one counter at a time.
inline uint32_t philoxWord(uint32_t seed, uint32_t k1, uint32_t k2, uint32_t step, uint32_t index,
                           uint32_t last = 0) {
  uint32_t c[4] = {index >> 2, k2, step, last}, key[2] = {seed, k1};
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = (uint64_t)0xd2511f53u * c[0], p1 = (uint64_t)0xcd9e8d57u * c[2];
    const uint32_t next[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ key[0], (uint32_t)p1,
                              (uint32_t)(p0 >> 32) ^ c[3] ^ key[1], (uint32_t)p0};
    std::copy(next, next + 4, c);
    key[0] += 0x9e3779b9u;
    key[1] += 0xbb67ae85u;
  }
  return c[index & 3];
}

// The bits that philoxBelow compares: the same bit of the counters that end in 0 to 31.
inline uint32_t philoxBits(uint32_t seed, uint32_t k1, uint32_t k2, uint32_t step, uint32_t index) {
  uint32_t bits = 0;
  for (uint32_t last = 0; last < 32; last++) {
    bits = bits << 1 | (philoxWord(seed, k1, k2, step, index / 32, last) >> index % 32 & 1);
  }
  return bits;
}

}  // namespace layerwise::test
