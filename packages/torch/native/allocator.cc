// A CPU allocator that keeps freed blocks and counts live bytes.
//
// glibc returns a large block to the system at every free, so the next allocation faults its pages in again. It cuts a
// small aligned block out of a larger one each time. A training step allocates the same few sizes again and again, so
// kept blocks replace both costs by a list lookup. The count of live bytes is exact and includes the tensors that
// autograd saves.
#include "native.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <atomic>
#include <cstring>
#include <cstdlib>
#include <mutex>
#include <unordered_map>

namespace ltx {
namespace {

constexpr size_t kHeader = 64;               // keeps the data 64-byte aligned, as oneDNN prefers
constexpr size_t kSmall = 16 * 1024;         // up to this size a bin is found by its index

struct Header {
  size_t capacity;
  size_t requested;
};

std::atomic<int64_t> live{0};
std::atomic<int64_t> cached{0};
// Until runtime.ts calls setCpuCacheLimit() with a share of the memory that this process may use.
std::atomic<int64_t> cacheLimit{256 << 20};
std::mutex mutex;

using Bin = std::vector<void*>;

// Never freed: blocks come back until the process ends.
Bin* smallBins() {
  static auto* bins = new Bin[kSmall / kHeader + 1];
  return bins;
}

std::unordered_map<size_t, Bin>& largeBins() {
  static auto* bins = new std::unordered_map<size_t, Bin>();
  return *bins;
}

Bin& binOf(size_t capacity) {
  return capacity <= kSmall ? smallBins()[capacity / kHeader] : largeBins()[capacity];
}

// Rounds up to whole cache lines only. Coarser rounding would put every tensor at the same offset within a page, and loads
// would wait for stores to other tensors (4 KiB aliasing). Steps allocate the same sizes again, so exact bins fit.
size_t capacityFor(size_t bytes) { return (bytes + kHeader - 1) / kHeader * kHeader; }

void* takeKept(size_t capacity) {
  const std::lock_guard<std::mutex> lock(mutex);
  Bin& bin = binOf(capacity);
  if (bin.empty()) return nullptr;
  void* block = bin.back();
  bin.pop_back();
  cached -= static_cast<int64_t>(capacity);
  return block;
}

void keepBlock(void* block, size_t capacity) {
  const int64_t limit = cacheLimit;
  // The cache is full of sizes that are no longer used: empty it.
  if (cached + static_cast<int64_t>(capacity) > limit) releaseCachedCpuBytes();
  if (static_cast<int64_t>(capacity) > limit) {
    std::free(block);
    return;
  }
  const std::lock_guard<std::mutex> lock(mutex);
  binOf(capacity).push_back(block);
  cached += static_cast<int64_t>(capacity);
}

void* obtain(size_t bytes) {
  const size_t capacity = capacityFor(bytes);
  void* block = takeKept(capacity);
  if (block == nullptr && posix_memalign(&block, kHeader, capacity + kHeader) != 0) {
    releaseCachedCpuBytes();
    if (posix_memalign(&block, kHeader, capacity + kHeader) != 0) {
      throw BindingError("out of memory: could not allocate " + std::to_string(bytes) + " bytes (" +
                         std::to_string(live.load()) + " bytes are in live tensors)");
    }
  }
  *static_cast<Header*>(block) = Header{capacity, bytes};
  live += static_cast<int64_t>(bytes);
  return static_cast<char*>(block) + kHeader;
}

void giveBack(void* data) {
  if (data == nullptr) return;
  void* block = static_cast<char*>(data) - kHeader;
  const Header header = *static_cast<Header*>(block);
  live -= static_cast<int64_t>(header.requested);
  keepBlock(block, header.capacity);
}

// libtorch 1.13 declares `allocate` const and 2.x does not, and 2.3 added `copy_data`. The signature that
// the library has is overridden, and the other is an ordinary method, so neither can be marked `override`.
class KeepingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) const { return make(bytes); }
  c10::DataPtr allocate(size_t bytes) { return make(bytes); }
  c10::DeleterFnPtr raw_deleter() const override { return &giveBack; }
  void copy_data(void* destination, const void* source, std::size_t count) const {
    std::memcpy(destination, source, count);
  }

 private:
  static c10::DataPtr make(size_t bytes) {
    if (bytes == 0) return {nullptr, nullptr, &giveBack, c10::Device(c10::DeviceType::CPU)};
    void* data = obtain(bytes);
    return {data, data, &giveBack, c10::Device(c10::DeviceType::CPU)};
  }
};

}  // namespace

void installAllocator() {
  // Once per process, not per environment: another thread may be allocating.
  static const bool installed = [] {
    static KeepingAllocator allocator;
    c10::SetCPUAllocator(&allocator, 100);
    return true;
  }();
  static_cast<void>(installed);
}

int64_t liveCpuBytes() { return live; }
int64_t cachedCpuBytes() { return cached; }

void setCpuCacheLimit(int64_t bytes) {
  cacheLimit = bytes;
  if (cached > bytes) releaseCachedCpuBytes();
}

void releaseCachedCpuBytes() {
  const std::lock_guard<std::mutex> lock(mutex);
  const auto release = [](Bin& bin) {
    for (void* block : bin) std::free(block);
    bin = Bin();
  };
  for (size_t i = 0; i <= kSmall / kHeader; ++i) release(smallBins()[i]);
  for (auto& bin : largeBins()) release(bin.second);
  largeBins().clear();
  cached = 0;
}

}  // namespace ltx
