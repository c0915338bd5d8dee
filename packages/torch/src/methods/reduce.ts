/**
 * Reductions, softmax and matrix products.
 */
import * as aten from "../addon/aten.generated.ts";
import { bestMatmul } from "../addon/kernels.ts";
import type { Tensor } from "../tensor/tensor.ts";

type Axes = number | readonly number[];

const listOf = (axes: Axes): readonly number[] => (typeof axes === "number" ? [axes] : axes);

export const reduce = {
  sum(this: Tensor, axes?: Axes, keepdim = false): Tensor {
    return axes === undefined ? aten.sum(this) : aten.sum_dim_IntList(this, listOf(axes), keepdim);
  },
  mean(this: Tensor, axes?: Axes, keepdim = false): Tensor {
    return axes === undefined ? aten.mean(this) : aten.mean_dim(this, listOf(axes), keepdim);
  },
  /** Standard deviation; `unbiased` divides by n - 1. */
  std(this: Tensor, axes?: Axes, options: { unbiased?: boolean; keepdim?: boolean } = {}): Tensor {
    const correction = (options.unbiased ?? true) ? 1 : 0;
    return aten.std_correction(
      this,
      axes === undefined ? undefined : listOf(axes),
      correction,
      options.keepdim ?? false,
    );
  },
  amax(this: Tensor, axes: Axes, keepdim = false): Tensor {
    return aten.amax(this, listOf(axes), keepdim);
  },
  amin(this: Tensor, axes: Axes, keepdim = false): Tensor {
    return aten.amin(this, listOf(axes), keepdim);
  },
  max(this: Tensor): Tensor {
    return aten.max(this);
  },
  min(this: Tensor): Tensor {
    return aten.min(this);
  },
  argmax(this: Tensor, axis: number): Tensor {
    return aten.argmax(this, axis);
  },
  /** L2 norm over every element. */
  norm(this: Tensor): Tensor {
    return aten.norm_Scalar(this, 2);
  },
  all(this: Tensor): Tensor {
    return aten.all(this);
  },
  cumsum(this: Tensor, axis: number): Tensor {
    return aten.cumsum(this, axis);
  },
  softmax(this: Tensor, axis: number): Tensor {
    return aten.softmax_int(this, axis);
  },
  matmul(this: Tensor, other: Tensor): Tensor {
    return bestMatmul(this, other);
  },
};
