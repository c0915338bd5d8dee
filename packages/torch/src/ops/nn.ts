/**
 * The functions that layers call. `kernels.ts` chooses the libtorch kernel.
 *
 * Shapes: B batch, N heads, T queries, S keys, K per-head width, C channels, h w pixels.
 */
import * as aten from "../addon/aten.generated.ts";
import { hasOp } from "../addon/binding.ts";
import { bestConv2d, bestConv3d, bestLinear, prefersProducts, widensProducts } from "../addon/kernels.ts";
import { isHalf } from "../tensor/dtype.ts";
import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { cat } from "./combine.ts";

export type ConvOptions = {
  readonly stride?: readonly number[];
  readonly padding?: readonly number[];
  readonly dilation?: readonly number[];
  readonly groups?: number;
};

/** `x W^T + b`; weight `[out, in]`. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  return bestLinear(x, weight, bias);
}

/**
 * Convolution over two axes; x `[B, C, h, w]`, weight `[out, in/groups, kh, kw]`. Zero padding.
 *
 * @internal for tests
 */
export function conv2d(x: Tensor, weight: Tensor, bias?: Tensor, options: ConvOptions = {}): Tensor {
  const { stride = [1, 1], padding = [0, 0], dilation = [1, 1], groups = 1 } = options;
  return bestConv2d(x, weight, bias, { stride, padding, dilation, groups });
}

/** Convolution over three axes; x `[B, C, f, h, w]`, weight `[out, in/groups, kf, kh, kw]`. Zero padding. */
export function conv3d(x: Tensor, weight: Tensor, bias?: Tensor, options: ConvOptions = {}): Tensor {
  const { stride = [1, 1, 1], padding = [0, 0, 0], dilation = [1, 1, 1], groups = 1 } = options;
  return bestConv3d(x, weight, bias, { stride, padding, dilation, groups });
}

export function layerNorm(
  x: Tensor,
  normalizedShape: readonly number[],
  weight: Tensor | undefined,
  bias: Tensor | undefined,
  eps: number,
): Tensor {
  return aten.layer_norm(x, normalizedShape, weight, bias, eps);
}

/**
 * `x / sqrt(mean(x^2) + eps) * weight` over the last axis. Half types are computed in float32 and cast once, at the
 * end, after the weight: the order of `torch.nn.RMSNorm`.
 *
 * libtorch's own operator (2.4 and later) gives the same bits on a CPU and is 4 times faster without gradients
 * ([64, 4096] float32, one core, 2.15). On a GPU it replaces six memory-bound kernels by one and keeps no float32
 * copies for the backward pass.
 */
export function rmsNorm(x: Tensor, weight: Tensor | undefined, eps: number): Tensor {
  if (hasOp("rms_norm")) return aten.rms_norm(x, [x.size(-1)], weight, eps);
  if (!isHalf(x.dtype)) {
    const normed = x.mul(x.square().mean(-1, true).add(eps).rsqrt());
    return weight ? normed.mul(weight) : normed;
  }
  const wide = x.to("float32");
  const normed = wide.mul(wide.square().mean(-1, true).add(eps).rsqrt());
  return (weight ? normed.mul(weight) : normed).to(x.dtype);
}

/** Rows of `weight [count, size]` by int64 ids of any shape. */
export function embedding(weight: Tensor, ids: Tensor): Tensor {
  return aten.embedding(weight, ids);
}

export type AttentionOptions = {
  /** Added to the scores; broadcast to `[B, N, T, S]`. */
  readonly mask?: Tensor | undefined;
  /** Defaults to 1 / sqrt(K). */
  readonly scale?: number | undefined;
};

/** Elements of the largest score matrix made at once without fused attention: 256 MiB of float32. */
const scoreLimit = 64 * 1024 * 1024;

/**
 * Scaled dot-product attention: `softmax(q k^T scale + mask) v`, shape of q.
 *
 * Without a fused kernel (libtorch before 2.0, or after `setProductAttention(true)`) queries are processed in pieces, so
 * that the score matrix stays small. Rows of a softmax are independent, so the numbers are the same.
 */
export function attention(
  q_BNTK: Tensor,
  k_BNSK: Tensor,
  v_BNSK: Tensor,
  options: AttentionOptions = {},
): Tensor {
  const { mask, scale } = options;
  if (widensProducts(q_BNTK)) {
    const [q, k, v] = [q_BNTK, k_BNSK, v_BNSK].map((x) => x.to("float32")) as [Tensor, Tensor, Tensor];
    return attention(q, k, v, { mask: mask?.to("float32"), scale }).to(q_BNTK.dtype);
  }
  if (hasOp("scaled_dot_product_attention") && !prefersProducts(q_BNTK)) {
    return aten.scaled_dot_product_attention(q_BNTK, k_BNSK, v_BNSK, mask, 0, false, scale);
  }
  const [batch, heads, queries, width] = q_BNTK.shape as [number, number, number, number];
  const factor = Math.sqrt(scale ?? 1 / Math.sqrt(width));
  const keys_BNKS = k_BNSK.mul(factor).transpose(-2, -1);
  const rows = Math.max(1, Math.floor(scoreLimit / (batch * heads * k_BNSK.size(2))));
  if (rows >= queries) return attend(q_BNTK.mul(factor), keys_BNKS, v_BNSK, mask);
  const pieces: Tensor[] = [];
  for (let from = 0; from < queries; from += rows) {
    const count = Math.min(rows, queries - from);
    const part = mask && mask.size(-2) === queries ? mask.narrow(-2, from, count) : mask;
    pieces.push(scope(() => attend(q_BNTK.narrow(2, from, count).mul(factor), keys_BNKS, v_BNSK, part)));
  }
  return cat(pieces, 2);
}

function attend(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | undefined): Tensor {
  const scores = q.matmul(keys);
  return (mask ? scores.add(mask) : scores).softmax(-1).matmul(values);
}
