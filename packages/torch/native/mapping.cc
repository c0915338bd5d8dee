// Tensors that are views of a memory-mapped file. A 28 GB checkpoint opens in milliseconds, and only the pages that are
// read are loaded.
#include "handle-table.h"
#include "native.h"

#include <ATen/ops/from_blob.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace ltx {
namespace {

struct Mapping {
  char* data;
  size_t length;
  Mapping(char* start, size_t bytes) : data(start), length(bytes) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { munmap(data, length); }
};

// Tensors hold a reference to their mapping, so it outlives its handle.
thread_local HandleTable<std::shared_ptr<Mapping>> mappings;

// Private and writable: an in-place operator on a loaded weight changes the process's copy, never the file.
std::shared_ptr<Mapping> mapFile(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw BindingError(path + ": " + std::strerror(errno));
  struct stat status;
  if (fstat(descriptor, &status) != 0 || status.st_size == 0) {
    close(descriptor);
    throw BindingError(path + ": empty or unreadable file");
  }
  const auto length = static_cast<size_t>(status.st_size);
  void* data = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE, descriptor, 0);
  const int problem = errno;
  close(descriptor);
  if (data == MAP_FAILED) throw BindingError(path + ": cannot map the file: " + std::strerror(problem));
  return std::make_shared<Mapping>(static_cast<char*>(data), length);
}

napi_value openMapping(napi_env env, napi_callback_info info) {
  return guarded(env, "openMapping", [&]() -> napi_value {
    return makeNumber(env, mappings.put(mapFile(stringOf(env, Arguments(env, info).at[0]))));
  });
}

napi_value closeMapping(napi_env env, napi_callback_info info) {
  return guarded(env, "closeMapping", [&]() -> napi_value {
    mappings.release(numberOf(env, Arguments(env, info).at[0]));
    return makeNothing(env);
  });
}

// mappedTensor(mapping, byte offset, sizes, dtype code) -> handle
napi_value mappedTensor(napi_env env, napi_callback_info info) {
  return guarded(env, "mappedTensor", [&]() -> napi_value {
    const Arguments arguments(env, info);
    const auto* found = mappings.find(numberOf(env, arguments.at[0]));
    if (found == nullptr) throw BindingError("the file was closed");
    std::shared_ptr<Mapping> mapping = *found;
    const auto offset = static_cast<size_t>(integerOf(env, arguments.at[1]));
    const auto sizes = intsOf(env, arguments.at[2]);
    const auto type = static_cast<at::ScalarType>(integerOf(env, arguments.at[3]));
    const auto options = at::TensorOptions().dtype(type);
    size_t bytes = options.dtype().itemsize();
    for (const int64_t size : sizes) bytes *= static_cast<size_t>(size);
    if (offset > mapping->length || bytes > mapping->length - offset) throw BindingError("the tensor lies outside the file");
    char* data = mapping->data + offset;
    at::Tensor tensor = at::from_blob(data, sizes, [mapping](void*) {}, options);
    return makeNumber(env, putTensor(std::move(tensor)));
  });
}

}  // namespace

void registerMappingFunctions(napi_env env, napi_value exports) {
  addFunction(env, exports, "openMapping", openMapping);
  addFunction(env, exports, "closeMapping", closeMapping);
  addFunction(env, exports, "mappedTensor", mappedTensor);
}

}  // namespace ltx
