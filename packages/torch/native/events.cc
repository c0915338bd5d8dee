// Device events: marks in a device's queue. The device measures the time between two of them.
#include "handle-table.h"
#include "native.h"

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <memory>

namespace ltx {
namespace {

thread_local HandleTable<std::unique_ptr<c10::Event>> events;

c10::Event& eventAt(double handle) {
  const auto* event = events.find(handle);
  if (event == nullptr) throw BindingError("unknown event");
  return **event;
}

// Events of libtorch 1.13 cannot be timed. The overload that compiles tells which kind this libtorch has.
template <typename Event>
auto elapsed(const Event& from, const Event& to, int) -> decltype(from.elapsedTime(to)) {
  to.synchronize();
  return from.elapsedTime(to);
}
template <typename Event>
double elapsed(const Event&, const Event&, long) {
  throw BindingError("the events of this libtorch cannot be timed; use libtorch 2.x");
}

// recordEvent(device) -> handle of a mark at the end of the device's current stream
napi_value recordEvent(napi_env env, napi_callback_info info) {
  return guarded(env, "recordEvent", [&]() -> napi_value {
    const c10::Device device(stringOf(env, Arguments(env, info).at[0]));
    auto event = std::make_unique<c10::Event>(device.type(), c10::EventFlag::BACKEND_DEFAULT);
    event->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
    return makeNumber(env, events.put(std::move(event)));
  });
}

// elapsedMilliseconds(from, to): waits for `to`, frees both
napi_value elapsedMilliseconds(napi_env env, napi_callback_info info) {
  return guarded(env, "elapsedMilliseconds", [&]() -> napi_value {
    const Arguments arguments(env, info);
    const double from = numberOf(env, arguments.at[0]), to = numberOf(env, arguments.at[1]);
    const double milliseconds = elapsed(eventAt(from), eventAt(to), 0);
    events.release(from);
    events.release(to);
    return makeNumber(env, milliseconds);
  });
}

}  // namespace

void registerEventFunctions(napi_env env, napi_value exports) {
  addFunction(env, exports, "recordEvent", recordEvent);
  addFunction(env, exports, "elapsedMilliseconds", elapsedMilliseconds);
}

}  // namespace ltx
