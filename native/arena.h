// Memory of running Programs: 64-byte aligned, zeroed when new, huge pages for large blocks.
#pragma once

#include <cstddef>
#include <utility>

namespace layerwise {

// Has the system back memory that nobody touched yet by huge pages, where it is large and there are any: a core knows the
// addresses of some thousand pages, which of 4 KiB are those of a few MiB.
void askForHugePages(void* data, size_t bytes);

class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(Arena&& other) noexcept { swap(other); }
  Arena& operator=(Arena&& other) noexcept {
    swap(other);
    return *this;
  }
  // False if the memory can't be had.
  bool allocate(size_t bytes);
  char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  void swap(Arena& other) {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(mapped_, other.mapped_);
  }
  char* data_ = nullptr;
  size_t size_ = 0;
  size_t mapped_ = 0;  // bytes to unmap; 0 for heap memory
};

}  // namespace layerwise
