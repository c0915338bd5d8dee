// Entry point: registers every function and clears the handle tables when the environment ends.
#include "native.h"

namespace ltx {

void addFunction(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
  napi_set_named_property(env, exports, name, function);
}

}  // namespace ltx

NAPI_MODULE_INIT() {
  // Before the first tensor: a block must be freed by the allocator that made it.
  ltx::installAllocator();
  ltx::addFunction(env, exports, "resolve", ltx::resolveOperator);
  ltx::addFunction(env, exports, "schemas", ltx::operatorSchemas);
  ltx::addFunction(env, exports, "setErrorFactory", ltx::setErrorFactory);
  ltx::registerTensorFunctions(env, exports);
  ltx::registerRuntimeFunctions(env, exports);
  ltx::registerCudaFunctions(env, exports);
  ltx::registerMappingFunctions(env, exports);
  ltx::registerEventFunctions(env, exports);
  napi_add_env_cleanup_hook(env, [](void*) { ltx::clearHandles(); }, nullptr);
  return exports;
}
