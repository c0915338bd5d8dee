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
  type MemoryStats,
  memoryStats,
  numThreads,
  resetPeakMemory,
  setDeterministic,
  setNumThreads,
  setTf32,
  synchronize,
  timeOnDevice,
  torchConfiguration,
  torchVersion,
} from "./addon/runtime.ts";
export {
  type OpenTensors,
  openTensors,
  SafetensorsFile,
  tensorFiles,
  writeSafetensors,
} from "./files/safetensors.ts";
export { SafetensorsError } from "./files/safetensors-header.ts";
export { Conv2d, Conv3d, Embedding, GroupNorm, LayerNorm, Linear, RmsNorm } from "./nn/layers.ts";
export {
  type Adapter,
  CheckpointError,
  type Init,
  type LinearLayer,
  Parameters,
  type TensorInfo,
  type TensorSource,
} from "./nn/parameters.ts";
export { cat, outer, powScalar, stack, where } from "./ops/combine.ts";
export {
  arange,
  empty,
  eye,
  full,
  linspace,
  ones,
  onesLike,
  rand,
  randint,
  randn,
  randnLike,
  randperm,
  tensor,
  zeros,
  zerosLike,
} from "./ops/create.ts";
export {
  type AttentionOptions,
  attention,
  type ConvOptions,
  conv2d,
  conv3d,
  embedding,
  groupNorm,
  layerNorm,
  linear,
  mseLoss,
  pad,
  rmsNorm,
  upsampleBicubicAa,
} from "./ops/nn.ts";
export {
  type Device,
  type DType,
  dtypeBytes,
  isDType,
  isHalf,
  parseDevice,
  type TensorOptions,
} from "./tensor/dtype.ts";
export { float8Value } from "./tensor/float8.ts";
export { defaultGenerator, Generator, manualSeed } from "./tensor/generator.ts";
export { interruptible, keep, scope } from "./tensor/scope.ts";
export { Tensor } from "./tensor/tensor.ts";
export { backward, enableGrad, grad, isGradEnabled, noGrad } from "./training/autograd.ts";
export { AdamW, type AdamWOptions, areFinite, clipGradNorm, linearDecay } from "./training/optim.ts";
export { backwardThrough, checkpoint } from "./training/recompute.ts";
