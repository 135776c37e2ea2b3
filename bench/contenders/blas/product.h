// A matrix product, and what a library has to offer for it. One library is linked into each worker.
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

// One way to compute the product; the worker keeps the fastest.
struct Way {
  const char* name;
  std::function<void()> call;
};

const char* libraryName();
std::string libraryVersion();
void useThreads(int threads);
std::vector<Way> waysTo(const Product& product);
