/**
 * Tensors for TypeScript: libtorch's operators, with scopes for memory, autograd, layers, AdamW and safetensors.
 */
import "./methods/install.ts";

export { addonPath } from "./addon/binding.ts";
export { TorchError } from "./addon/error.ts";
export { setProductAttention } from "./addon/kernels.ts";
export {
  cudaDeviceCount,
  cudaIsAvailable,
  emptyCache,
  liveBytes,
  liveTensors,
  memoryStats,
  numThreads,
  resetPeakMemory,
  setNumThreads,
  /** @internal for tests */
  setTf32,
  synchronize,
  /** @internal for tests */
  timeOnDevice,
  torchConfiguration,
  torchVersion,
} from "./addon/runtime.ts";
export {
  openTensors,
  SafetensorsFile,
  tensorFiles,
  writeSafetensors,
} from "./files/safetensors.ts";
export { SafetensorsError } from "./files/safetensors-header.ts";
export { Conv3d, LayerNorm, Linear, RmsNorm } from "./nn/layers.ts";
export {
  /** @internal for tests */
  CheckpointError,
  type LinearLayer,
  Parameters,
  type TensorInfo,
  type TensorSource,
} from "./nn/parameters.ts";
export { cat, powScalar, stack, where } from "./ops/combine.ts";
export {
  arange,
  full,
  /** @internal for tests */
  linspace,
  ones,
  rand,
  randn,
  randnLike,
  randperm,
  tensor,
  zeros,
  zerosLike,
} from "./ops/create.ts";
export {
  attention,
  /** @internal for tests */
  conv2d,
  conv3d,
  embedding,
  layerNorm,
  linear,
  rmsNorm,
} from "./ops/nn.ts";
export {
  type Device,
  type DType,
  isDType,
  isHalf,
  parseDevice,
} from "./tensor/dtype.ts";

export {
  Generator,
  /** @internal for tests */
  manualSeed,
} from "./tensor/generator.ts";
export { interruptible, keep, scope } from "./tensor/scope.ts";
export { Tensor } from "./tensor/tensor.ts";
export {
  backward,
  /** @internal for tests */
  grad,
  noGrad,
} from "./training/autograd.ts";
export { AdamW, areFinite, clipGradNorm, linearDecay } from "./training/optim.ts";
export { backwardThrough, checkpoint } from "./training/recompute.ts";
