// Random bits by counters: the words of Philox, and lanes that are compared with a threshold bit by bit.
#pragma once

#include "../call.h"
#include "../simd/vec.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// One Philox multiplication for the counters in the low halves of 64-bit lanes; what stands in the high
// halves is ignored and may be anything.
LW_INLINE VL wideProduct(VL a, VL multiplier) { return mulEven((VU)a, (VU)multiplier); }

// The words of W / 2 counters, one in each 64-bit lane of c0..c3, put in order: counter i's four in 128 bits
// of their own. The counters stand in the lanes as counterOfLane says.
LW_INLINE void inOrder(VL c0, VL c1, VL c2, VL c3, VI& first, VI& second) {
  VI odd = {}, low = {}, high = {};
  for (int l = 0; l < W; l++) {
    odd[l] = l % 2 ? W + l : l;
    low[l] = l / 4 * 4 + l % 2 + (l / 2 % 2 ? W : 0);
    high[l] = low[l] + 2;
  }
  const VI a = __builtin_shuffle((VI)c0, (VI)(c1 << 32), odd), b = __builtin_shuffle((VI)c2, (VI)(c3 << 32), odd);
  first = __builtin_shuffle(a, b, low);
  second = __builtin_shuffle(a, b, high);
}
// Which of W / 2 counters a 64-bit lane has: inOrder takes the lower of each pair of lanes to its first half.
LW_INLINE uint64_t counterOfLane(int lane) { return (uint64_t)(lane / 2 + lane % 2 * (W / 4)); }

constexpr uint32_t kMultiplier0 = 0xd2511f53u, kMultiplier1 = 0xcd9e8d57u;
constexpr uint32_t kStep0 = 0x9e3779b9u, kStep1 = 0xbb67ae85u;

// A stream of random numbers: what its name, that is all but the counter, makes of the first two rounds, and the other
// rounds' keys, in all lanes: from memory they cost nothing, made in each round as much as the multiplications.
struct RandomStream {
  VL key0[10], key1[10];
  VL name, second0, second2, second3;  // what goes into words of the first two rounds
};
LW_INLINE void openStream(RandomStream& s, const void* seed, const void* step, const TileOp& op) {
  uint32_t seedWord, stepWord;
  memcpy(&seedWord, seed, 4);
  memcpy(&stepWord, step, 4);
  const uint32_t keyWord = op.k0, counterWord = op.k1;
  const auto all = [](uint32_t x) { return (uint64_t)x - (VL){}; };
  // The counter's second and third word are the same for all, and so are the first round's second product and the second
  // round's first.
  const uint64_t p1 = (uint64_t)kMultiplier1 * stepWord;
  const uint64_t p0 = (uint64_t)kMultiplier0 * ((uint32_t)(p1 >> 32) ^ counterWord ^ seedWord);
  s.name = all(keyWord);
  s.second0 = all((uint32_t)p1 ^ (seedWord + kStep0));
  s.second2 = all((uint32_t)(p0 >> 32) ^ (keyWord + kStep1));
  s.second3 = all((uint32_t)p0);
  VL k0 = all(seedWord), k1 = all(keyWord);
  for (int round = 0; round < 10; round++) {
    s.key0[round] = k0;
    s.key1[round] = k1;
    k0 += (uint64_t)kStep0 - (VL){};  // what runs into the high halves never matters
    k1 += (uint64_t)kStep1 - (VL){};
  }
}

// Philox 4×32-10 (Salmon et al., SC 2011) for V·W/2 counters at once: V vectors of counters, one in each 64-bit lane, so
// that a product's halves need no shuffling. Counter i has first + i mod BLOCKS as its first word and last + i / BLOCKS as
// its last.
template <int V, int BLOCKS>
LW_INLINE void philoxWords(const RandomStream& stream, uint32_t first, uint32_t last, VI words[2 * V]) {
  const VL m0 = (uint64_t)kMultiplier0 - (VL){}, m1 = (uint64_t)kMultiplier1 - (VL){};
  const auto all = [](uint32_t x) { return (uint64_t)x - (VL){}; };
  VL c0[V], c1[V], c2[V], c3[V];
#pragma GCC unroll 8
  for (int v = 0; v < V; v++) {
    VL block = {}, rank = {};
    for (int l = 0; l < W / 2; l++) {
      const uint64_t i = (uint64_t)(v * W / 2) + counterOfLane(l);
      block[l] = i % BLOCKS;
      rank[l] = i / BLOCKS;
    }
    // Sums may run into the high halves, which never matter.
    const VL p = wideProduct(block + all(first), m0);
    c2[v] = (p >> 32) ^ (rank + all(last)) ^ stream.name;
    c3[v] = p;
  }
#pragma GCC unroll 8
  for (int v = 0; v < V; v++) {
    const VL p = wideProduct(c2[v], m1);
    c0[v] = (p >> 32) ^ stream.second0;
    c1[v] = p;
    c2[v] = c3[v] ^ stream.second2;
    c3[v] = stream.second3;
  }
#pragma GCC unroll 8
  for (int round = 2; round < 10; round++) {
    const VL key0 = stream.key0[round], key1 = stream.key1[round];
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) {
      const VL q0 = wideProduct(c0[v], m0), q1 = wideProduct(c2[v], m1);
      c0[v] = (q1 >> 32) ^ (c1[v] ^ key0);
      c1[v] = q1;
      c2[v] = (q0 >> 32) ^ (c3[v] ^ key1);
      c3[v] = q0;
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < V; v++) inOrder(c0[v], c1[v], c2[v], c3[v], words[2 * v], words[2 * v + 1]);
}

// Lanes that are drawn below a threshold: the bits of each are compared with the threshold's, the highest first, until they
// differ. A counter has one bit of each of 128 lanes, so that a half takes one counter and nothing is drawn that decides
// nothing; COUNTERS of them make a plane of bits.
template <int COUNTERS>
struct Compared {
  static constexpr int kLanes = 128 * COUNTERS, kVectors = COUNTERS * 4 / W;
  // Lanes by bits: those that are known to be below, and those whose bits so far are the threshold's.
  VI below[kVectors], equal[kVectors];

  LW_MEMBER Compared() {
    for (int v = 0; v < kVectors; v++) {
      below[v] = set1(0);
      equal[v] = set1(-1);
    }
  }
  LW_MEMBER bool anyEqual() const {
    VI all = equal[0];
    for (int v = 1; v < kVectors; v++) all |= equal[v];
    return anyLane(all);
  }
  LW_MEMBER void storeBelow(uint64_t* bits) const {
    for (int v = 0; v < kVectors; v++) store((int32_t*)bits + v * W, below[v]);
  }
};

// The planes that decide about a threshold: its bits down to the last that is 1.
LW_INLINE int planesOf(uint32_t threshold) { return threshold == 0 ? 0 : 32 - __builtin_ctz(threshold); }

// Compares the next planes, as many as V vectors of counters make; gives how many. `first` is the lanes' first counter.
template <int V, int COUNTERS>
LW_INLINE int comparePlanes(const RandomStream& stream, uint32_t first, int plane, uint32_t threshold, Compared<COUNTERS>& lanes) {
  constexpr int kPlanes = V * W / 2 / COUNTERS, kVectors = Compared<COUNTERS>::kVectors;
  static_assert(kPlanes >= 1 && kPlanes * COUNTERS * 2 == V * W, "whole planes");
  VI words[2 * V];
  philoxWords<V, COUNTERS>(stream, first, (uint32_t)plane, words);
#pragma GCC unroll 8
  for (int p = 0; p < kPlanes; p++) {
    const VI one = set1(-(int32_t)((uint32_t)((uint64_t)threshold << (plane + p)) >> 31));  // 0 beyond its last
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; v++) {
      const VI x = words[p * kVectors + v];
      lanes.below[v] |= lanes.equal[v] & (one & ~x);
      lanes.equal[v] &= ~(x ^ one);
    }
  }
  return kPlanes;
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
