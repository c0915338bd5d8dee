/**
 * The one place where a slower and a faster kernel for the same mathematics are told apart.
 *
 * Measured on two AVX-512 cores, float32 (LOG.md has the runs): libtorch 1.13's own conv3d reaches 37-49 GFLOP/s where
 * oneDNN's, called by name, reaches over 300; 2.x picks oneDNN itself, so the choice costs nothing there.
 */
import * as aten from "./aten.generated.ts";
import { isGradEnabled } from "./autograd.ts";
import { hasOp } from "./binding.ts";
import type { Tensor } from "./tensor.ts";

export type FullConvOptions = {
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
  readonly groups: number;
};

/** Convolution over three axes by the fastest kernel at hand. Shapes as in `conv3d`. */
export function bestConv3d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  options: FullConvOptions,
): Tensor {
  const { stride, padding, dilation, groups } = options;
  const isPlain = x.device === "cpu" && x.dtype === "float32" && weight.dtype === "float32";
  // Its backward is the slow kernel again, so it pays only where no gradient is wanted.
  const needsGradient = isGradEnabled() && (x.requiresGrad || weight.requiresGrad);
  if (isPlain && !needsGradient && hasOp("mkldnn_convolution")) {
    return aten.mkldnn_convolution(x.contiguous(), weight, bias, padding, stride, dilation, groups);
  }
  return aten.conv3d(x, weight, bias, stride, padding, dilation, groups);
}

let isProductAttention = false;

/**
 * Whether attention in half types on a CPU is made of matrix products instead of libtorch's fused kernel. Products take a
 * third of the time, forwards and backwards (bfloat16, AVX-512, 64 to 704 tokens), but round the scores to the half type,
 * which the fused kernel does not: good for pre-training, not for comparing with a reference. Off until it is set.
 */
export function setProductAttention(isOn: boolean): void {
  isProductAttention = isOn;
}

export function prefersProducts(q: Tensor): boolean {
  return isProductAttention && q.device === "cpu" && (q.dtype === "bfloat16" || q.dtype === "float16");
}
