// oneDNN: its convolutions in the layouts that it likes best; dnnl_sgemm, and the matmul primitive on plain row-major memory, without packing in advance.
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

#if DNNL_VERSION_MAJOR < 3
// Operands and result in the library's layouts, and the primitive between them.
struct Execution {
  dnnl::engine cpu{dnnl::engine::kind::cpu, 0};
  dnnl::stream queue{cpu};
  dnnl::primitive primitive;
  std::unordered_map<int, dnnl::memory> arguments;
  dnnl::memory result;

  dnnl::memory bring(const float* data, const dnnl::memory::desc& plain, const dnnl::memory::desc& own) {
    dnnl::memory from(plain, cpu, const_cast<float*>(data)), to(own, cpu);
    dnnl::reorder(from, to).execute(queue, from, to);
    queue.wait();
    return to;
  }
  void fetch(float* data, const dnnl::memory::desc& plain) {
    dnnl::memory to(plain, cpu, data);
    dnnl::reorder(result, to).execute(queue, result, to);
    queue.wait();
  }
};

Way convolutionPrimitive(const Convolution& c) {
  using namespace dnnl;
  using Format = memory::format_tag;
  const auto state = std::make_shared<Execution>();
  const memory::dims x = {c.batch, c.channels, c.side, c.side}, y = {c.batch, c.filters, c.out(), c.out()};
  const memory::dims w = c.groups > 1 ? memory::dims{c.groups, c.filters / c.groups, c.channels / c.groups,
                                                     c.taps, c.taps}
                                      : memory::dims{c.filters, c.channels, c.taps, c.taps};
  const auto f32 = memory::data_type::f32;
  const auto any = [&](const memory::dims& dims) { return memory::desc(dims, f32, Format::any); };
  const memory::desc plainX(x, f32, Format::nhwc), plainY(y, f32, Format::nhwc);
  const memory::desc plainW(w, f32, c.groups > 1 ? Format::hwigo : Format::hwio);
  const memory::dims strides = {c.stride, c.stride}, pad = {c.pad, c.pad};
  const auto direct = algorithm::convolution_direct;
  const convolution_forward::primitive_desc forward(
      {prop_kind::forward_training, direct, any(x), any(w), any(y), strides, pad, pad}, state->cpu);
  memory::desc plain;
  if (c.direction == Convolution::kForward) {
    state->primitive = convolution_forward(forward);
    state->result = memory(forward.dst_desc(), state->cpu);
    state->arguments = {{DNNL_ARG_SRC, state->bring(c.a, plainX, forward.src_desc())},
                        {DNNL_ARG_WEIGHTS, state->bring(c.b, plainW, forward.weights_desc())},
                        {DNNL_ARG_DST, state->result}};
    plain = plainY;
  } else if (c.direction == Convolution::kInputGradient) {
    const convolution_backward_data::primitive_desc own(
        {direct, any(x), any(w), any(y), strides, pad, pad}, state->cpu, forward);
    state->primitive = convolution_backward_data(own);
    state->result = memory(own.diff_src_desc(), state->cpu);
    state->arguments = {{DNNL_ARG_DIFF_DST, state->bring(c.a, plainY, own.diff_dst_desc())},
                        {DNNL_ARG_WEIGHTS, state->bring(c.b, plainW, own.weights_desc())},
                        {DNNL_ARG_DIFF_SRC, state->result}};
    plain = plainX;
  } else {
    const convolution_backward_weights::primitive_desc own(
        {direct, any(x), any(w), any(y), strides, pad, pad}, state->cpu, forward);
    state->primitive = convolution_backward_weights(own);
    state->result = memory(own.diff_weights_desc(), state->cpu);
    state->arguments = {{DNNL_ARG_SRC, state->bring(c.a, plainX, own.src_desc())},
                        {DNNL_ARG_DIFF_DST, state->bring(c.b, plainY, own.diff_dst_desc())},
                        {DNNL_ARG_DIFF_WEIGHTS, state->result}};
    plain = plainW;
  }
  float* const to = c.c;
  return {"convolution primitive",
          [state] {
            state->primitive.execute(state->queue, state->arguments);
            state->queue.wait();
          },
          [state, to, plain] { state->fetch(to, plain); }};
}
#endif

}  // namespace

std::vector<Way> waysTo(const Convolution& convolution) {
#if DNNL_VERSION_MAJOR < 3
  return {convolutionPrimitive(convolution)};
#else
  (void)convolution;  // descriptors are made otherwise there
  return {};
#endif
}

std::vector<Way> waysTo(const Product& p) {
  const char transposeA = p.transposeA ? 'T' : 'N', transposeB = p.transposeB ? 'T' : 'N';
  const int lda = p.transposeA ? p.m : p.k, ldb = p.transposeB ? p.k : p.n;
  return {{"dnnl_sgemm",
           [=] {
             dnnl_sgemm(transposeA, transposeB, p.m, p.n, p.k, 1.0f, p.a, lda, p.b, ldb, 0.0f, p.c, p.n);
           }},
          {"matmul primitive", matmulPrimitive(p)}};
}
