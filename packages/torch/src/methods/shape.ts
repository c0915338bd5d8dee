/**
 * Views, copies and selections. Negative axes and indices count from the end.
 */
import * as aten from "../addon/aten.generated.ts";
import { type Device, type DType, isDType, type TensorOptions } from "../tensor/dtype.ts";
import type { Tensor } from "../tensor/tensor.ts";

export const shaping = {
  reshape(this: Tensor, shape: readonly number[]): Tensor {
    return aten.reshape(this, shape);
  },
  /** Like `reshape`, but never copies. @throws TorchError when the strides do not allow it */
  view(this: Tensor, shape: readonly number[]): Tensor {
    return aten.view(this, shape);
  },
  permute(this: Tensor, axes: readonly number[]): Tensor {
    return aten.permute(this, axes);
  },
  transpose(this: Tensor, first: number, second: number): Tensor {
    return aten.transpose_int(this, first, second);
  },
  unsqueeze(this: Tensor, axis: number): Tensor {
    return aten.unsqueeze(this, axis);
  },
  squeeze(this: Tensor, axis: number): Tensor {
    return aten.squeeze_dim(this, axis);
  },
  flatten(this: Tensor, start = 0, end = -1): Tensor {
    return aten.flatten_using_ints(this, start, end);
  },
  /** Splits one axis into several; one size may be -1. */
  unflatten(this: Tensor, axis: number, sizes: readonly number[]): Tensor {
    return aten.unflatten_int(this, axis, sizes);
  },
  expand(this: Tensor, shape: readonly number[]): Tensor {
    return aten.expand(this, shape);
  },
  repeat(this: Tensor, times: readonly number[]): Tensor {
    return aten.repeat(this, times);
  },
  /** Repeats each element `times` times in a row along one axis. */
  repeatInterleave(this: Tensor, times: number, axis: number): Tensor {
    return aten.repeat_interleave_self_int(this, times, axis);
  },
  narrow(this: Tensor, axis: number, start: number, length: number): Tensor {
    return aten.narrow(this, axis, start, length);
  },
  slice(this: Tensor, axis: number, start?: number, end?: number, step = 1): Tensor {
    return aten.slice_Tensor(this, axis, start, end, step);
  },
  select(this: Tensor, axis: number, index: number): Tensor {
    return aten.select_int(this, axis, index);
  },
  indexSelect(this: Tensor, axis: number, index: Tensor): Tensor {
    return aten.index_select(this, axis, index);
  },
  gather(this: Tensor, axis: number, index: Tensor): Tensor {
    return aten.gather(this, axis, index);
  },
  chunk(this: Tensor, count: number, axis: number): Tensor[] {
    return aten.chunk(this, count, axis);
  },
  split(this: Tensor, sizes: number | readonly number[], axis: number): Tensor[] {
    return typeof sizes === "number"
      ? aten.split_Tensor(this, sizes, axis)
      : aten.split_with_sizes(this, sizes, axis);
  },
  unbind(this: Tensor, axis: number): Tensor[] {
    return aten.unbind_int(this, axis);
  },
  flip(this: Tensor, axes: readonly number[]): Tensor {
    return aten.flip(this, axes);
  },
  contiguous(this: Tensor): Tensor {
    return aten.contiguous(this);
  },
  clone(this: Tensor): Tensor {
    return aten.clone(this);
  },
  /** The same values outside the autograd graph. */
  detach(this: Tensor): Tensor {
    return aten.detach(this);
  },
  /** A copy in page-locked memory, which a GPU can read without the CPU. @throws TorchError without CUDA */
  pinned(this: Tensor): Tensor {
    return aten.pin_memory(this);
  },
  /**
   * Casts and moves. Returns the same tensor when type and device already match.
   *
   * @param options.nonBlocking do not wait for a copy between pinned memory and a GPU. Read the result only after
   *   `synchronize`, or on that GPU.
   */
  to(
    this: Tensor,
    target: DType | Device | TensorOptions,
    options: { readonly nonBlocking?: boolean } = {},
  ): Tensor {
    const { dtype, device } = toOptions(target);
    const isThatType = dtype === undefined || dtype === this.dtype;
    if (isThatType && (device === undefined || isSameDevice(device, this.device))) return this;
    return aten.to_device(this, device ?? this.device, dtype ?? this.dtype, options.nonBlocking ?? false);
  },
};

function toOptions(target: DType | Device | TensorOptions): TensorOptions {
  if (typeof target !== "string") return target;
  return isDType(target) ? { dtype: target } : { device: target };
}

/** "cuda" means the first GPU. The device of a tensor always has an index. */
function isSameDevice(wanted: Device, actual: Device): boolean {
  return wanted === actual || (wanted === "cuda" && actual === "cuda:0");
}
