// Seeded random numbers: the same on every machine, unlike the standard library's distributions.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <initializer_list>
#include <vector>

namespace layerwise::test {

// SplitMix64 (Steele, Lea and Flood 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  // An integer in [0, n).
  int64_t below(int64_t n) { return (int64_t)(bits() % (uint64_t)n); }
  bool chance(double p) { return uniform() < p; }
  double uniform() { return (double)(bits() >> 11) * 0x1p-53; }
  float between(float low, float high) { return low + (high - low) * (float)uniform(); }
  template <class T>
  T pick(std::initializer_list<T> items) {
    return items.begin()[below((int64_t)items.size())];
  }

  std::vector<float> floats(int64_t n, float low = -1, float high = 1) {
    std::vector<float> values((size_t)n);
    for (float& value : values) value = between(low, high);
    return values;
  }
  std::vector<int32_t> ints(int64_t n, int64_t low, int64_t high) {
    std::vector<int32_t> values((size_t)n);
    for (int32_t& value : values) value = (int32_t)(low + below(high - low));
    return values;
  }

 private:
  uint64_t state_;
};

}  // namespace layerwise::test
