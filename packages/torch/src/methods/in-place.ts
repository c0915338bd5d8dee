/**
 * Operators that change their tensor, with PyTorch's trailing underscore. Each returns the tensor that it changed.
 */
import * as aten from "../addon/aten.generated.ts";
import type { Tensor } from "../tensor/tensor.ts";

type Operand = Tensor | number;

export const inPlace = {
  add_(this: Tensor, other: Operand, alpha = 1): Tensor {
    if (typeof other === "number") aten.add__Scalar(this, other, alpha);
    else aten.add__Tensor(this, other, alpha);
    return this;
  },
  sub_(this: Tensor, other: Operand, alpha = 1): Tensor {
    if (typeof other === "number") aten.sub__Scalar(this, other, alpha);
    else aten.sub__Tensor(this, other, alpha);
    return this;
  },
  mul_(this: Tensor, other: Operand): Tensor {
    if (typeof other === "number") aten.mul__Scalar(this, other);
    else aten.mul__Tensor(this, other);
    return this;
  },
  div_(this: Tensor, other: Operand): Tensor {
    if (typeof other === "number") aten.div__Scalar(this, other);
    else aten.div__Tensor(this, other);
    return this;
  },
  /** `this += value * first * second` */
  addcmul_(this: Tensor, first: Tensor, second: Tensor, value = 1): Tensor {
    aten.addcmul_(this, first, second, value);
    return this;
  },
  /** `this += value * numerator / denominator` */
  addcdiv_(this: Tensor, numerator: Tensor, denominator: Tensor, value = 1): Tensor {
    aten.addcdiv_(this, numerator, denominator, value);
    return this;
  },
  lerp_(this: Tensor, end: Tensor, weight: Operand): Tensor {
    if (typeof weight === "number") aten.lerp__Scalar(this, end, weight);
    else aten.lerp__Tensor(this, end, weight);
    return this;
  },
  sqrt_(this: Tensor): Tensor {
    aten.sqrt_(this);
    return this;
  },
  copy_(this: Tensor, source: Tensor): Tensor {
    aten.copy_(this, source);
    return this;
  },
  zero_(this: Tensor): Tensor {
    aten.zero_(this);
    return this;
  },
  fill_(this: Tensor, value: number): Tensor {
    aten.fill__Scalar(this, value);
    return this;
  },
};
