// Functions of libtorch that are not operators: backward passes, gradient mode, random generators, threads, versions.
#include "native.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/version.h>

#include <dlfcn.h>

namespace ltx {
namespace {

std::vector<at::Tensor> tensorsOf(napi_env env, napi_value value) {
  std::vector<at::Tensor> tensors;
  for (const double handle : numbersOf(env, value)) tensors.push_back(tensorAt(handle));
  return tensors;
}

std::vector<at::Tensor> gradientsOf(napi_env env, napi_value value) {
  return isNothing(env, value) ? std::vector<at::Tensor>() : tensorsOf(env, value);
}

// backward(outputs, gradients | undefined, retainGraph)
napi_value backward(napi_env env, napi_callback_info info) {
  return guarded(env, "backward", [&]() -> napi_value {
    const Arguments arguments(env, info);
    const bool retain = numberOf(env, arguments.at[2]) != 0;
    torch::autograd::backward(tensorsOf(env, arguments.at[0]), gradientsOf(env, arguments.at[1]), retain);
    return makeNothing(env);
  });
}

// gradients(outputs, inputs, gradients | undefined, retainGraph, allowUnused) -> handles or undefined
napi_value gradients(napi_env env, napi_callback_info info) {
  return guarded(env, "gradients", [&]() -> napi_value {
    const Arguments arguments(env, info);
    const auto result = torch::autograd::grad(
        tensorsOf(env, arguments.at[0]), tensorsOf(env, arguments.at[1]), gradientsOf(env, arguments.at[2]),
        numberOf(env, arguments.at[3]) != 0, false, numberOf(env, arguments.at[4]) != 0);
    napi_value array = makeArray(env, result.size());
    for (size_t i = 0; i < result.size(); ++i) {
      napi_value item = result[i].defined() ? makeNumber(env, putTensor(result[i])) : makeNothing(env);
      napi_set_element(env, array, static_cast<uint32_t>(i), item);
    }
    return array;
  });
}

// setGradMode(on) -> the previous mode
napi_value setGradMode(napi_env env, napi_callback_info info) {
  return guarded(env, "setGradMode", [&]() -> napi_value {
    const bool before = c10::GradMode::is_enabled();
    c10::GradMode::set_enabled(numberOf(env, Arguments(env, info).at[0]) != 0);
    return makeBoolean(env, before);
  });
}

bool isCpu(const std::string& device) { return c10::Device(device).is_cpu(); }

uint64_t seedOf(napi_env env, napi_value value) {
  uint64_t seed;
  bool lossless;
  if (napi_get_value_bigint_uint64(env, value, &seed, &lossless) == napi_ok) return seed;
  return static_cast<uint64_t>(integerOf(env, value));
}

// makeGenerator(device, seed)
napi_value makeGenerator(napi_env env, napi_callback_info info) {
  return guarded(env, "makeGenerator", [&]() -> napi_value {
    const Arguments arguments(env, info);
    const std::string device = stringOf(env, arguments.at[0]);
    at::Generator generator = isCpu(device)
        ? at::detail::createCPUGenerator()
        : at::globalContext().defaultGenerator(c10::Device(device)).clone();
    generator.set_current_seed(seedOf(env, arguments.at[1]));
    return makeNumber(env, putGenerator(std::move(generator)));
  });
}

// The process-wide generator of a device, which operators without a generator argument use.
napi_value defaultGenerator(napi_env env, napi_callback_info info) {
  return guarded(env, "defaultGenerator", [&]() -> napi_value {
    const c10::Device device(stringOf(env, Arguments(env, info).at[0]));
    return makeNumber(env, putGenerator(at::globalContext().defaultGenerator(device)));
  });
}

napi_value seedGenerator(napi_env env, napi_callback_info info) {
  return guarded(env, "seedGenerator", [&]() -> napi_value {
    const Arguments arguments(env, info);
    generatorAt(numberOf(env, arguments.at[0])).set_current_seed(seedOf(env, arguments.at[1]));
    return makeNothing(env);
  });
}

napi_value freeGenerator(napi_env env, napi_callback_info info) {
  return guarded(env, "freeGenerator", [&]() -> napi_value {
    releaseGenerator(numberOf(env, Arguments(env, info).at[0]));
    return makeNothing(env);
  });
}

napi_value generatorState(napi_env env, napi_callback_info info) {
  return guarded(env, "generatorState", [&]() -> napi_value {
    return makeNumber(env, putTensor(generatorAt(numberOf(env, Arguments(env, info).at[0])).get_state()));
  });
}

napi_value setGeneratorState(napi_env env, napi_callback_info info) {
  return guarded(env, "setGeneratorState", [&]() -> napi_value {
    const Arguments arguments(env, info);
    generatorAt(numberOf(env, arguments.at[0])).set_state(tensorAt(numberOf(env, arguments.at[1])));
    return makeNothing(env);
  });
}

// OpenBLAS with its own threads, such as Debian's, ignores libtorch's setting: matrix products would use every core.
void setOpenBlasThreads(int count) {
  using Setter = void (*)(int);
  static const auto setter = reinterpret_cast<Setter>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
  if (setter != nullptr) setter(count);
}

napi_value setNumThreads(napi_env env, napi_callback_info info) {
  return guarded(env, "setNumThreads", [&]() -> napi_value {
    const auto count = static_cast<int>(integerOf(env, Arguments(env, info).at[0]));
    at::set_num_threads(count);
    setOpenBlasThreads(count);
    return makeNothing(env);
  });
}

napi_value numThreads(napi_env env, napi_callback_info) { return makeNumber(env, at::get_num_threads()); }

napi_value setDeterministic(napi_env env, napi_callback_info info) {
  return guarded(env, "setDeterministic", [&]() -> napi_value {
    const bool on = numberOf(env, Arguments(env, info).at[0]) != 0;
    at::globalContext().setDeterministicAlgorithms(on, /*warn_only=*/false);
    return makeNothing(env);
  });
}

// Whether this libtorch has an element type with that code. 8-bit floats came with 2.1.
napi_value knowsDType(napi_env env, napi_callback_info info) {
  return guarded(env, "knowsDType", [&]() -> napi_value {
    const auto type = static_cast<at::ScalarType>(integerOf(env, Arguments(env, info).at[0]));
    return makeBoolean(env, std::string(c10::toString(type)).rfind("UNKNOWN", 0) != 0);
  });
}

napi_value version(napi_env env, napi_callback_info) { return makeString(env, TORCH_VERSION); }

napi_value configuration(napi_env env, napi_callback_info) { return makeString(env, at::show_config()); }

napi_value liveTensors(napi_env env, napi_callback_info) {
  return makeNumber(env, static_cast<double>(liveTensorCount()));
}

napi_value liveGenerators(napi_env env, napi_callback_info) {
  return makeNumber(env, static_cast<double>(liveGeneratorCount()));
}

napi_value liveBytes(napi_env env, napi_callback_info) { return makeNumber(env, static_cast<double>(liveCpuBytes())); }

napi_value cachedBytes(napi_env env, napi_callback_info) {
  return makeNumber(env, static_cast<double>(cachedCpuBytes()));
}

// setCacheLimit(bytes): the largest number of bytes of freed CPU blocks to keep.
napi_value setCacheLimit(napi_env env, napi_callback_info info) {
  return guarded(env, "setCacheLimit", [&]() -> napi_value {
    setCpuCacheLimit(integerOf(env, Arguments(env, info).at[0]));
    return makeNothing(env);
  });
}

// Reports the size of the live tensors to the garbage collector. Called at the end of a scope, not per operator.
napi_value reportMemory(napi_env env, napi_callback_info info) {
  static thread_local int64_t reported = 0;
  const int64_t now = liveCpuBytes();
  int64_t total;
  napi_adjust_external_memory(env, now - reported, &total);
  reported = now;
  return makeNothing(env);
}

}  // namespace

void registerRuntimeFunctions(napi_env env, napi_value exports) {
  addFunction(env, exports, "backward", backward);
  addFunction(env, exports, "gradients", gradients);
  addFunction(env, exports, "setGradMode", setGradMode);
  addFunction(env, exports, "makeGenerator", makeGenerator);
  addFunction(env, exports, "defaultGenerator", defaultGenerator);
  addFunction(env, exports, "seedGenerator", seedGenerator);
  addFunction(env, exports, "freeGenerator", freeGenerator);
  addFunction(env, exports, "generatorState", generatorState);
  addFunction(env, exports, "setGeneratorState", setGeneratorState);
  addFunction(env, exports, "setNumThreads", setNumThreads);
  addFunction(env, exports, "numThreads", numThreads);
  addFunction(env, exports, "setDeterministic", setDeterministic);
  addFunction(env, exports, "knowsDType", knowsDType);
  addFunction(env, exports, "version", version);
  addFunction(env, exports, "configuration", configuration);
  addFunction(env, exports, "liveTensors", liveTensors);
  addFunction(env, exports, "liveGenerators", liveGenerators);
  addFunction(env, exports, "liveBytes", liveBytes);
  addFunction(env, exports, "cachedBytes", cachedBytes);
  addFunction(env, exports, "setCacheLimit", setCacheLimit);
  addFunction(env, exports, "reportMemory", reportMemory);
}

}  // namespace ltx
