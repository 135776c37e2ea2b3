// A micro-kernel with more accumulators than there are registers: what scripts/disassembly.mjs must
// find.
typedef float V __attribute__((vector_size(16)));

namespace layerwise::baseline {

template <int MR, int NV>
__attribute__((noinline)) void gemmTile(long kc, const float* a, const float* b, float* c) {
  V acc[MR][NV] = {};
  for (long k = 0; k < kc; k++, a += MR, b += 4 * NV) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++) {
#pragma GCC unroll 16
      for (int j = 0; j < NV; j++) acc[i][j] += a[i] * *(const V*)(b + 4 * j);
    }
  }
  for (int i = 0; i < MR; i++) {
    for (int j = 0; j < NV; j++) *(V*)(c + 4 * (i * NV + j)) = acc[i][j];
  }
}

template void gemmTile<8, 4>(long, const float*, const float*, float*);

}  // namespace layerwise::baseline
