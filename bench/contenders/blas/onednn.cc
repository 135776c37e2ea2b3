// oneDNN: dnnl_sgemm, and the matmul primitive on plain row-major memory, without packing in advance.
#include <dnnl.hpp>

#if DNNL_CPU_RUNTIME == DNNL_RUNTIME_OMP
#include <omp.h>
#endif

#include "product.h"

const char* libraryName() { return "oneDNN"; }

std::string libraryVersion() {
  const dnnl_version_t* v = dnnl_version();
  const char* threading = v->cpu_runtime == DNNL_RUNTIME_OMP ? "OpenMP" : "not OpenMP";
  return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch) + " (" +
         threading + ")";
}

void useThreads(int threads) {
#if DNNL_CPU_RUNTIME == DNNL_RUNTIME_OMP
  omp_set_num_threads(threads);
#else
  (void)threads;
#endif
}

namespace {

std::function<void()> matmulPrimitive(const Product& p) {
  using namespace dnnl;
  const engine cpu(engine::kind::cpu, 0);
  const auto matrix = [](int rows, int cols, bool transposed) {
    return memory::desc({rows, cols}, memory::data_type::f32,
                        transposed ? memory::dims{1, rows} : memory::dims{cols, 1});
  };
  const memory::desc a = matrix(p.m, p.k, p.transposeA), b = matrix(p.k, p.n, p.transposeB),
                     c = matrix(p.m, p.n, false);
#if DNNL_VERSION_MAJOR >= 3
  const matmul primitive(matmul::primitive_desc(cpu, a, b, c));
#else
  const matmul primitive(matmul::primitive_desc(matmul::desc(a, b, c), cpu));
#endif
  stream queue(cpu);
  const std::unordered_map<int, memory> arguments = {
      {DNNL_ARG_SRC, memory(a, cpu, const_cast<float*>(p.a))},
      {DNNL_ARG_WEIGHTS, memory(b, cpu, const_cast<float*>(p.b))},
      {DNNL_ARG_DST, memory(c, cpu, p.c)},
  };
  return [=]() mutable {
    primitive.execute(queue, arguments);
    queue.wait();
  };
}

}  // namespace

std::vector<Way> waysTo(const Product& p) {
  const char transposeA = p.transposeA ? 'T' : 'N', transposeB = p.transposeB ? 'T' : 'N';
  const int lda = p.transposeA ? p.m : p.k, ldb = p.transposeB ? p.k : p.n;
  return {{"dnnl_sgemm",
           [=] {
             dnnl_sgemm(transposeA, transposeB, p.m, p.n, p.k, 1.0f, p.a, lda, p.b, ldb, 0.0f, p.c, p.n);
           }},
          {"matmul primitive", matmulPrimitive(p)}};
}
