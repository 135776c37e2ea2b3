#include "guarded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <vector>

namespace layerwise::test {
namespace {

constexpr unsigned char kPattern = 0xa5;

size_t pageSize() {
  static const size_t size = (size_t)sysconf(_SC_PAGESIZE);
  return size;
}

// Mappings are used again: making one takes longer than most kernels that are tested in it. Each thread keeps its own.
struct Mappings {
  std::map<size_t, std::vector<char*>> free;
  ~Mappings() {
    for (const auto& [bytes, list] : free) {
      for (char* pages : list) munmap(pages - pageSize(), bytes + 2 * pageSize());
    }
  }
};
std::map<size_t, std::vector<char*>>& freeMappings() {
  thread_local Mappings mappings;
  return mappings.free;
}

char* takePages(size_t bytes) {
  std::vector<char*>& free = freeMappings()[bytes];
  if (!free.empty()) {
    char* pages = free.back();
    free.pop_back();
    return pages;
  }
  char* whole =
      (char*)mmap(nullptr, bytes + 2 * pageSize(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (whole == MAP_FAILED || mprotect(whole + pageSize(), bytes, PROT_READ | PROT_WRITE) != 0) {
    perror("guarded memory");
    abort();
  }
  return whole + pageSize();
}

}  // namespace

GuardedMemory::GuardedMemory(size_t bytes, Guard guard) : size_(bytes) {
  pageBytes_ = (bytes / pageSize() + 1) * pageSize();
  if (bytes > 0 && bytes % pageSize() == 0) pageBytes_ = bytes;
  pages_ = takePages(pageBytes_);
  memset(pages_, kPattern, pageBytes_);
  data_ = guard == Guard::kBehind ? pages_ + pageBytes_ - bytes : pages_;
}

GuardedMemory::GuardedMemory(GuardedMemory&& other) noexcept
    : pages_(other.pages_), pageBytes_(other.pageBytes_), data_(other.data_), size_(other.size_) {
  other.pages_ = nullptr;
}

GuardedMemory::~GuardedMemory() {
  if (!pages_) return;
  mprotect(pages_, pageBytes_, PROT_READ | PROT_WRITE);
  freeMappings()[pageBytes_].push_back(pages_);
}

void GuardedMemory::makeReadOnly() { mprotect(pages_, pageBytes_, PROT_READ); }

bool GuardedMemory::intact() const {
  for (const char* p = pages_; p < pages_ + pageBytes_; p++) {
    if (p == data_) p += size_;
    if (p == pages_ + pageBytes_) break;
    if ((unsigned char)*p != kPattern) return false;
  }
  return true;
}

}  // namespace layerwise::test
