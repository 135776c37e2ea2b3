// copy: strided copies, of which transpose, slice, reverse, concat, pad and tile are made.
#include "kernels.h"

namespace layerwise {
namespace LAYERWISE_ISA_NAMESPACE {
namespace {

constexpr int kMaxRank = 16;

// The copy with dimensions of 1 dropped, neighbours merged, and the runs along the last dimension.
struct Moves {
  int rank;  // ≥ 1
  int64_t dims[kMaxRank], src[kMaxRank], dst[kMaxRank];
  int64_t srcOffset, dstOffset, total;

  explicit Moves(const Call& call) {
    const int32_t* v = call.ints;
    const int n = v[0];
    srcOffset = v[1];
    dstOffset = v[2];
    rank = 0;
    total = 1;
    for (int d = 0; d < n; d++) {
      const int64_t dim = v[3 + d], s = v[3 + n + d], t = v[3 + 2 * n + d];
      total *= dim;
      if (dim == 1) continue;
      if (rank > 0 && src[rank - 1] == s * dim && dst[rank - 1] == t * dim) {
        dims[rank - 1] *= dim;
        src[rank - 1] = s;
        dst[rank - 1] = t;
      } else {
        dims[rank] = dim, src[rank] = s, dst[rank] = t;
        rank++;
      }
    }
    if (rank == 0) {
      dims[0] = 1, src[0] = 1, dst[0] = 1;
      rank = 1;
    }
  }
};

template <class T>
LW_INLINE void copyRun(T* d, int64_t dStride, const T* s, int64_t sStride, int64_t n) {
  if (sStride == 1 && dStride == 1) {
    memcpy(d, s, n * sizeof(T));
  } else if (dStride == 1 && sStride == 0) {
    const T x = *s;
    for (int64_t i = 0; i < n; i++) d[i] = x;
  } else {
    for (int64_t i = 0; i < n; i++) d[i * dStride] = s[i * sStride];
  }
}

// The last two dimensions swapped: d contiguous along columns, s along rows. Blocks of 16 keep the
// lines of both sides in L1.
template <class T>
LW_INLINE void transposeBlock(T* d, int64_t dRow, const T* s, int64_t sCol, int64_t rows, int64_t cols) {
  constexpr int64_t kBlock = 16;
  for (int64_t i0 = 0; i0 < rows; i0 += kBlock) {
    const int64_t i1 = minOf(rows, i0 + kBlock);
    for (int64_t j0 = 0; j0 < cols; j0 += kBlock) {
      const int64_t j1 = minOf(cols, j0 + kBlock);
      if (sizeof(T) == 4 && i1 - i0 == kBlock && j1 - j0 == kBlock) {
        // d[i][j] = s[j·sCol + i]: W source rows at a time.
        for (int64_t j = j0; j < j1; j += W) {
          for (int64_t i = i0; i < i1; i += 4) {
            transpose4((const float*)s + j * sCol + i, sCol, (float*)d + i * dRow + j, dRow);
          }
        }
      } else {
        for (int64_t i = i0; i < i1; i++) {
          for (int64_t j = j0; j < j1; j++) d[i * dRow + j] = s[j * sCol + i];
        }
      }
    }
  }
}

template <class T>
void copyPart(const Moves& m, const T* src, T* dst, int64_t part, int64_t parts) {
  if (m.total == 0) return;
  const int last = m.rank - 1;
  if (m.rank == 1) {
    const Range r = split(m.dims[0], 64, part, parts);
    if (r.begin < r.end) {
      copyRun(dst + m.dstOffset + r.begin * m.dst[0], m.dst[0],
              src + m.srcOffset + r.begin * m.src[0], m.src[0], r.end - r.begin);
    }
    return;
  }
  // A transposition of the last two dimensions goes by blocks, else runs along the last dimension.
  const bool transposed = m.dst[last] == 1 && m.src[last] != 1 && m.src[last - 1] == 1;
  const int inner = transposed ? 2 : 1;
  int64_t outer = 1;
  for (int d = 0; d < m.rank - inner; d++) outer *= m.dims[d];
  const int64_t rows = transposed ? m.dims[last - 1] : 1;
  // Work units: (outer index, block of 16 rows).
  const int64_t blocks = ceilDiv(rows, 16);
  const Range range = split(outer * blocks, 1, part, parts);
  for (int64_t unit = range.begin; unit < range.end; unit++) {
    int64_t rest = unit / blocks, s = m.srcOffset, t = m.dstOffset;
    for (int d = m.rank - inner - 1; d >= 0; d--) {
      const int64_t q = rest / m.dims[d], at = rest - q * m.dims[d];
      s += at * m.src[d];
      t += at * m.dst[d];
      rest = q;
    }
    if (transposed) {
      const int64_t row = unit % blocks * 16, n = minOf(16, rows - row);
      transposeBlock(dst + t + row * m.dst[last - 1], m.dst[last - 1], src + s + row,
                     m.src[last], n, m.dims[last]);
    } else {
      copyRun(dst + t, m.dst[last], src + s, m.src[last], m.dims[last]);
    }
  }
}

}  // namespace

void plan_copy(Call& call) {
  const Moves m(call);
  call.phases = 1;
  call.maxParts = maxOf(1, m.total / 4096);
  call.work = m.total / 4 + m.total / maxOf(1, m.dims[m.rank - 1]) * 5;
}

void run_copy(const Call& call, const Run& run, int, int64_t part, int64_t parts) {
  const Moves m(call);
  const void* src = run.ptr[call.inputs[0]];
  void* dst = run.ptr[call.outputs[0]];
  if (call.inputTypes[0] == kUint8 || call.inputTypes[0] == kBool) {
    copyPart(m, (const uint8_t*)src, (uint8_t*)dst, part, parts);
  } else {
    copyPart(m, (const int32_t*)src, (int32_t*)dst, part, parts);
  }
}

}  // namespace LAYERWISE_ISA_NAMESPACE
}  // namespace layerwise
