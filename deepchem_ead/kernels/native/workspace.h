// Aligned memory that a thread keeps between calls.
#pragma once
#include <cstddef>
#include <cstdlib>

namespace ead {

class Workspace {
 public:
  Workspace() = default;
  Workspace(const Workspace&) = delete;
  ~Workspace() { std::free(memory_); }
  void reserve(size_t bytes) {
    used_ = 0;
    if (bytes <= size_) return;
    std::free(memory_);
    size_ = (bytes + 4095) / 4096 * 4096;
    memory_ = static_cast<char*>(std::aligned_alloc(4096, size_));
    if (!memory_) std::abort();
  }
  template <class T>
  T* take(size_t n) {
    T* p = reinterpret_cast<T*>(memory_ + used_);
    used_ += (n * sizeof(T) + 63) / 64 * 64;
    return p;
  }

 private:
  char* memory_ = nullptr;
  size_t size_ = 0, used_ = 0;
};

}  // namespace ead
