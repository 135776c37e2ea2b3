// Memory with an inaccessible page directly behind it or directly before it, so that one byte read
// or written too far is a fault, on any compiler and with inline assembly or masked vector
// instructions. The other side, up to the page's border, holds a pattern that is checked.
#pragma once

#include <cstddef>
#include <cstdint>

namespace layerwise::test {

enum class Guard { kBehind, kBefore };

class GuardedMemory {
 public:
  GuardedMemory(size_t bytes, Guard guard);
  ~GuardedMemory();
  GuardedMemory(GuardedMemory&& other) noexcept;
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  char* data() const { return data_; }
  size_t size() const { return size_; }
  // From now on a write is a fault.
  void makeReadOnly();
  // False if something was written beside the data.
  bool intact() const;

 private:
  char* pages_;  // between the two guard pages
  size_t pageBytes_;
  char* data_;
  size_t size_;
};

}  // namespace layerwise::test
