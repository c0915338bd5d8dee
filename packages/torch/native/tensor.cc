// Functions of a tensor that are not operators: shape, type, device, bytes, gradient, free.
#include "native.h"

#include <ATen/Functions.h>

#include <cstring>

namespace ltx {
namespace {

at::Tensor& tensorArgument(napi_env env, napi_value value) { return tensorAt(numberOf(env, value)); }

napi_value shape(napi_env env, napi_callback_info info) {
  return guarded(env, "shape", [&]() -> napi_value {
    const auto sizes = tensorArgument(env, Arguments(env, info).at[0]).sizes();
    napi_value array = makeArray(env, sizes.size());
    for (size_t i = 0; i < sizes.size(); ++i) {
      napi_set_element(env, array, static_cast<uint32_t>(i), makeNumber(env, static_cast<double>(sizes[i])));
    }
    return array;
  });
}

napi_value dtype(napi_env env, napi_callback_info info) {
  return guarded(env, "dtype", [&]() -> napi_value {
    return makeNumber(env, static_cast<int>(tensorArgument(env, Arguments(env, info).at[0]).scalar_type()));
  });
}

napi_value device(napi_env env, napi_callback_info info) {
  return guarded(env, "device", [&]() -> napi_value {
    return makeString(env, tensorArgument(env, Arguments(env, info).at[0]).device().str());
  });
}

napi_value free(napi_env env, napi_callback_info info) {
  return guarded(env, "free", [&]() -> napi_value {
    releaseTensor(numberOf(env, Arguments(env, info).at[0]));
    return makeNothing(env);
  });
}

// freeAll(Float64Array of handles, count): one call per scope.
napi_value freeAll(napi_env env, napi_callback_info info) {
  return guarded(env, "freeAll", [&]() -> napi_value {
    const Arguments arguments(env, info);
    napi_typedarray_type type;
    void* data;
    size_t length;
    if (napi_get_typedarray_info(env, arguments.at[0], &type, &length, &data, nullptr, nullptr) != napi_ok ||
        type != napi_float64_array) {
      throw BindingError("expected a Float64Array of handles");
    }
    const int64_t count = integerOf(env, arguments.at[1]);
    if (count < 0 || static_cast<size_t>(count) > length) {
      throw BindingError("got a count of " + std::to_string(count) + ", expected 0 to " + std::to_string(length));
    }
    const auto* handles = static_cast<const double*>(data);
    for (int64_t i = 0; i < count; ++i) releaseTensor(handles[i]);
    return makeNothing(env);
  });
}

napi_value live(napi_env env, napi_callback_info info) {
  return guarded(env, "isLive", [&]() -> napi_value {
    return makeBoolean(env, isLive(numberOf(env, Arguments(env, info).at[0])));
  });
}

// alias(handle) -> a second handle of the same tensor, for a value that must outlive the scope of the first.
napi_value alias(napi_env env, napi_callback_info info) {
  return guarded(env, "alias", [&]() -> napi_value {
    return makeNumber(env, putTensor(tensorArgument(env, Arguments(env, info).at[0])));
  });
}

struct Bytes {
  void* data = nullptr;
  size_t length = 0;
};

Bytes bytesOf(napi_env env, napi_value value) {
  Bytes bytes;
  napi_typedarray_type type;
  napi_value buffer;
  size_t count, offset;
  if (napi_get_typedarray_info(env, value, &type, &count, &bytes.data, &buffer, &offset) != napi_ok) {
    throw BindingError("expected a typed array");
  }
  static const size_t widths[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};
  if (static_cast<size_t>(type) >= sizeof(widths) / sizeof(widths[0])) throw BindingError("unknown typed array");
  bytes.length = count * widths[type];
  return bytes;
}

// fromBytes(typed array, sizes, dtype code) -> handle of a CPU tensor with a copy of the bytes
napi_value fromBytes(napi_env env, napi_callback_info info) {
  return guarded(env, "fromBytes", [&]() -> napi_value {
    const Arguments arguments(env, info);
    const Bytes bytes = bytesOf(env, arguments.at[0]);
    const auto sizes = intsOf(env, arguments.at[1]);
    const auto type = static_cast<at::ScalarType>(integerOf(env, arguments.at[2]));
    at::Tensor tensor = at::empty(sizes, at::TensorOptions().dtype(type));
    if (tensor.nbytes() != bytes.length) {
      throw BindingError("got " + std::to_string(bytes.length) + " bytes, expected " + std::to_string(tensor.nbytes()));
    }
    if (bytes.length > 0) std::memcpy(tensor.data_ptr(), bytes.data, bytes.length);
    return makeNumber(env, putTensor(std::move(tensor)));
  });
}

// readBytes(handle, typed array): copies a contiguous CPU tensor out.
napi_value readBytes(napi_env env, napi_callback_info info) {
  return guarded(env, "readBytes", [&]() -> napi_value {
    const Arguments arguments(env, info);
    const at::Tensor& tensor = tensorArgument(env, arguments.at[0]);
    const Bytes bytes = bytesOf(env, arguments.at[1]);
    if (!tensor.is_contiguous() || !tensor.device().is_cpu()) throw BindingError("expected a contiguous CPU tensor");
    if (tensor.nbytes() != bytes.length) {
      throw BindingError("got a buffer of " + std::to_string(bytes.length) + " bytes, expected " +
                         std::to_string(tensor.nbytes()));
    }
    if (bytes.length > 0) std::memcpy(bytes.data, tensor.data_ptr(), bytes.length);
    return makeNothing(env);
  });
}

napi_value requiresGrad(napi_env env, napi_callback_info info) {
  return guarded(env, "requiresGrad", [&]() -> napi_value {
    return makeBoolean(env, tensorArgument(env, Arguments(env, info).at[0]).requires_grad());
  });
}

napi_value setRequiresGrad(napi_env env, napi_callback_info info) {
  return guarded(env, "setRequiresGrad", [&]() -> napi_value {
    const Arguments arguments(env, info);
    tensorArgument(env, arguments.at[0]).set_requires_grad(numberOf(env, arguments.at[1]) != 0);
    return makeNothing(env);
  });
}

napi_value gradientOf(napi_env env, napi_callback_info info) {
  return guarded(env, "grad", [&]() -> napi_value {
    const at::Tensor& gradient = tensorArgument(env, Arguments(env, info).at[0]).grad();
    return gradient.defined() ? makeNumber(env, putTensor(gradient)) : makeNothing(env);
  });
}

napi_value setGradient(napi_env env, napi_callback_info info) {
  return guarded(env, "setGrad", [&]() -> napi_value {
    const Arguments arguments(env, info);
    at::Tensor& tensor = tensorArgument(env, arguments.at[0]);
    tensor.mutable_grad() = isNothing(env, arguments.at[1]) ? at::Tensor() : tensorArgument(env, arguments.at[1]);
    return makeNothing(env);
  });
}

// gradsOf(handles) -> handles of the gradients or undefined, in the same order: one call for many leaves
napi_value gradientsOfAll(napi_env env, napi_callback_info info) {
  return guarded(env, "gradsOf", [&]() -> napi_value {
    const auto leaves = numbersOf(env, Arguments(env, info).at[0]);
    napi_value array = makeArray(env, leaves.size());
    for (size_t i = 0; i < leaves.size(); ++i) {
      const at::Tensor& gradient = tensorAt(leaves[i]).grad();
      napi_value item = gradient.defined() ? makeNumber(env, putTensor(gradient)) : makeNothing(env);
      napi_set_element(env, array, static_cast<uint32_t>(i), item);
    }
    return array;
  });
}

napi_value clearGradients(napi_env env, napi_callback_info info) {
  return guarded(env, "clearGrads", [&]() -> napi_value {
    for (const double leaf : numbersOf(env, Arguments(env, info).at[0])) tensorAt(leaf).mutable_grad() = at::Tensor();
    return makeNothing(env);
  });
}

// hasGraph(handle): whether a backward pass from this tensor would reach anything.
napi_value hasGraph(napi_env env, napi_callback_info info) {
  return guarded(env, "hasGraph", [&]() -> napi_value {
    return makeBoolean(env, tensorArgument(env, Arguments(env, info).at[0]).grad_fn() != nullptr);
  });
}

}  // namespace

void registerTensorFunctions(napi_env env, napi_value exports) {
  addFunction(env, exports, "shape", shape);
  addFunction(env, exports, "dtype", dtype);
  addFunction(env, exports, "device", device);
  addFunction(env, exports, "free", free);
  addFunction(env, exports, "freeAll", freeAll);
  addFunction(env, exports, "isLive", live);
  addFunction(env, exports, "alias", alias);
  addFunction(env, exports, "fromBytes", fromBytes);
  addFunction(env, exports, "readBytes", readBytes);
  addFunction(env, exports, "requiresGrad", requiresGrad);
  addFunction(env, exports, "setRequiresGrad", setRequiresGrad);
  addFunction(env, exports, "grad", gradientOf);
  addFunction(env, exports, "setGrad", setGradient);
  addFunction(env, exports, "gradsOf", gradientsOfAll);
  addFunction(env, exports, "clearGrads", clearGradients);
  addFunction(env, exports, "hasGraph", hasGraph);
}

}  // namespace ltx
