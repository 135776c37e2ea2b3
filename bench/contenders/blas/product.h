// A matrix product or a convolution, and what a library has to offer for it. One library is linked into each
// worker.
#pragma once

#include <functional>
#include <string>
#include <vector>

// C[m×n] = A·B, row-major, nothing added. A transposed operand is stored as k×m, or as n×k.
struct Product {
  int m, n, k;
  bool transposeA, transposeB;
  const float *a, *b;
  float* c;
};

// A convolution of square images with square filters, or one of its gradients. a and b are its operands, c
// the result: images [batch, side, side, channels], filters [taps, taps, channels / groups, filters].
struct Convolution {
  enum Direction { kForward, kInputGradient, kFilterGradient } direction;
  int batch, side, channels, filters, taps, stride, pad, groups;
  const float *a, *b;
  float* c;
  int out() const { return (side + 2 * pad - taps) / stride + 1; }
};

// One way to compute it; the worker keeps the fastest. A library that has a layout of its own takes the
// operands into it beforehand, and brings the result out of it by `fetch`, neither of which is timed.
struct Way {
  const char* name;
  std::function<void()> call;
  std::function<void()> fetch = [] {};
};

const char* libraryName();
std::string libraryVersion();
void useThreads(int threads);
std::vector<Way> waysTo(const Product& product);
// None if the library has no convolutions.
std::vector<Way> waysTo(const Convolution& convolution);
