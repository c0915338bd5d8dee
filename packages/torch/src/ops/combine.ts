/**
 * Functions of several tensors, and scalar-first forms.
 */
import * as aten from "../addon/aten.generated.ts";
import type { Tensor } from "../tensor/tensor.ts";

export function cat(tensors: readonly Tensor[], axis: number): Tensor {
  return aten.cat(tensors, axis);
}

export function stack(tensors: readonly Tensor[], axis: number): Tensor {
  return aten.stack(tensors, axis);
}

/** Where `condition` is true `whenTrue`, elsewhere `whenFalse`; all broadcast. */
export function where(condition: Tensor, whenTrue: Tensor, whenFalse: Tensor): Tensor {
  return aten.where_self(condition, whenTrue, whenFalse);
}

/** `base ^ exponent`, elementwise. */
export function powScalar(base: number, exponent: Tensor): Tensor {
  return aten.pow_Scalar(base, exponent);
}
