// Shared declarations of the addon: handles for tensors and generators, value conversion, error reporting.
//
// The addon has no policy: it finds operators by name, converts arguments by the operator's schema and keeps tensors in
// a table. Scopes, names and defaults are in TypeScript.
#pragma once

#include <node_api.h>

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace ltx {

// Misuse of the binding, as opposed to a failure inside libtorch.
struct BindingError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// ---- handles.cc: JavaScript holds numbers; stale ones are refused (handle-table.h).
double putTensor(at::Tensor tensor);
at::Tensor& tensorAt(double handle);
bool isLive(double handle);
void releaseTensor(double handle);
size_t liveTensorCount();
void clearHandles();

double putGenerator(at::Generator generator);
at::Generator& generatorAt(double handle);
void releaseGenerator(double handle);
size_t liveGeneratorCount();

// ---- convert.cc: JavaScript values to IValues and back, one case per schema type.
enum class ArgumentKind : uint8_t {
  Tensor, TensorList, OptionalTensorList, Int, IntList, Float, FloatList, Bool, BoolList, Scalar, ScalarList, String,
  Device, Generator, Unsupported,
};

struct ArgumentPlan {
  ArgumentKind kind;
  bool optional;
  // For `int[2]` and the like: a single number is repeated this many times.
  int32_t fixedLength;
};

ArgumentPlan planArgument(const c10::Argument& argument);
c10::IValue toIValue(napi_env env, napi_value value, const ArgumentPlan& plan);
napi_value fromIValue(napi_env env, const c10::IValue& value);

double numberOf(napi_env env, napi_value value);
int64_t integerOf(napi_env env, napi_value value);
std::string stringOf(napi_env env, napi_value value);
std::vector<int64_t> intsOf(napi_env env, napi_value value);
std::vector<double> numbersOf(napi_env env, napi_value value);
bool isNothing(napi_env env, napi_value value);

// To JavaScript. On a thread that is being terminated, Node fails every call that might run JavaScript and does not write
// the result. Every napi_value is therefore initialised with null, which JavaScript sees as undefined.
napi_value makeNumber(napi_env env, double value);
napi_value makeBoolean(napi_env env, bool value);
napi_value makeString(napi_env env, const std::string& value);
napi_value makeNothing(napi_env env);
napi_value makeArray(napi_env env, size_t length);

// ---- dispatch.cc
napi_value resolveOperator(napi_env env, napi_callback_info info);
napi_value operatorSchemas(napi_env env, napi_callback_info info);
napi_value setErrorFactory(napi_env env, napi_callback_info info);

// Leaves a JavaScript exception pending. `schema` and `shapes` may be empty.
void throwToJs(napi_env env, const std::string& name, const std::string& schema, const std::string& shapes,
               const std::string& detail);

// Runs `body` and turns every C++ exception into a JavaScript one.
template <typename Body>
napi_value guarded(napi_env env, const char* where, Body&& body);

// ---- all other functions, one registration function per file
void registerTensorFunctions(napi_env env, napi_value exports);
void registerRuntimeFunctions(napi_env env, napi_value exports);
void registerCudaFunctions(napi_env env, napi_value exports);
void registerMappingFunctions(napi_env env, napi_value exports);
void registerEventFunctions(napi_env env, napi_value exports);
void addFunction(napi_env env, napi_value exports, const char* name, napi_callback callback);

// ---- allocator.cc: keeps freed CPU blocks and counts live bytes exactly.
void installAllocator();
int64_t liveCpuBytes();
int64_t cachedCpuBytes();
void releaseCachedCpuBytes();
void setCpuCacheLimit(int64_t bytes);

// Arguments of a plain function (not an operator): at most six. Missing ones are undefined.
struct Arguments {
  napi_value at[6] = {};
  Arguments(napi_env env, napi_callback_info info) {
    size_t count = 6;
    napi_get_cb_info(env, info, &count, at, nullptr, nullptr);
  }
};

template <typename Body>
napi_value guarded(napi_env env, const char* where, Body&& body) {
  try {
    return body();
  } catch (const c10::Error& error) {
    throwToJs(env, where, "", "", error.what_without_backtrace());
  } catch (const std::exception& error) {
    throwToJs(env, where, "", "", error.what());
  }
  return nullptr;
}

}  // namespace ltx
