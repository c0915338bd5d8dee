/**
 * Chooses between slower and faster kernels for the same mathematics. No other file does.
 *
 * Measured on two AVX-512 cores, float32: libtorch 1.13's own conv3d reaches 37-49 GFLOP/s where
 * oneDNN's, called by name, reaches over 300. libtorch 2.x uses oneDNN by itself.
 */

import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { isGradEnabled } from "../training/autograd.ts";
import * as aten from "./aten.generated.ts";
import { hasOp } from "./binding.ts";
import { TorchError } from "./error.ts";

export type FullConvOptions = {
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
  readonly groups: number;
};

let sumsAreWide: boolean | undefined;

/**
 * Whether to compute products of this tensor in float32, because libtorch would sum them in bfloat16.
 *
 * Without a bfloat16 kernel of oneDNN's for the processor (AVX-512 is needed), libtorch 1.13 multiplies with its own
 * loops, which round the sum after every term. Relative L2 error, measured on PyTorch 1.13.1: 5 % of a product over 2048
 * terms, 9 % of a convolution over 256 channels, where one rounding is 0.17 %. They also take 50 times as long as float32.
 * libtorch 2.x sums in float32 everywhere.
 */
export function widensProducts(x: Tensor): boolean {
  if (x.dtype !== "bfloat16" || x.device !== "cpu") return false;
  sumsAreWide ??= addsUpInFloat32();
  return !sumsAreWide;
}

/** Sums 1024 ones. In bfloat16 the sum stops at 256, because the next number is 258. */
function addsUpInFloat32(): boolean {
  return scope(() => {
    const [left, right] = [aten.ones([8, 1024], "bfloat16"), aten.ones([1024, 8], "bfloat16")];
    try {
      return aten.matmul(left, right).amax([0, 1]).item() === 1024;
    } catch (error) {
      // DNNL_MAX_CPU_ISA limits oneDNN to fewer instructions than libtorch found in the processor.
      if (error instanceof TorchError) return false;
      throw error;
    }
  });
}

const wide = (x: Tensor): Tensor => x.to("float32");

/** `x W^T + b` */
export function bestLinear(x: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor {
  if (!widensProducts(x)) return aten.linear(x, weight, bias);
  return aten.linear(wide(x), wide(weight), bias && wide(bias)).to(x.dtype);
}

/** `left right`, over the last two axes. */
export function bestMatmul(left: Tensor, right: Tensor): Tensor {
  if (!widensProducts(left)) return aten.matmul(left, right);
  return aten.matmul(wide(left), wide(right)).to(left.dtype);
}

/** Convolution over two axes. Shapes as in `conv2d`. */
export function bestConv2d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  options: FullConvOptions,
): Tensor {
  const { stride, padding, dilation, groups } = options;
  if (!widensProducts(x)) return aten.conv2d(x, weight, bias, stride, padding, dilation, groups);
  return bestConv2d(wide(x), wide(weight), bias && wide(bias), options).to(x.dtype);
}

/** Convolution over three axes with the fastest available kernel. Shapes as in `conv3d`. */
export function bestConv3d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  options: FullConvOptions,
): Tensor {
  if (widensProducts(x)) return bestConv3d(wide(x), wide(weight), bias && wide(bias), options).to(x.dtype);
  const { stride, padding, dilation, groups } = options;
  const isPlain = x.device === "cpu" && x.dtype === "float32" && weight.dtype === "float32";
  // Its backward pass uses the slow kernel, so it is faster only without gradients.
  const needsGradient = isGradEnabled() && (x.requiresGrad || weight.requiresGrad);
  if (isPlain && !needsGradient && hasOp("mkldnn_convolution")) {
    return aten.mkldnn_convolution(x.contiguous(), weight, bias, padding, stride, dilation, groups);
  }
  return aten.conv3d(x, weight, bias, stride, padding, dilation, groups);
}

let isProductAttention = false;

/**
 * Whether attention in half types on a CPU uses matrix products instead of libtorch's fused kernel. Products take a third
 * of the time, forwards and backwards (bfloat16, AVX-512, 64 to 704 tokens), but round the scores to the half type, which
 * the fused kernel does not. Use it for pre-training, not to compare with a reference. Default: off.
 */
export function setProductAttention(isOn: boolean): void {
  isProductAttention = isOn;
}

export function prefersProducts(q: Tensor): boolean {
  return isProductAttention && q.device === "cpu" && (q.dtype === "bfloat16" || q.dtype === "float16");
}
