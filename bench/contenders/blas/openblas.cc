// OpenBLAS. Which kernels it uses is decided when it is loaded, by OPENBLAS_CORETYPE or its own detection.
#include <cblas.h>

#include "product.h"

const char* libraryName() { return "OpenBLAS"; }

std::string libraryVersion() {
  // "OpenBLAS 0.3.21 NO_LAPACK DYNAMIC_ARCH NO_AFFINITY Zen MAX_THREADS=64"
  const std::string config = openblas_get_config();
  const size_t begin = config.find(' ') + 1;
  const char* threading = openblas_get_parallel() == 1   ? "pthread"
                          : openblas_get_parallel() == 2 ? "OpenMP"
                                                         : "sequential";
  return config.substr(begin, config.find(' ', begin) - begin) + " (" + openblas_get_corename() +
         " kernels, " + threading + ")";
}

void useThreads(int threads) { openblas_set_num_threads(threads); }

std::vector<Way> waysTo(const Product& p) {
  const CBLAS_TRANSPOSE transposeA = p.transposeA ? CblasTrans : CblasNoTrans;
  const CBLAS_TRANSPOSE transposeB = p.transposeB ? CblasTrans : CblasNoTrans;
  const int lda = p.transposeA ? p.m : p.k, ldb = p.transposeB ? p.k : p.n;
  std::vector<Way> ways = {{"cblas_sgemm", [=] {
                              cblas_sgemm(CblasRowMajor, transposeA, transposeB, p.m, p.n, p.k, 1.0f, p.a,
                                          lda, p.b, ldb, 0.0f, p.c, p.n);
                            }}};
  if (p.m == 1) {
    // y = Bᵀ·x of the stored matrix, or B·x of one stored transposed.
    const int rows = p.transposeB ? p.n : p.k, cols = p.transposeB ? p.k : p.n;
    ways.push_back({"cblas_sgemv", [=] {
                      cblas_sgemv(CblasRowMajor, p.transposeB ? CblasNoTrans : CblasTrans, rows, cols, 1.0f,
                                  p.b, cols, p.a, 1, 0.0f, p.c, 1);
                    }});
  }
  return ways;
}

std::vector<Way> waysTo(const Convolution&) { return {}; }
