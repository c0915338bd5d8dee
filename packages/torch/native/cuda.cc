// CUDA functions that are not operators: number of GPUs, synchronisation, allocator statistics, precision of float32
// products.
//
// All of it compiles and runs with a libtorch without CUDA, which reports no GPUs.
#include "native.h"

#include <ATen/Context.h>
#include <torch/csrc/api/include/torch/cuda.h>

#if defined(LTX_DEVICE_ALLOCATOR)
#include <c10/core/CachingDeviceAllocator.h>
#elif defined(LTX_CUDA_HEADERS)
#include <c10/cuda/CUDACachingAllocator.h>
#endif

namespace ltx {
namespace {

bool hasGpu() { return at::globalContext().hasCUDA() && torch::cuda::is_available(); }

napi_value cudaDeviceCount(napi_env env, napi_callback_info info) {
  return guarded(env, "cudaDeviceCount", [&]() -> napi_value {
    return makeNumber(env, hasGpu() ? static_cast<double>(torch::cuda::device_count()) : 0);
  });
}

napi_value synchronize(napi_env env, napi_callback_info info) {
  return guarded(env, "synchronize", [&]() -> napi_value {
    const c10::Device device(stringOf(env, Arguments(env, info).at[0]));
    if (device.is_cuda()) torch::cuda::synchronize(device.has_index() ? device.index() : -1);
    return makeNothing(env);
  });
}

#if defined(LTX_DEVICE_ALLOCATOR)
#define LTX_MEMORY_STATISTICS
// The interface that newer releases have for the allocators of all accelerators. It needs no CUDA headers.
auto statisticsOf(int index) { return c10::getDeviceAllocator(c10::kCUDA)->getDeviceStats(index); }
void resetPeakOf(int index) { c10::getDeviceAllocator(c10::kCUDA)->resetPeakStats(index); }
void releaseCachedCudaBytes() { c10::getDeviceAllocator(c10::kCUDA)->emptyCache(); }
#elif defined(LTX_CUDA_HEADERS)
#define LTX_MEMORY_STATISTICS
auto statisticsOf(int index) { return c10::cuda::CUDACachingAllocator::getDeviceStats(index); }
void resetPeakOf(int index) { c10::cuda::CUDACachingAllocator::resetPeakStats(index); }
void releaseCachedCudaBytes() { c10::cuda::CUDACachingAllocator::emptyCache(); }
#endif

#ifdef LTX_MEMORY_STATISTICS
// The allocator knows a device only after its first use. Asking for statistics does not count as use; getting the default
// generator does.
int preparedGpu(napi_env env, napi_callback_info info) {
  const auto index = static_cast<int>(integerOf(env, Arguments(env, info).at[0]));
  at::globalContext().defaultGenerator(c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index)));
  return index;
}
#endif

// cudaMemory(index) -> [allocated, peak allocated, reserved, peak reserved] in bytes, or undefined
napi_value cudaMemory(napi_env env, napi_callback_info info) {
  return guarded(env, "cudaMemory", [&]() -> napi_value {
#ifdef LTX_MEMORY_STATISTICS
    const auto stats = statisticsOf(preparedGpu(env, info));
    const double figures[4] = {
        static_cast<double>(stats.allocated_bytes[0].current), static_cast<double>(stats.allocated_bytes[0].peak),
        static_cast<double>(stats.reserved_bytes[0].current), static_cast<double>(stats.reserved_bytes[0].peak)};
    napi_value array = makeArray(env, 4);
    for (uint32_t i = 0; i < 4; ++i) napi_set_element(env, array, i, makeNumber(env, figures[i]));
    return array;
#else
    return makeNothing(env);
#endif
  });
}

// resetCudaPeak(index): sets the peaks to the current values.
napi_value resetCudaPeak(napi_env env, napi_callback_info info) {
  return guarded(env, "resetCudaPeak", [&]() -> napi_value {
#ifdef LTX_MEMORY_STATISTICS
    resetPeakOf(preparedGpu(env, info));
#endif
    return makeNothing(env);
  });
}

// Frees the cached blocks of the CPU allocator and, if there is one, of the CUDA allocator.
napi_value emptyCache(napi_env env, napi_callback_info info) {
  return guarded(env, "emptyCache", [&]() -> napi_value {
    releaseCachedCpuBytes();
#ifdef LTX_MEMORY_STATISTICS
    if (hasGpu()) releaseCachedCudaBytes();
#endif
    return makeNothing(env);
  });
}

// setTf32(on): whether float32 matrix products and convolutions may use TF32, which has 10 bits of mantissa.
napi_value setTf32(napi_env env, napi_callback_info info) {
  return guarded(env, "setTf32", [&]() -> napi_value {
    const bool on = numberOf(env, Arguments(env, info).at[0]) != 0;
    at::globalContext().setAllowTF32CuBLAS(on);
    at::globalContext().setAllowTF32CuDNN(on);
    return makeNothing(env);
  });
}

}  // namespace

void registerCudaFunctions(napi_env env, napi_value exports) {
  addFunction(env, exports, "cudaDeviceCount", cudaDeviceCount);
  addFunction(env, exports, "synchronize", synchronize);
  addFunction(env, exports, "cudaMemory", cudaMemory);
  addFunction(env, exports, "resetCudaPeak", resetCudaPeak);
  addFunction(env, exports, "emptyCache", emptyCache);
  addFunction(env, exports, "setTf32", setTf32);
}

}  // namespace ltx
