// Expands elementwise.def into one loop per instruction. Arguments may be the destination itself.
#include "instructions.h"

#include "../simd/math.h"
#include "philox.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

// As the TypeScript backend: floor of the quotient, wrapped to int32; division by 0 gives 0.
inline int32_t floorDivide(int32_t a, int32_t b) {
  if (b == 0) return 0;
  int64_t q = (int64_t)a / b;
  if ((int64_t)a % b != 0 && (a < 0) != (b < 0)) q--;
  return (int32_t)q;
}
inline int32_t floorModulo(int32_t a, int32_t b) {
  if (b == 0) return 0;
  int64_t r = (int64_t)a % b;
  return (int32_t)(r != 0 && (r < 0) != (b < 0) ? r + b : r);
}

#define SIGNATURE                                                                             \
  [[maybe_unused]] void *dst, [[maybe_unused]] const void *pa, [[maybe_unused]] const void *pb, \
      [[maybe_unused]] const void *pc, int64_t n, [[maybe_unused]] const TileOp &op,           \
      [[maybe_unused]] int64_t index

// One function of vectors applied to n lanes; T is the result's lane, A, B, C the arguments'.
#define LOOP(T, BODY_FULL, BODY_TAIL) \
  T* d = (T*)dst;                     \
  int64_t i = 0;                      \
  for (; i + W <= n; i += W) BODY_FULL; \
  if (i < n) {                        \
    const int64_t rest = n - i;       \
    BODY_TAIL;                        \
  }

// The same for light functions, whose loop would cost more than they do: four vectors at a time, all read
// before the first is written. An argument is the destination itself or apart from it.
#define LIGHT_LOOP(T, VALUE, BODY_TAIL)                      \
  T* d = (T*)dst;                                            \
  int64_t i = 0;                                             \
  const auto value = [&](int64_t i) { return VALUE; }; \
  for (; i + 4 * W <= n; i += 4 * W) {                       \
    const auto v0 = value(i), v1 = value(i + W), v2 = value(i + 2 * W), v3 = value(i + 3 * W); \
    store(d + i, v0);                                        \
    store(d + i + W, v1);                                    \
    store(d + i + 2 * W, v2);                                \
    store(d + i + 3 * W, v3);                                \
  }                                                          \
  for (; i + W <= n; i += W) store(d + i, value(i));         \
  if (i < n) {                                               \
    const int64_t rest = n - i;                              \
    BODY_TAIL;                                               \
  }

#define DEFINE_1(name, T, A, VA, expression)                                  \
  LW_INLINE auto apply_##name(VA a) { return expression; }                    \
  template <int>                                                              \
  void run_##name(SIGNATURE) {                                                \
    const A* x = (const A*)pa;                                                \
    LOOP(T, store(d + i, apply_##name(load(x + i))),                          \
         storePartial(d + i, apply_##name(loadPartial(x + i, rest)), rest))   \
  }
// Arguments that are uniform are read once.
template <bool Uniform, class T>
LW_INLINE auto argument(const T* p, int64_t i) {
  if constexpr (Uniform) return set1(*p);
  else return load(p + i);
}
template <bool Uniform, class T>
LW_INLINE auto argumentPartial(const T* p, int64_t i, int64_t rest) {
  if constexpr (Uniform) return set1(*p);
  else return loadPartial(p + i, rest);
}

#define DEFINE_2(name, T, A, VA, expression)                                                   \
  LW_INLINE auto apply_##name(VA a, VA b) { return expression; }                               \
  template <int Mask>                                                                          \
  void run_##name(SIGNATURE) {                                                                 \
    constexpr bool U = (Mask & kUniformFirst) != 0, V = (Mask & kUniformSecond) != 0;          \
    const A *x = (const A*)pa, *y = (const A*)pb;                                              \
    LIGHT_LOOP(T, apply_##name(argument<U>(x, i), argument<V>(y, i)),                          \
         storePartial(d + i,                                                                   \
                      apply_##name(argumentPartial<U>(x, i, rest), argumentPartial<V>(y, i, rest)), \
                      rest))                                                                   \
  }
#define DEFINE_F_F(name, expression) DEFINE_1(name, float, float, VF, expression)
#define DEFINE_B_F(name, expression) DEFINE_1(name, int32_t, float, VF, expression)
#define DEFINE_I_I(name, expression) DEFINE_1(name, int32_t, int32_t, VI, expression)
#define DEFINE_F_I(name, expression) DEFINE_1(name, float, int32_t, VI, expression)
#define DEFINE_F_FF(name, expression) DEFINE_2(name, float, float, VF, expression)
#define DEFINE_B_FF(name, expression) DEFINE_2(name, int32_t, float, VF, expression)
#define DEFINE_I_II(name, expression) DEFINE_2(name, int32_t, int32_t, VI, expression)
#define DEFINE_X_IXX(name, expression)                                                          \
  LW_INLINE VI apply_##name(VI a, VI b, VI c) { return expression; }                            \
  template <int Mask>                                                                           \
  void run_##name(SIGNATURE) {                                                                  \
    constexpr bool U = (Mask & kUniformChosen) != 0, V = (Mask & kUniformOther) != 0;           \
    const int32_t *x = (const int32_t*)pa, *y = (const int32_t*)pb, *z = (const int32_t*)pc;    \
    LIGHT_LOOP(int32_t, apply_##name(load(x + i), argument<U>(y, i), argument<V>(z, i)),        \
         storePartial(d + i,                                                                    \
                      apply_##name(loadPartial(x + i, rest), argumentPartial<U>(y, i, rest),    \
                                   argumentPartial<V>(z, i, rest)),                             \
                      rest))                                                                    \
  }
// Constants are uniform: always one lane, spread by the tile machine.
#define DEFINE_F_K(name, expression) DEFINE_I_K(name, expression)
#define DEFINE_I_K(name, expression) \
  template <int>                     \
  void run_##name(SIGNATURE) {       \
    for (int64_t i = 0; i < n; i++) memcpy((int32_t*)dst + i, &op.k0, 4); \
  }
#define DEFINE_I_P(name, expression)
#define DEFINE_B_T(name, expression)

#define INSTRUCTION(name, lanes, expression) DEFINE_##lanes(name, expression)
#include "../elementwise.def"
#undef INSTRUCTION

// Vectors of counters at once: so many hide how long a product takes, and fit the registers.
constexpr int kCounterVectors = W == 16 ? 4 : 2;

LW_INLINE void philoxBlock(const RandomStream& stream, uint32_t counter, int32_t* out) {
  constexpr int V = kCounterVectors;
  VI words[2 * V];
  philoxWords<V, V * W / 2>(stream, counter, 0, words);
#pragma GCC unroll 8
  for (int v = 0; v < 2 * V; v++) store(out + v * W, words[v]);
}

template <int>
void run_philox(SIGNATURE) {
  constexpr int kLanes = 2 * kCounterVectors * W, kPerCounter = 4;
  RandomStream stream;
  openStream(stream, pa, pb, op);
  int32_t* d = (int32_t*)dst;
  int64_t i = 0;
  // A counter makes several lanes; a tile may begin inside one.
  const int64_t skip = index & (kPerCounter - 1);
  int32_t lanes[kLanes];
  uint32_t counter = (uint32_t)(index / kPerCounter);
  while (i < n) {
    if ((i > 0 || skip == 0) && n - i >= kLanes) {
      philoxBlock(stream, counter, d + i);
      i += kLanes;
    } else {
      philoxBlock(stream, counter, lanes);
      const int64_t from = i == 0 ? skip : 0;
      int64_t count = kLanes - from;
      if (count > n - i) count = n - i;
      memcpy(d + i, lanes + from, count * 4);
      i += count;
    }
    counter += kLanes / kPerCounter;
  }
}

// After so many planes one block in eight has an undecided lane, and draws more.
constexpr int kFirstPlanes = 12;

constexpr int kBelowCounters = 4;
using Below = Compared<kBelowCounters>;

// Four counters' lanes from block `first` on.
LW_INLINE void compareLanes(const RandomStream& stream, uint32_t first, uint32_t threshold, int planes, Below& lanes) {
  constexpr int kLeast = kBelowCounters * 2 > W ? kBelowCounters * 2 / W : 1;  // vectors of counters
  int plane = 0;
  if (planes <= kLeast * W / 2 / kBelowCounters) {
    comparePlanes<kLeast>(stream, first, 0, threshold, lanes);
    return;
  }
  if (W < 16) {
    while (plane < planes && plane < kFirstPlanes) plane += comparePlanes<2>(stream, first, plane, threshold, lanes);
  } else if (planes <= 4) {
    plane = comparePlanes<2>(stream, first, 0, threshold, lanes);
  } else if (planes <= 8) {
    plane = comparePlanes<4>(stream, first, 0, threshold, lanes);
  } else {
    plane = comparePlanes<6>(stream, first, 0, threshold, lanes);
  }
  while (plane < planes && lanes.anyEqual()) plane += comparePlanes<2>(stream, first, plane, threshold, lanes);
}

template <int>
void run_philoxBelow(SIGNATURE) {
  RandomStream stream;
  openStream(stream, pa, pb, op);
  const uint32_t threshold = op.k2;
  const int planes = planesOf(threshold);
  int32_t* d = (int32_t*)dst;
  int64_t block = index / 128, from = index % 128;
  for (int64_t i = 0; i < n; block += kBelowCounters, from = 0) {
    Below lanes;
    compareLanes(stream, (uint32_t)block, threshold, planes, lanes);
    uint64_t bits[Below::kLanes / 64 + 1] = {};  // two are read at a time
    lanes.storeBelow(bits);
    const int64_t end = i + Below::kLanes - from < n ? i + Below::kLanes - from : n;
    const int shift = (int)(from % 64);
    for (const uint64_t* word = bits + from / 64; i < end; i += 64, word++) {
      const uint64_t some = word[0] >> shift | word[1] << 1 << (63 - shift);
      if (end - i >= 64) {
#pragma GCC unroll 16
        for (int l = 0; l < 64; l += W) store(d + i + l, lanesOfBits((uint32_t)(some >> l)));
      } else {
        for (int64_t l = 0; l < end - i; l += W) {
          const VI below = lanesOfBits((uint32_t)(some >> l));
          if (end - i - l >= W) store(d + i + l, below);
          else storePartial((float*)d + i + l, (VF)below, end - i - l);
        }
      }
    }
    i = end;
  }
}

template <int First, int Second, int Mask>
void runPair(SIGNATURE) {
  // A first of one argument has no b.
  constexpr bool one = First == kFirstSquare || First == kFirstSqrt;
  constexpr bool U = one || (Mask & kPairUniformB) != 0, V = (Mask & kPairUniformC) != 0;
  const float *x = (const float*)pa, *y = one ? x : (const float*)pb, *z = (const float*)pc;
  LIGHT_LOOP(
       float, secondOf<Second>(firstOf<First>(load(x + i), argument<U>(y, i)), argument<V>(z, i)),
       storePartial(d + i,
                    secondOf<Second>(firstOf<First>(loadPartial(x + i, rest), argumentPartial<U>(y, i, rest)),
                                     argumentPartial<V>(z, i, rest)),
                    rest))
}

}  // namespace

// The variants of a line of elementwise.def, by its lanes.
#define ONLY(name) run_##name<0>, nullptr, nullptr, nullptr
#define EITHER(name) run_##name<0>, run_##name<1>, run_##name<2>, nullptr
#define VARIANTS_F_F ONLY
#define VARIANTS_B_F ONLY
#define VARIANTS_I_I ONLY
#define VARIANTS_F_I ONLY
#define VARIANTS_I_II ONLY
#define VARIANTS_F_K ONLY
#define VARIANTS_I_K ONLY
#define VARIANTS_I_P ONLY
#define VARIANTS_B_T ONLY
#define VARIANTS_F_FF EITHER
#define VARIANTS_B_FF EITHER
#define VARIANTS_X_IXX(name) run_##name<0>, run_##name<1>, run_##name<2>, run_##name<3>
#define PAIR(first, second) \
  runPair<first, second, 0>, runPair<first, second, 1>, runPair<first, second, 2>, runPair<first, second, 3>
#define PAIRS(first)                                                                   \
  PAIR(first, kSecondAdd), PAIR(first, kSecondSub), PAIR(first, kSecondRsub),          \
      PAIR(first, kSecondMul), PAIR(first, kSecondDiv), PAIR(first, kSecondRdiv),          \
      PAIR(first, kSecondKeep)

const InstructionFunction kInstructions[kTileFunctions] = {
#define INSTRUCTION(name, lanes, expression) VARIANTS_##lanes(name),
#include "../elementwise.def"
#undef INSTRUCTION
    PAIRS(kFirstAdd), PAIRS(kFirstSub),    PAIRS(kFirstRsub), PAIRS(kFirstMul),
    PAIRS(kFirstDiv), PAIRS(kFirstSquare), PAIRS(kFirstSqrt),
};

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
