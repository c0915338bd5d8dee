// The table behind every Tensor object in JavaScript.
//
// A handle is `generation * 2^24 + slot`. Releasing a slot raises its generation, so a number kept too long never
// reaches another tensor: it is refused.
#include "native.h"

#include <cmath>

namespace ltx {
namespace {

constexpr double kSlots = 16777216.0;  // 2^24

struct Slot {
  at::Tensor tensor;
  uint32_t generation = 1;
  bool live = false;
};

// One JavaScript environment lives on one thread, so thread-local tables are per-environment tables.
thread_local std::vector<Slot> slots;
thread_local std::vector<uint32_t> freeSlots;
thread_local std::vector<at::Generator> generators;

Slot* slotOf(double handle) {
  const double generation = std::floor(handle / kSlots);
  const auto index = static_cast<size_t>(handle - generation * kSlots);
  if (index >= slots.size()) return nullptr;
  Slot& slot = slots[index];
  return slot.live && slot.generation == static_cast<uint32_t>(generation) ? &slot : nullptr;
}

}  // namespace

double putTensor(at::Tensor tensor) {
  uint32_t index;
  if (freeSlots.empty()) {
    if (slots.size() >= static_cast<size_t>(kSlots)) throw BindingError("more than 16,777,216 live tensors");
    index = static_cast<uint32_t>(slots.size());
    slots.emplace_back();
  } else {
    index = freeSlots.back();
    freeSlots.pop_back();
  }
  Slot& slot = slots[index];
  slot.tensor = std::move(tensor);
  slot.live = true;
  return static_cast<double>(slot.generation) * kSlots + index;
}

at::Tensor& tensorAt(double handle) {
  Slot* slot = slotOf(handle);
  if (slot == nullptr) {
    throw BindingError("this tensor was freed (by free() or at the end of its scope); return it from scope() or keep() it");
  }
  return slot->tensor;
}

bool isLive(double handle) { return slotOf(handle) != nullptr; }

void releaseTensor(double handle) {
  Slot* slot = slotOf(handle);
  if (slot == nullptr) return;
  slot->live = false;
  slot->generation += 1;
  freeSlots.push_back(static_cast<uint32_t>(slot - slots.data()));
  // Moved out first: releasing may run arbitrary deleters, and they must find the table consistent.
  at::Tensor dying = std::move(slot->tensor);
}

size_t liveTensorCount() { return slots.size() - freeSlots.size(); }

void clearHandles() {
  slots.clear();
  freeSlots.clear();
  generators.clear();
}

double putGenerator(at::Generator generator) {
  generators.push_back(std::move(generator));
  return static_cast<double>(generators.size());
}

at::Generator& generatorAt(double handle) {
  const auto index = static_cast<size_t>(handle);
  if (index < 1 || index > generators.size()) throw BindingError("unknown generator");
  return generators[index - 1];
}

}  // namespace ltx
