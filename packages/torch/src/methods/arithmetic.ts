/**
 * Elementwise arithmetic and comparison, with PyTorch's broadcasting and type promotion.
 *
 * A whole JavaScript number is passed as an integer, so an int64 tensor plus 1 stays int64. With a floating-point tensor
 * the result is the same either way.
 */
import * as aten from "../addon/aten.generated.ts";
import type { Tensor } from "../tensor/tensor.ts";

type Operand = Tensor | number;

export const arithmetic = {
  add(this: Tensor, other: Operand): Tensor {
    return typeof other === "number" ? aten.add_Scalar(this, other) : aten.add_Tensor(this, other);
  },
  sub(this: Tensor, other: Operand): Tensor {
    return typeof other === "number" ? aten.sub_Scalar(this, other) : aten.sub_Tensor(this, other);
  },
  mul(this: Tensor, other: Operand): Tensor {
    return typeof other === "number" ? aten.mul_Scalar(this, other) : aten.mul_Tensor(this, other);
  },
  div(this: Tensor, other: Operand): Tensor {
    return typeof other === "number" ? aten.div_Scalar(this, other) : aten.div_Tensor(this, other);
  },
  /** `number - this` */
  rsub(this: Tensor, from: number): Tensor {
    return aten.rsub_Scalar(this, from);
  },
  neg(this: Tensor): Tensor {
    return aten.neg(this);
  },
  abs(this: Tensor): Tensor {
    return aten.abs(this);
  },
  square(this: Tensor): Tensor {
    return aten.square(this);
  },
  sqrt(this: Tensor): Tensor {
    return aten.sqrt(this);
  },
  rsqrt(this: Tensor): Tensor {
    return aten.rsqrt(this);
  },
  exp(this: Tensor): Tensor {
    return aten.exp(this);
  },
  log(this: Tensor): Tensor {
    return aten.log(this);
  },
  sin(this: Tensor): Tensor {
    return aten.sin(this);
  },
  cos(this: Tensor): Tensor {
    return aten.cos(this);
  },
  tanh(this: Tensor): Tensor {
    return aten.tanh(this);
  },
  sigmoid(this: Tensor): Tensor {
    return aten.sigmoid(this);
  },
  silu(this: Tensor): Tensor {
    return aten.silu(this);
  },
  relu(this: Tensor): Tensor {
    return aten.relu(this);
  },
  gelu(this: Tensor, approximate: "none" | "tanh" = "none"): Tensor {
    return aten.gelu(this, approximate);
  },
  pow(this: Tensor, exponent: Operand): Tensor {
    return typeof exponent === "number"
      ? aten.pow_Tensor_Scalar(this, exponent)
      : aten.pow_Tensor_Tensor(this, exponent);
  },
  /** To the nearest whole number, halves to even. */
  round(this: Tensor): Tensor {
    return aten.round(this);
  },
  floor(this: Tensor): Tensor {
    return aten.floor(this);
  },
  clamp(this: Tensor, min?: number, max?: number): Tensor {
    return aten.clamp(this, min, max);
  },
  maximum(this: Tensor, other: Tensor): Tensor {
    return aten.maximum(this, other);
  },
  minimum(this: Tensor, other: Tensor): Tensor {
    return aten.minimum(this, other);
  },
  /** `this + weight * (end - this)` */
  lerp(this: Tensor, end: Tensor, weight: Operand): Tensor {
    return typeof weight === "number"
      ? aten.lerp_Scalar(this, end, weight)
      : aten.lerp_Tensor(this, end, weight);
  },
  /** `this + value * first * second` */
  addcmul(this: Tensor, first: Tensor, second: Tensor, value = 1): Tensor {
    return aten.addcmul(this, first, second, value);
  },
  eq(this: Tensor, other: Operand): Tensor {
    return typeof other === "number" ? aten.eq_Scalar(this, other) : aten.eq_Tensor(this, other);
  },
  ne(this: Tensor, other: Operand): Tensor {
    return typeof other === "number" ? aten.ne_Scalar(this, other) : aten.ne_Tensor(this, other);
  },
  lt(this: Tensor, other: Operand): Tensor {
    return typeof other === "number" ? aten.lt_Scalar(this, other) : aten.lt_Tensor(this, other);
  },
  le(this: Tensor, other: Operand): Tensor {
    return typeof other === "number" ? aten.le_Scalar(this, other) : aten.le_Tensor(this, other);
  },
  gt(this: Tensor, other: Operand): Tensor {
    return typeof other === "number" ? aten.gt_Scalar(this, other) : aten.gt_Tensor(this, other);
  },
  ge(this: Tensor, other: Operand): Tensor {
    return typeof other === "number" ? aten.ge_Scalar(this, other) : aten.ge_Tensor(this, other);
  },
  logicalNot(this: Tensor): Tensor {
    return aten.logical_not(this);
  },
  isFinite(this: Tensor): Tensor {
    return aten.isfinite(this);
  },
};
