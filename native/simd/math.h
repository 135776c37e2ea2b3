// Elementary functions on vectors of floats, written once for all instruction sets: same polynomials,
// same order, explicit fma, so every instruction set with FMA gives the same bits.
// Errors are in ULP of float32 against the exact value, the largest that native/test/accuracy_test.cc found
// with FMA over all floats (every 257th bit pattern; docs/testing.md says how to walk all of them); results below
// the normal range may be flushed to 0, denormal arguments count as zero. Costs are cycles per element, AVX2, Zen 3.
#pragma once

#include "vec.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {

// 2^n for −126 ≤ n ≤ 127.
LW_INLINE VF exponentOf(VI n) { return (VF)((n + 127) << 23); }

struct ExpParts {
  VF r;  // x − n·ln2, |r| ≤ 0.35
  VI n;
};
// For |x| ≤ 105. ln2 in two parts: the high one has 9 trailing zero bits, so n·high is exact.
LW_INLINE ExpParts reduceExp(VF x) {
  VF n = roundEven(x * 1.44269504088896341f);
  VF r = fma(n, set1(-0.693359375f), x);
  r = fma(n, set1(2.12194440e-4f), r);
  return {r, toIntRaw(n)};
}
// (eʳ − 1 − r)/r² on |r| ≤ 0.35, degree 5 (Cephes expf).
LW_INLINE VF expTail(VF r) {
  VF p = set1(1.9875691500e-4f);
  p = fma(p, r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  return fma(p, r, set1(5.0000001201e-1f));
}

// eˣ: 1.01 ULP, 1.1 cycles. +∞ above 88.7228, 0 below −87.34.
LW_INLINE VF exp(VF x) {
  // n = round(x/ln 2), in the low bits of a float so large that its unit is 1.
  constexpr float kShift = 12582912.0f;
  const VF t = fma(x, set1(1.44269504088896341f), set1(kShift));
  const VF n = t - kShift;
  VF r = fma(n, set1(-0.693359375f), x);
  r = fma(n, set1(2.12194440e-4f), r);
  VF y = fma(expTail(r), r * r, r) + 1.0f;
  // Times 2ⁿ: shifted left, all but n has left the word. Where n does not fit, x decides below; so it does where
  // it is NaN, whose low bits would change the exponent.
  y = (VF)((VI)y + ((VI)t << 23));
  y = x < 88.7228394f ? y : x + infinity();
  return (VF)((VI)y & ~(VI)(x < -87.3365479f));
}

// eˣ − 1: 1.42 ULP, 2.1 cycles.
LW_INLINE VF expm1(VF x) {
  VF clamped = x > 89.0f ? set1(89.0f) : x;
  clamped = clamped < -50.0f ? set1(-50.0f) : clamped;
  ExpParts e = reduceExp(clamped);
  VF q = fma(expTail(e.r), e.r * e.r, e.r);  // eʳ − 1
  VI half = e.n >> 1;
  VF s = exponentOf(half), t = exponentOf(e.n - half);
  VF small = fma(s * t, q, s * t - 1.0f);
  VF large = (q + 1.0f) * s * t;  // from n = 64 on the 1 is lost anyway, and s·t may overflow
  VF y = e.n > 64 ? large : small;
  y = x == 0.0f ? x : y;
  return x != x ? x : y;
}

// ln x: 0.75 ULP, 1.9 cycles. −∞ at 0, NaN below (Cephes logf).
LW_INLINE VF log(VF x) {
  VI bits = (VI)x;
  // Mantissa in [√½, √2), so that ln m is small on both sides of 1.
  VI e = ((bits - 0x3f3504f3) >> 23);
  VF m = (VF)(bits - (e << 23));
  VF f = m - 1.0f, z = f * f, n = toFloat(e);
  VF p = set1(7.0376836292e-2f);
  p = fma(p, f, set1(-1.1514610310e-1f));
  p = fma(p, f, set1(1.1676998740e-1f));
  p = fma(p, f, set1(-1.2420140846e-1f));
  p = fma(p, f, set1(1.4249322787e-1f));
  p = fma(p, f, set1(-1.6668057665e-1f));
  p = fma(p, f, set1(2.0000714765e-1f));
  p = fma(p, f, set1(-2.4999993993e-1f));
  p = fma(p, f, set1(3.3333331174e-1f));
  VF y = p * f * z;
  y = fma(n, set1(-2.12194440e-4f), y);
  y = fma(z, set1(-0.5f), y);
  y = fma(n, set1(0.693359375f), f + y);
  y = x == infinity() ? x : y;
  y = x == 0.0f ? -infinity() : y;
  return (VI)(x < 0.0f) | (VI)(x != x) ? set1(__builtin_nanf("")) : y;
}

// ln(1 + x): 1.44 ULP, 2.6 cycles. The rounding error of 1 + x is put back as x's remainder over u.
LW_INLINE VF log1p(VF x) {
  VF u = x + 1.0f;
  VF rest = (x - (u - 1.0f)) / u;
  VF y = log(u) + rest;
  y = (VI)(abs(x) < 1e-8f) | (VI)(x == infinity()) ? x : y;
  return u == 0.0f ? -infinity() : y;
}

// tanh: 1.30 ULP, 2.9 cycles. Odd polynomial up to 0.625 (Cephes), beyond it 1 − 2/(e²ˣ + 1).
LW_INLINE VF tanh(VF x) {
  VF size = abs(x), s = x * x;
  VF p = set1(-5.70498872745e-3f);
  p = fma(p, s, set1(2.06390887954e-2f));
  p = fma(p, s, set1(-5.37397155531e-2f));
  p = fma(p, s, set1(1.33314422036e-1f));
  p = fma(p, s, set1(-3.33332819422e-1f));
  VF small = fma(p * s, x, x);
  VF capped = size > 10.0f ? set1(10.0f) : size;  // tanh(10) rounds to 1
  VF large = 1.0f - 2.0f / (exp(capped + capped) + 1.0f);
  return size < 0.625f ? small : copySign(large, x);
}

// 1/(1 + e⁻ˣ): 2.27 ULP, 1.6 cycles.
LW_INLINE VF sigmoid(VF x) { return 1.0f / (exp(-x) + 1.0f); }

// ln(1 + t) for 0 ≤ t ≤ 1: t + t²·p(t), degree 8, minimax over the result's relative error.
LW_INLINE VF log1pUnit(VF t) {
  VF p = set1(-3.3184055705e-3f);
  p = fma(p, t, set1(2.0204292610e-2f));
  p = fma(p, t, set1(-5.7663943619e-2f));
  p = fma(p, t, set1(1.0680507869e-1f));
  p = fma(p, t, set1(-1.5355370939e-1f));
  p = fma(p, t, set1(1.9695390761e-1f));
  p = fma(p, t, set1(-2.4958582222e-1f));
  p = fma(p, t, set1(3.3330512047e-1f));
  p = fma(p, t, set1(-4.9999934435e-1f));
  return fma(p, t * t, t);
}

// ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|): 1.71 ULP, 3.2 cycles.
LW_INLINE VF softplus(VF x) {
  return (x > 0.0f ? x : zero()) + log1pUnit(exp(-abs(x)));
}

// erf: 1.00 ULP, 3.5 cycles. Odd polynomial up to 475/512, beyond it 1 − e^p(|x|) (both minimax, after N. Juffa).
LW_INLINE VF erf(VF x) {
  VF t = abs(x), s = x * x;
  VF p = set1(-5.96761703e-4f);
  p = fma(p, s, set1(4.99119423e-3f));
  p = fma(p, s, set1(-2.67681349e-2f));
  p = fma(p, s, set1(1.12819925e-1f));
  p = fma(p, s, set1(-3.76125336e-1f));
  p = fma(p, s, set1(1.28379166e-1f));
  VF small = fma(p, x, x);
  // Without FMA the product of a tiny x is flushed.
  if (!kFma) small = t < 0x1p-100f ? x * 1.12837917f : small;
  t = t > 4.0f ? set1(4.0f) : t;  // erf(4) rounds to 1
  s = t * t;
  VF q = fma(set1(-1.72853470e-5f), t, set1(3.83197126e-4f));
  VF u = fma(set1(-3.88396438e-3f), t, set1(2.42546219e-2f));
  q = fma(q, s, u);
  q = fma(q, t, set1(-1.06777877e-1f));
  q = fma(q, t, set1(-6.34846687e-1f));
  q = fma(q, t, set1(-1.28717512e-1f));
  q = fma(q, t, -t);
  VF large = copySign(1.0f - exp(q), x);
  return abs(x) > 0.927734375f ? large : small;
}

#if defined(__FMA__) || defined(__aarch64__)
// sin and cos: 1.44 ULP and 1.9 cycles up to |x| = 10⁴, by reduction with π/2 in three parts (each product is exact or
// rounded once by fma); beyond that the C library, lane by lane. `quarter` 0 is sin, 1 is cos.
LW_INLINE VF sinCos(VF x, int quarter, float (*exact)(float)) {
  VF k = roundEven(x * 0.636619772f);
  VF r = fma(k, set1(-1.57079637050628662109375f), x);
  r = fma(k, set1(4.37113900018624283e-8f), r);
  r = fma(k, set1(1.71512451613211e-15f), r);
  VI q = toIntRaw(k) + quarter;
  VF s = r * r;
  VF a = set1(2.86567956e-6f);
  a = fma(a, s, set1(-1.98559923e-4f));
  a = fma(a, s, set1(8.33338592e-3f));
  a = fma(a, s, set1(-1.66666672e-1f));
  VF sine = fma(a * s, r, r);
  VF b = set1(2.44677067e-5f);
  b = fma(b, s, set1(-1.38877297e-3f));
  b = fma(b, s, set1(4.16666567e-2f));
  b = fma(b, s, set1(-0.5f));
  VF cosine = fma(b, s, set1(1.0f));
  VF y = (q & 1) != 0 ? cosine : sine;
  y = (VF)((VI)y ^ ((q & 2) << 30));
  // A lane's result must not depend on its neighbours: only the huge lanes are replaced.
  float lanes[W], arguments[W];
  int32_t huge[W];
  store(huge, ~(VI)(abs(x) <= 1e4f));
  int32_t any = 0;
  for (int l = 0; l < W; l++) any |= huge[l];
  if (!any) return y;
  store(lanes, y);
  store(arguments, x);
  for (int l = 0; l < W; l++) {
    if (huge[l]) lanes[l] = exact(arguments[l]);
  }
  return load(lanes);
}
LW_INLINE VF sin(VF x) { return sinCos(x, 0, ::sinf); }
LW_INLINE VF cos(VF x) { return sinCos(x, 1, ::cosf); }
#else
LW_INLINE VF sin(VF x) { return perLane(x, ::sinf); }
LW_INLINE VF cos(VF x) { return perLane(x, ::cosf); }
#endif

// a − b·q for q = ⌊a / b⌋ in float: exact while q is below 2^22, but of the wrong sign where the division rounded
// up to an integer. Below 2^24 all integers are floats, so it never rounds down past one.
LW_INLINE VF restOf(VF a, VF b, VF q) { return q == 0.0f ? a : fnmaExact(b, q, a); }
LW_INLINE VI hasWrongSign(VF rest, VF b) { return (rest != 0.0f) & ((rest < 0.0f) != (b < 0.0f)); }
// ⌊a / b⌋; from 2^24 on, the quotient rounded to float32.
LW_INLINE VF floorQuotient(VF a, VF b) {
  const VF q = floor(a / b);
  const VI tooLarge = hasWrongSign(restOf(a, b, q), b) & (abs(q) <= 16777216.0f);
  return tooLarge ? q - 1.0f : q;
}
// a − b·⌊a / b⌋ with the sign of b, rounded once. Large quotients by the C library, whose fmod is exact.
inline float floorRestOf(float a, float b) {
  const float rest = ::fmodf(a, b);
  return rest != 0.0f && (rest < 0.0f) != (b < 0.0f) ? rest + b : rest;
}
LW_INLINE VF floorRest(VF a, VF b) {
  const VF q = floor(a / b);
  VF rest = restOf(a, b, q);
  rest = hasWrongSign(rest, b) ? rest + b : rest;
  const VI large = abs(q) >= 4194304.0f;
  if (__builtin_expect(anyLane(large), 0)) rest = large ? perLane(a, b, floorRestOf) : rest;
  return rest == 0.0f ? copySign(zero(), b) : rest;
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
