/**
 * Tensors for TypeScript: libtorch's operators, with scopes for memory, autograd, layers, AdamW and safetensors.
 */
import "./methods/install.ts";

export { backward, enableGrad, grad, isGradEnabled, noGrad } from "./autograd.ts";
export { addonPath } from "./binding.ts";
export { backwardThrough, checkpoint } from "./checkpoint.ts";
export {
  type Device,
  type DType,
  dtypeBytes,
  isDType,
  isHalf,
  parseDevice,
  type TensorOptions,
} from "./dtype.ts";
export { TorchError } from "./error.ts";
export { float8Value } from "./float8.ts";
export { defaultGenerator, Generator, manualSeed } from "./generator.ts";
export { setProductAttention } from "./kernels.ts";
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
export { AdamW, type AdamWOptions, areFinite, clipGradNorm, linearDecay } from "./optim.ts";
export {
  cudaDeviceCount,
  cudaIsAvailable,
  emptyCache,
  hasOp,
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
} from "./runtime.ts";
export {
  type OpenTensors,
  openTensors,
  SafetensorsFile,
  tensorFiles,
  writeSafetensors,
} from "./safetensors.ts";
export { SafetensorsError } from "./safetensors-header.ts";
export { interruptible, keep, scope } from "./scope.ts";
export { Tensor } from "./tensor.ts";
