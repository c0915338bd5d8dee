// Device events: marks in a device's queue of work, whose distance in time the device itself measures.
#include "native.h"

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <memory>

namespace ltx {
namespace {

thread_local std::vector<std::unique_ptr<c10::Event>> events;

c10::Event& eventAt(double handle) {
  const auto index = static_cast<size_t>(handle);
  if (index < 1 || index > events.size() || !events[index - 1]) throw BindingError("unknown event");
  return *events[index - 1];
}

// libtorch 1.13 has events that cannot tell the time; which kind this is shows in the class itself.
template <typename Event>
auto elapsed(const Event& from, const Event& to, int) -> decltype(from.elapsedTime(to)) {
  to.synchronize();
  return from.elapsedTime(to);
}
template <typename Event>
double elapsed(const Event&, const Event&, long) {
  throw BindingError("this libtorch's events cannot tell the time; 2.x is needed");
}

// recordEvent(device) -> handle of a mark at the present end of the device's current stream
napi_value recordEvent(napi_env env, napi_callback_info info) {
  return guarded(env, "recordEvent", [&]() -> napi_value {
    const c10::Device device(stringOf(env, Arguments(env, info).at[0]));
    auto event = std::make_unique<c10::Event>(device.type(), c10::EventFlag::BACKEND_DEFAULT);
    event->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
    events.push_back(std::move(event));
    return makeNumber(env, static_cast<double>(events.size()));
  });
}

// elapsedMilliseconds(from, to): waits for `to`, frees both
napi_value elapsedMilliseconds(napi_env env, napi_callback_info info) {
  return guarded(env, "elapsedMilliseconds", [&]() -> napi_value {
    const Arguments arguments(env, info);
    const double from = numberOf(env, arguments.at[0]), to = numberOf(env, arguments.at[1]);
    const double milliseconds = elapsed(eventAt(from), eventAt(to), 0);
    events[static_cast<size_t>(from) - 1].reset();
    events[static_cast<size_t>(to) - 1].reset();
    return makeNumber(env, milliseconds);
  });
}

}  // namespace

void registerEventFunctions(napi_env env, napi_value exports) {
  addFunction(env, exports, "recordEvent", recordEvent);
  addFunction(env, exports, "elapsedMilliseconds", elapsedMilliseconds);
}

}  // namespace ltx
