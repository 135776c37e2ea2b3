// Chains whose mask is drawn while they run: dropout. The bits of some lanes are drawn while the chain runs over lanes
// before, a few planes and a few vectors in turns, so that a core draws while memory works; and a mask of bits takes no pass
// over the lanes of its own.
#include "ahead.h"
#include "chain_run.h"
#include "kernels.h"
#include "philox.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

// What is drawn at once.
constexpr int kCounters = W == 16 ? 8 : 4;
using Drawn = Compared<kCounters>;
constexpr int kLanes = Drawn::kLanes, kWords = kLanes / 64;
// Lanes whose bits are read at once. (A faster loop stores around the caches in longer bursts, and is slower.)
constexpr int kGroup = W == 16 ? 16 : 32;

// Planes of so many vectors of counters.
constexpr int planesIn(int vectors) { return vectors * W / 2 / kCounters; }
constexpr int kLeastVectors = kCounters * 2 / W;  // of one plane
// Vectors of counters that are drawn in a step: as many as the planes need, and as hide how long a product takes.
constexpr int vectorsFor(int planes) {
  if (planes <= planesIn(kLeastVectors)) return kLeastVectors;
  if (W < 16 || planes <= 2) return 2;
  return planes <= 4 || planes == 7 || planes == 8 ? 4 : 6;
}
// So many planes tell almost every lane's bits from the threshold's. With AVX-512 one drawing in five goes on to more of them,
// as it has twice as many lanes, else one in eight.
constexpr int kFirstPlanes = 12;

// Draws the bits of n lanes, kLanes at a time, step by step.
class Draw {
 public:
  Draw(const void* seed, const void* step, const TileOp& op, int64_t index, int64_t n)
      : left_(ceilDiv(n, kLanes)), threshold_(op.k2), counter_((uint32_t)(index / 128)), planes_(planesOf(op.k2)),
        vectors_(vectorsFor(planes_)) {
    openStream(stream_, seed, step, op);
  }
  // How many steps the bits of most lanes take.
  int steps() const { return (int)ceilDiv(minOf(planes_, kFirstPlanes), planesIn(vectors_)); }
  // No part of the loop over the lanes: it would have a copy for each number of vectors.
  __attribute__((noinline)) void step() {
    if (left_ <= 0) return;
    if (vectors_ == kLeastVectors) compare<kLeastVectors>();
    else if (vectors_ == 2) compare<2>();
    else if constexpr (W == 16) vectors_ == 4 ? compare<4>() : compare<6>();
  }
  // The rest of the steps, and on to the next lanes.
  void finish(uint64_t* bits) {
    if (left_ <= 0) return;
    while (plane_ < planes_ && lanes_.anyEqual()) step();
    left_--;
    lanes_.storeBelow(bits);
    lanes_ = Drawn();
    plane_ = 0;
    counter_ += kCounters;
  }

 private:
  template <int V>
  LW_MEMBER void compare() {
    plane_ += comparePlanes<V>(stream_, counter_, plane_, threshold_, lanes_);
  }
  RandomStream stream_;
  Drawn lanes_;
  int64_t left_;  // how often it draws
  uint32_t threshold_, counter_;
  int planes_, vectors_, plane_ = 0;
};

// 57 bits and more from a lane's on.
LW_INLINE uint64_t bitsAt(const uint64_t* bits, int64_t lane) {
  uint64_t some;
  memcpy(&some, (const char*)bits + lane / 8, 8);
  return some >> lane % 8;
}

// What a chain reads lane by lane, beside its mask.
constexpr int readsOf(const Chain& chain) {
  uint32_t seen = 0;
  for (int k = 0; k < chain.nOps; k++) {
    for (int a = 0; a < 3; a++) {
      const ChainOp& op = chain.ops[k];
      if (op.args[a] < 0 && ~op.args[a] != maskOf(chain) && !isUniform(op.function, a)) seen |= 1u << ~op.args[a];
    }
  }
  return __builtin_popcount(seen);
}

// Bits as n bools.
LW_INLINE void storeBools(uint8_t* to, const uint64_t* bits, int64_t n) {
  int64_t i = 0;
  for (; i + 64 <= n; i += 64) storeBools64(to + i, bits[i / 64]);
  for (; i < n; i++) to[i] = (uint8_t)(bits[i / 64] >> i % 64 & 1);
}

// AROUND: all results are stored around the caches, aligned to vectors after `head` lanes.
template <int Id, bool AROUND>
void runLanes(const ChainRun<Id, true>& chain, int64_t n, int64_t head, Draw& draw, uint8_t* mask) {
  constexpr uint32_t kAround = AROUND ? storedOf(kChains[Id]) : 0;
  // The bits of these lanes, of the next, which a vector of these may reach into, and of those that are being drawn.
  alignas(64) uint64_t bits[3 * kWords] = {};
  draw.finish(bits);
  draw.finish(bits + kWords);
  int64_t i = minOf(head, n), first = 0, known = 0;  // the first bit's lane, the first whose bool is not stored
  if (i > 0) chain.template lanes<true>(0, i, kAround, (uint32_t)bitsAt(bits, 0));
  const int steps = draw.steps();
  // On a Zen 4 dropout is 0.96 to 1.06 times as fast without, with its gradient up to 1.12; with AVX2 0.87 to 1.2 times.
  const bool asks = W < 16 || isRoomyL1();
  const int64_t perStep = ceilDiv(kLanes / kGroup, steps + 1) * kGroup;
  for (; i + W <= n; first += kLanes) {
    const int64_t end = i + minOf((n - i) / W * W, kLanes), left = end - i;
    if (mask) {
      known = minOf(first + kLanes, n);
      storeBools(mask + first, bits, known - first);
    }
    for (int s = 0; s <= steps; s++) {
      if (s < steps) draw.step();
      else draw.finish(bits + 2 * kWords);
      for (const int64_t to = s < steps ? minOf(i + perStep, end) : end; i + kGroup <= to; i += kGroup) {
        const uint64_t some = bitsAt(bits, i - first);
#pragma GCC unroll 8
        for (int l = 0; l < kGroup; l += W) {
          if (asks && l % 16 == 0) chain.ask(i + l + chainAheadLanes() / readsOf(kChains[Id]), true);
          chain.template lanes<false>(i + l, W, kAround, (uint32_t)(some >> l));
        }
      }
    }
    for (; i < end; i += W) chain.template lanes<false>(i, W, kAround, (uint32_t)bitsAt(bits, i - first));
    if (left < kLanes) break;
    memmove(bits, bits + kWords, 2 * kWords * sizeof *bits);
  }
  if (i < n) chain.template lanes<true>(i, n - i, kAround, (uint32_t)bitsAt(bits, i - first));
  if (mask && known < n) storeBools(mask + known, bits + (known - first) / 64, n - known);
}

template <int Id>
void runDrawn(void* const* slot, const int16_t* operands, const int16_t* results, int64_t n, ChainAround around,
              const TileOp& op, int64_t index, uint8_t* mask) {
  const ChainRun<Id, true> chain(slot, operands, results);
  Draw draw(slot[op.a], slot[op.b], op, index, n);
  if (around.ops == storedOf(kChains[Id])) runLanes<Id, true>(chain, n, around.head, draw, mask);
  else runLanes<Id, false>(chain, n, 0, draw, mask);
}

template <int Id>
constexpr DrawnFunction drawn() {
  if constexpr (isDrawable(kChains[Id])) return runDrawn<Id>;
  else return nullptr;
}
template <size_t... Ids>
constexpr DrawnFunctions functionsOf(std::index_sequence<Ids...>) {
  return {{drawn<Ids>()...}};
}

}  // namespace

const DrawnFunctions kDrawnFunctions = functionsOf(std::make_index_sequence<kChainCount>());

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
