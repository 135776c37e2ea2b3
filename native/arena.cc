#include "arena.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

namespace layerwise {
namespace {

// From here on pages come from the system: returned when freed, untouched until used.
constexpr size_t kMapFrom = size_t{1} << 20;
constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

void askForHugePages(void* data, size_t bytes) {
#if defined(MADV_HUGEPAGE)
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  const size_t begin = ((size_t)data + page - 1) / page * page, end = ((size_t)data + bytes) / page * page;
  if (bytes >= 2 * kHugePage && begin < end) madvise((void*)begin, end - begin, MADV_HUGEPAGE);
#else
  (void)data;
  (void)bytes;
#endif
}

Arena::~Arena() {
  if (mapped_) munmap(data_, mapped_);
  else free(data_);
}

bool Arena::allocate(size_t bytes) {
  if (bytes > (size_t{1} << 47)) return false;
  Arena old = std::move(*this);
  const size_t size = (bytes + 63) / 64 * 64 + 64;  // never empty
  if (size < kMapFrom) {
    void* p = nullptr;
    if (posix_memalign(&p, 64, size) != 0) return false;
    memset(p, 0, size);
    data_ = (char*)p;
  } else {
    const size_t whole = (size + kHugePage - 1) / kHugePage * kHugePage;
    void* p = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return false;
    askForHugePages(p, whole);
    data_ = (char*)p;
    mapped_ = whole;
  }
  size_ = bytes;
  return true;
}

}  // namespace layerwise
