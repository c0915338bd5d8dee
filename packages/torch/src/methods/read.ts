/**
 * Reads values out of tensors. Each method waits for the device and copies.
 */
import * as aten from "../addon/aten.generated.ts";
import { native } from "../addon/binding.ts";
import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";

export const read = {
  /** The one value of a one-element tensor. @throws RangeError when it has more */
  item(this: Tensor): number {
    if (this.numel !== 1)
      throw new RangeError(`item: got shape [${this.shape}], expected exactly one element`);
    const [value] = this.toFloat64Array();
    return value as number;
  },
  /** All values in row-major order. */
  toArray(this: Tensor): number[] {
    return Array.from(this.toFloat64Array());
  },
  toFloat32Array(this: Tensor): Float32Array<ArrayBuffer> {
    return copyOut(this, "float32", new Float32Array(this.numel));
  },
  /** Exact for every type but int64 beyond 2^53. */
  toFloat64Array(this: Tensor): Float64Array<ArrayBuffer> {
    return copyOut(this, "float64", new Float64Array(this.numel));
  },
  toUint8Array(this: Tensor): Uint8Array<ArrayBuffer> {
    return copyOut(this, "uint8", new Uint8Array(this.numel));
  },
  /** The elements in row-major order, in the tensor's own type, little-endian. */
  toBytes(this: Tensor): Uint8Array<ArrayBuffer> {
    return copyOut(this, this.dtype, new Uint8Array(this.nbytes));
  },
};

function copyOut<T extends ArrayBufferView>(tensor: Tensor, dtype: Tensor["dtype"], into: T): T {
  scope(() => native.readBytes(aten.contiguous(tensor.detach().to({ dtype, device: "cpu" })).handle, into));
  return into;
}
