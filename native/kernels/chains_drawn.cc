// Chains whose mask is drawn while they run: dropout. The bits of some lanes are drawn while the chain runs over the lanes
// before, a few planes and a few vectors in turns, so that a core draws while memory works; and a mask of bits takes no pass
// over the lanes of its own.
#include "ahead.h"
#include "chain_run.h"
#include "kernels.h"
#include "philox.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

constexpr int kCounters = W == 16 ? 8 : 4;
using Drawn = Compared<kCounters>;
constexpr int kLanes = Drawn::kLanes, kWords = kLanes / 64;
constexpr int planesIn(int vectors) { return vectors * W / 2 / kCounters; }
constexpr int kLeastVectors = kCounters * 2 / W;  // of counters, for one plane
constexpr int kStepVectors = W == 16 ? 6 : 2;
// After so many planes one unit in five has an undecided lane.
constexpr int kFirstSteps = 12 / planesIn(kStepVectors);
// Lanes whose bits are read at once. (A faster loop stores around the caches in longer bursts, and is slower.)
constexpr int kGroup = W == 16 ? 16 : 32;

// Draws the bits of kLanes lanes after the other, step by step.
class Draw {
 public:
  Draw(const void* seed, const void* step, const TileOp& op, int64_t index)
      : threshold_(op.k2), counter_((uint32_t)(index / 128)), planes_(planesOf(op.k2)) {
    openStream(stream_, seed, step, op);
  }
  // How many steps the bits of most lanes take.
  int steps() const {
    const int64_t steps = ceilDiv(planes_, planesIn(kStepVectors));
    return (int)minOf(steps, kFirstSteps);
  }
  // No part of the loop over the lanes: it would have a copy for each number of vectors.
  __attribute__((noinline)) void step() {
    if (planes_ <= planesIn(kLeastVectors)) compare<kLeastVectors>();
    else if (W == 16 && planes_ <= planesIn(2)) compare<2>();
    else if (W == 16 && planes_ <= planesIn(4)) compare<W == 16 ? 4 : 2>();
    else compare<kStepVectors>();
  }
  // The rest of the steps, and on to the next lanes.
  void finish(uint64_t* bits) {
    while (plane_ < planes_ && lanes_.anyEqual()) step();
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
  uint32_t threshold_, counter_;
  int planes_, plane_ = 0;
};

// 57 bits and more from a lane's on; there is a word behind them.
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
constexpr uint32_t storedOf(const Chain& chain) {
  uint32_t stored = 0;
  for (int k = 0; k < chain.nOps; k++) stored |= (uint32_t)chain.ops[k].stored << k;
  return stored;
}

// AROUND: all results are stored around the caches, aligned to vectors after `head` lanes.
template <int Id, bool AROUND>
void runLanes(const ChainRun<Id, true>& chain, int64_t n, int64_t head, Draw& draw) {
  constexpr uint32_t kAround = AROUND ? storedOf(kChains[Id]) : 0;
  // The bits of these lanes, of the next, which a vector of these may reach into, and of those that are being drawn.
  alignas(64) uint64_t bits[3 * kWords];
  draw.finish(bits);
  draw.finish(bits + kWords);
  int64_t i = minOf(head, n), first = 0;  // the first bit's lane
  if (i > 0) chain.template lanes<true>(0, i, kAround, (uint32_t)bitsAt(bits, 0));
  const int steps = draw.steps();
  const int64_t perStep = ceilDiv(kLanes / kGroup, steps + 1) * kGroup;
  for (; i + W <= n; first += kLanes) {
    const int64_t end = i + minOf((n - i) / W * W, kLanes), left = end - i;
    for (int s = 0; s <= steps; s++) {
      if (s < steps) draw.step();
      else draw.finish(bits + 2 * kWords);
      for (const int64_t to = s < steps ? minOf(i + perStep, end) : end; i + kGroup <= to; i += kGroup) {
        const uint64_t some = bitsAt(bits, i - first);
#pragma GCC unroll 8
        for (int l = 0; l < kGroup; l += W) {
          if (l % 16 == 0) chain.ask(i + l + kAheadLanes / readsOf(kChains[Id]));
          chain.template lanes<false>(i + l, W, kAround, (uint32_t)(some >> l));
        }
      }
    }
    for (; i < end; i += W) chain.template lanes<false>(i, W, kAround, (uint32_t)bitsAt(bits, i - first));
    if (left < kLanes) break;
    memmove(bits, bits + kWords, 2 * kWords * sizeof *bits);
  }
  if (i < n) chain.template lanes<true>(i, n - i, kAround, (uint32_t)bitsAt(bits, i - first));
}

template <int Id>
void runDrawn(void* const* slot, const int16_t* operands, const int16_t* results, int64_t n, ChainAround around,
              const TileOp& op, int64_t index) {
  const ChainRun<Id, true> chain(slot, operands, results);
  Draw draw(slot[op.a], slot[op.b], op, index);
  if (around.ops == storedOf(kChains[Id])) runLanes<Id, true>(chain, n, around.head, draw);
  else runLanes<Id, false>(chain, n, 0, draw);
}

template <int Id>
constexpr DrawnFunction drawn() {
  if constexpr (maskOf(kChains[Id]) >= 0) return runDrawn<Id>;
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
