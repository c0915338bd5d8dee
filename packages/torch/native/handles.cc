// The tables of tensors and generators.
#include "handle-table.h"
#include "native.h"

namespace ltx {
namespace {

// A JavaScript environment runs on one thread, so there is one pair of tables per environment.
thread_local HandleTable<at::Tensor> tensors;
thread_local HandleTable<at::Generator> generators;

}  // namespace

double putTensor(at::Tensor tensor) { return tensors.put(std::move(tensor)); }

at::Tensor& tensorAt(double handle) {
  at::Tensor* tensor = tensors.find(handle);
  if (tensor == nullptr) {
    throw BindingError("this tensor was freed (by free() or at the end of its scope); return it from scope() or keep() it");
  }
  return *tensor;
}

bool isLive(double handle) { return tensors.find(handle) != nullptr; }

void releaseTensor(double handle) { tensors.release(handle); }

size_t liveTensorCount() { return tensors.size(); }

void clearHandles() {
  tensors.clear();
  generators.clear();
}

double putGenerator(at::Generator generator) { return generators.put(std::move(generator)); }

at::Generator& generatorAt(double handle) {
  at::Generator* generator = generators.find(handle);
  if (generator == nullptr) throw BindingError("this generator was freed");
  return *generator;
}

void releaseGenerator(double handle) { generators.release(handle); }

size_t liveGeneratorCount() { return generators.size(); }

}  // namespace ltx
