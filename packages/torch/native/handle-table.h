// Maps the numbers that JavaScript holds to C++ values: tensors, generators, mappings, events.
//
// A handle is `generation * 2^24 + slot`. Releasing a slot increments its generation, so a stale handle never finds
// another value. No other number is a handle, including NaN and fractions.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

namespace ltx {

template <typename Value>
class HandleTable {
 public:
  double put(Value value) {
    uint32_t index;
    if (freeSlots.empty()) {
      if (slots.size() >= static_cast<size_t>(kSlots)) throw std::runtime_error("more than 16,777,216 live handles");
      index = static_cast<uint32_t>(slots.size());
      slots.emplace_back();
    } else {
      index = freeSlots.back();
      freeSlots.pop_back();
    }
    Slot& slot = slots[index];
    slot.value = std::move(value);
    slot.live = true;
    return static_cast<double>(slot.generation) * kSlots + index;
  }

  // Null for a handle that was released or never issued.
  Value* find(double handle) {
    Slot* slot = slotOf(handle);
    return slot == nullptr ? nullptr : &slot->value;
  }

  void release(double handle) {
    Slot* slot = slotOf(handle);
    if (slot == nullptr) return;
    slot->live = false;
    slot->generation = slot->generation % kLastGeneration + 1;
    freeSlots.push_back(static_cast<uint32_t>(slot - slots.data()));
    // Moved out first: the destructor may run arbitrary deleters, and the table must be consistent then.
    Value dying = std::move(slot->value);
  }

  size_t size() const { return slots.size() - freeSlots.size(); }

  void clear() {
    slots.clear();
    freeSlots.clear();
  }

 private:
  static constexpr double kSlots = 16777216.0;  // 2^24
  static constexpr uint32_t kLastGeneration = (1u << 29) - 1;  // above it, a double cannot hold the handle
  static constexpr double kEnd = 9007199254740992.0;           // 2^53

  struct Slot {
    Value value{};
    uint32_t generation = 1;
    bool live = false;
  };

  Slot* slotOf(double handle) {
    // Written so that NaN fails it: converting NaN or a number out of range to an integer is undefined.
    if (!(handle >= kSlots && handle < kEnd) || handle != std::floor(handle)) return nullptr;
    const double generation = std::floor(handle / kSlots);
    const auto index = static_cast<size_t>(handle - generation * kSlots);
    if (index >= slots.size()) return nullptr;
    Slot& slot = slots[index];
    return slot.live && slot.generation == static_cast<uint32_t>(generation) ? &slot : nullptr;
  }

  std::vector<Slot> slots;
  std::vector<uint32_t> freeSlots;
};

}  // namespace ltx
