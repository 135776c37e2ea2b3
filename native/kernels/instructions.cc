// Expands elementwise.def into one loop per instruction. Arguments may be the destination itself.
#include "instructions.h"

#include "../simd/math.h"

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

// One Philox multiplication for the counters in the low halves of 64-bit lanes; what stands in the high
// halves is ignored and may be anything.
LW_INLINE VL wideProduct(VL a, VL multiplier) { return mulEven((VU)a, (VU)multiplier); }

// The words of W / 2 counters, one in each 64-bit lane of c0..c3, put in order: counter i's four in 128 bits
// of their own.
LW_INLINE void inOrder(VL c0, VL c1, VL c2, VL c3, VI& first, VI& second) {
  const VL low = 0xffffffffull - (VL){};
  const VL a = (c0 & low) | c1 << 32, b = (c2 & low) | c3 << 32;
  VI pick0 = {}, pick1 = {};  // interleaves 64-bit lanes: the first and the second half
  for (int l = 0; l < W; l++) {
    const int pair = l / 2, from = pair / 2 * 2 + l % 2 + (pair % 2 ? W : 0);
    pick0[l] = from;
    pick1[l] = from + W / 2;
  }
  first = __builtin_shuffle((VI)a, (VI)b, pick0);
  second = __builtin_shuffle((VI)a, (VI)b, pick1);
}

// What names a stream of random numbers, beside the counter.
struct Stream {
  uint32_t seed, keyWord, counterWord, step;
};
LW_INLINE Stream streamOf(const void* seed, const void* step, const TileOp& op) {
  Stream s{0, op.k0, op.k1, 0};
  memcpy(&s.seed, seed, 4);
  memcpy(&s.step, step, 4);
  return s;
}

// Philox 4×32-10 (Salmon et al., SC 2011) for W counters at once, 4·W words: two vectors of counters,
// one in each 64-bit lane, so that a product's halves need no shuffling.
LW_INLINE void philoxWords(const Stream& stream, uint32_t counter, uint32_t lastWord, VI words[4]) {
  VL lane = {};
  for (int l = 0; l < W / 2; l++) lane[l] = (uint64_t)l;
  const VL m0 = 0xd2511f53ull - (VL){}, m1 = 0xcd9e8d57ull - (VL){};
  // Sums may run into the high halves, which never matter.
  VL c0[2] = {lane + counter, lane + (counter + W / 2)};
  VL c1[2], c2[2], c3[2];
  for (int v = 0; v < 2; v++) {
    c1[v] = (uint64_t)stream.counterWord - (VL){};
    c2[v] = (uint64_t)stream.step - (VL){};
    c3[v] = (uint64_t)lastWord - (VL){};
  }
  VL k0 = (uint64_t)stream.seed - (VL){}, k1 = (uint64_t)stream.keyWord - (VL){};
#pragma GCC unroll 10
  for (int round = 0; round < 10; round++) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; v++) {
      const VL p0 = wideProduct(c0[v], m0), p1 = wideProduct(c2[v], m1);
      c0[v] = (p1 >> 32) ^ c1[v] ^ k0;
      c1[v] = p1;
      c2[v] = (p0 >> 32) ^ c3[v] ^ k1;
      c3[v] = p0;
    }
    k0 += 0x9e3779b9ull - (VL){};
    k1 += 0xbb67ae85ull - (VL){};
  }
  for (int v = 0; v < 2; v++) inOrder(c0[v], c1[v], c2[v], c3[v], words[2 * v], words[2 * v + 1]);
}

LW_INLINE void philoxBlock(const Stream& stream, uint32_t counter, int32_t* out) {
  VI words[4];
  philoxWords(stream, counter, 0, words);
  for (int v = 0; v < 4; v++) store(out + v * W, words[v]);
}

// Runs `block`, which writes `kLanes` lanes for W counters, over n lanes from linear index `index` on.
template <int kLanes, class Block>
LW_INLINE void drawLanes(int32_t* d, int64_t n, int64_t index, Block block) {
  constexpr int kPerCounter = kLanes / W;
  int64_t i = 0;
  // A counter makes several lanes; a tile may begin inside one.
  const int64_t skip = index & (kPerCounter - 1);
  int32_t lanes[kLanes];
  uint32_t counter = (uint32_t)(index / kPerCounter);
  while (i < n) {
    if ((i > 0 || skip == 0) && n - i >= kLanes) {
      block(counter, d + i);
      i += kLanes;
    } else {
      block(counter, lanes);
      const int64_t from = i == 0 ? skip : 0;
      int64_t count = kLanes - from;
      if (count > n - i) count = n - i;
      memcpy(d + i, lanes + from, count * 4);
      i += count;
    }
    counter += W;
  }
}

template <int>
void run_philox(SIGNATURE) {
  const Stream stream = streamOf(pa, pb, op);
  drawLanes<4 * W>((int32_t*)dst, n, index,
                   [&](uint32_t counter, int32_t* out) { philoxBlock(stream, counter, out); });
}

// Bytes as signed numbers, which all instruction sets compare.
LW_INLINE VB signedBytes(VI words) { return (VB)words ^ ((int8_t)-128 - (VB){}); }
LW_INLINE VB highByte(uint32_t threshold) { return (int8_t)(threshold >> 24 ^ 0x80) - (VB){}; }

// Where a byte is the threshold's, the same byte of the counter that ends in 1 decides, then in 2, and in 3.
// `rest` is what of the threshold is left; nothing is below 0.
__attribute__((noinline)) void decideTies(const Stream& stream, uint32_t counter, uint32_t rest, VB below[4],
                                         VB open[4]) {
  for (uint32_t last = 1; rest != 0; last++, rest <<= 8) {
    const VB limit = highByte(rest);
    VI words[4];
    VB ties = {};
    philoxWords(stream, counter, last, words);
    for (int v = 0; v < 4; v++) {
      const VB byte = signedBytes(words[v]);
      below[v] |= open[v] & (byte < limit);
      open[v] &= byte == limit;
      ties |= open[v];
    }
    if (!anyLane((VI)ties)) return;
  }
}

// A byte decides for most lanes, so a counter makes 16.
template <int>
void run_philoxBelow(SIGNATURE) {
  const Stream stream = streamOf(pa, pb, op);
  const VB limit = highByte(op.k2);
  const uint32_t rest = op.k2 << 8;
  drawLanes<16 * W>((int32_t*)dst, n, index, [&](uint32_t counter, int32_t* out) {
    VI words[4];
    VB below[4], ties = {};
    philoxWords(stream, counter, 0, words);
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++) {
      const VB byte = signedBytes(words[v]);
      below[v] = byte < limit;
      ties |= byte == limit;
    }
    if (rest != 0 && anyLane((VI)ties)) {
      VB open[4];
      for (int v = 0; v < 4; v++) open[v] = signedBytes(words[v]) == limit;
      decideTies(stream, counter, rest, below, open);
    }
    uint8_t bytes[16 * W];
    for (int v = 0; v < 4; v++) store((int32_t*)bytes + v * W, (VI)(below[v] & 1));
    for (int i = 0; i < 16 * W; i += W) store(out + i, loadBytes(bytes + i));
  });
}

template <int First>
LW_INLINE VF firstOf(VF a, VF b) {
  if constexpr (First == kFirstAdd) return a + b;
  else if constexpr (First == kFirstSub) return a - b;
  else if constexpr (First == kFirstRsub) return b - a;
  else if constexpr (First == kFirstMul) return a * b;
  else if constexpr (First == kFirstDiv) return a / b;
  else if constexpr (First == kFirstSquare) return a * a;
  else return sqrt(a);
}
template <int Second>
LW_INLINE VF secondOf(VF x, VF c) {
  if constexpr (Second == kSecondAdd) return x + c;
  else if constexpr (Second == kSecondSub) return x - c;
  else if constexpr (Second == kSecondRsub) return c - x;
  else if constexpr (Second == kSecondMul) return x * c;
  else if constexpr (Second == kSecondDiv) return x / c;
  else if constexpr (Second == kSecondRdiv) return c / x;
  else return (VF)((VI)x & ((VI)c != 0));
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
