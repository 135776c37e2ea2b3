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

#define DEFINE_1(name, T, A, VA, expression)                                  \
  LW_INLINE auto apply_##name(VA a) { return expression; }                    \
  void run_##name(SIGNATURE) {                                                \
    const A* x = (const A*)pa;                                                \
    LOOP(T, store(d + i, apply_##name(load(x + i))),                          \
         storePartial(d + i, apply_##name(loadPartial(x + i, rest)), rest))   \
  }
#define DEFINE_2(name, T, A, VA, expression)                                              \
  LW_INLINE auto apply_##name(VA a, VA b) { return expression; }                          \
  void run_##name(SIGNATURE) {                                                            \
    const A *x = (const A*)pa, *y = (const A*)pb;                                         \
    LOOP(T, store(d + i, apply_##name(load(x + i), load(y + i))),                         \
         storePartial(d + i, apply_##name(loadPartial(x + i, rest), loadPartial(y + i, rest)), \
                      rest))                                                              \
  }
#define DEFINE_F_F(name, expression) DEFINE_1(name, float, float, VF, expression)
#define DEFINE_B_F(name, expression) DEFINE_1(name, int32_t, float, VF, expression)
#define DEFINE_I_I(name, expression) DEFINE_1(name, int32_t, int32_t, VI, expression)
#define DEFINE_F_I(name, expression) DEFINE_1(name, float, int32_t, VI, expression)
#define DEFINE_F_FF(name, expression) DEFINE_2(name, float, float, VF, expression)
#define DEFINE_B_FF(name, expression) DEFINE_2(name, int32_t, float, VF, expression)
#define DEFINE_I_II(name, expression) DEFINE_2(name, int32_t, int32_t, VI, expression)
#define DEFINE_X_IXX(name, expression)                                                        \
  LW_INLINE VI apply_##name(VI a, VI b, VI c) { return expression; }                          \
  void run_##name(SIGNATURE) {                                                                \
    const int32_t *x = (const int32_t*)pa, *y = (const int32_t*)pb, *z = (const int32_t*)pc; \
    LOOP(int32_t, store(d + i, apply_##name(load(x + i), load(y + i), load(z + i))),          \
         storePartial(d + i,                                                                  \
                      apply_##name(loadPartial(x + i, rest), loadPartial(y + i, rest),        \
                                   loadPartial(z + i, rest)),                                 \
                      rest))                                                                  \
  }
// Constants are uniform: always one lane, spread by the tile machine.
#define DEFINE_F_K(name, expression) DEFINE_I_K(name, expression)
#define DEFINE_I_K(name, expression) \
  void run_##name(SIGNATURE) {       \
    for (int64_t i = 0; i < n; i++) memcpy((int32_t*)dst + i, &op.k0, 4); \
  }
#define DEFINE_I_P(name, expression)

#define INSTRUCTION(name, lanes, expression) DEFINE_##lanes(name, expression)
#include "../elementwise.def"
#undef INSTRUCTION

// First half of a and b, lane by lane in turn; second half.
template <int Half>
LW_INLINE VI interleave(VI a, VI b) {
  VI pick = {};
  for (int l = 0; l < W; l++) pick[l] = Half * W / 2 + l / 2 + (l % 2 ? W : 0);
  return __builtin_shuffle(a, b, pick);
}

// Philox 4×32-10 (Salmon et al., SC 2011) for W counters at once; 4·W lanes.
LW_INLINE void philoxBlock(uint32_t counter, uint32_t word1, uint32_t step, uint32_t seed,
                           uint32_t keyWord, int32_t* out) {
  VI lane = {};
  for (int l = 0; l < W; l++) lane[l] = l;
  VU c0 = (VU)lane + counter, c1 = (VU)set1((int32_t)word1), c2 = (VU)set1((int32_t)step), c3 = {};
  const VU m0 = (VU)set1((int32_t)0xd2511f53u), m1 = (VU)set1((int32_t)0xcd9e8d57u);
  uint32_t k0 = seed, k1 = keyWord;
#pragma GCC unroll 10
  for (int round = 0; round < 10; round++) {
    VU high0 = mulHigh(c0, m0), low0 = c0 * m0, high1 = mulHigh(c2, m1), low1 = c2 * m1;
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  VI a = interleave<0>((VI)c0, (VI)c2), b = interleave<0>((VI)c1, (VI)c3);
  store(out, interleave<0>(a, b));
  store(out + W, interleave<1>(a, b));
  a = interleave<1>((VI)c0, (VI)c2), b = interleave<1>((VI)c1, (VI)c3);
  store(out + 2 * W, interleave<0>(a, b));
  store(out + 3 * W, interleave<1>(a, b));
}

void run_philox(SIGNATURE) {
  uint32_t seed, step;
  memcpy(&seed, pa, 4);
  memcpy(&step, pb, 4);
  int32_t* d = (int32_t*)dst;
  int64_t i = 0;
  // A counter makes four lanes; a tile may begin inside one.
  const int64_t skip = index & 3;
  int32_t block[4 * W];
  uint32_t counter = (uint32_t)(index >> 2);
  while (i < n) {
    if ((i > 0 || skip == 0) && n - i >= 4 * W) {
      philoxBlock(counter, op.k1, step, seed, op.k0, d + i);
      i += 4 * W;
    } else {
      philoxBlock(counter, op.k1, step, seed, op.k0, block);
      const int64_t from = i == 0 ? skip : 0;
      int64_t count = 4 * W - from;
      if (count > n - i) count = n - i;
      memcpy(d + i, block + from, count * 4);
      i += count;
    }
    counter += W;
  }
}

}  // namespace

const InstructionFunction kInstructions[kInstructionCount] = {
#define INSTRUCTION(name, lanes, expression) run_##name,
#include "../elementwise.def"
#undef INSTRUCTION
};

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
