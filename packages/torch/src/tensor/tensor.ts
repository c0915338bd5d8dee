/**
 * A tensor: the handle of a libtorch tensor, with its shape, its bytes and its gradient.
 *
 * Arithmetic and shaping are in `methods/`, one table per file. `methods/install.ts` makes them methods of this class:
 * they call the generated operators, which make tensors, so this file cannot import them.
 *
 * Who frees memory:
 * 1. A tensor made inside `scope()` is freed when the scope ends, unless it is returned or kept.
 * 2. `free()` frees at once. Using a freed tensor throws.
 * 3. Freeing never breaks a backward pass: libtorch's graph holds its own references.
 * 4. A tensor made outside every scope is freed by the garbage collector. Do not rely on it: the collector runs between
 *    turns of the event loop, so a synchronous loop without a scope grows without bound.
 */
import { native } from "../addon/binding.ts";
import { type Device, type DType, dtypeBytes, dtypeFromCode, parseDevice } from "./dtype.ts";
import { Scoped, track } from "./scope.ts";

export class Tensor extends Scoped {
  #knownShape: readonly number[] | undefined;
  #knownDType: DType | undefined;
  #knownDevice: Device | undefined;

  get shape(): readonly number[] {
    this.#knownShape ??= native.shape(this.handle);
    return this.#knownShape;
  }

  get ndim(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get numel(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }

  /** Bytes its elements take, whether or not they are shared with another tensor. */
  get nbytes(): number {
    return this.numel * dtypeBytes(this.dtype);
  }

  get dtype(): DType {
    this.#knownDType ??= dtypeFromCode(native.dtype(this.handle));
    return this.#knownDType;
  }

  get device(): Device {
    this.#knownDevice ??= parseDevice(native.device(this.handle));
    return this.#knownDevice;
  }

  /** Length of one axis; negative axes count from the end. @throws RangeError when there is no such axis */
  size(axis: number): number {
    const size = this.shape.at(axis);
    if (size === undefined)
      throw new RangeError(`size: got axis ${axis}, expected one of a shape [${this.shape}]`);
    return size;
  }

  /** Frees the memory now. A second call is a no-op. */
  free(): void {
    native.free(this.handle);
  }

  get isFreed(): boolean {
    return !native.isLive(this.handle);
  }

  get requiresGrad(): boolean {
    return native.requiresGrad(this.handle);
  }

  /** Marks a leaf as trainable. */
  requiresGrad_(on = true): this {
    native.setRequiresGrad(this.handle, on);
    return this;
  }

  /** Whether this tensor was computed from something that requires a gradient. */
  get hasGraph(): boolean {
    return native.hasGraph(this.handle);
  }

  /** The accumulated gradient; each read makes a new handle in the current scope. */
  get grad(): Tensor | undefined {
    const gradient = native.grad(this.handle);
    return gradient === undefined ? undefined : wrap(gradient);
  }

  set grad(gradient: Tensor | undefined) {
    native.setGrad(this.handle, gradient?.handle);
  }

  /** Backward pass from this tensor; `gradient` is needed unless it has one element. */
  backward(gradient?: Tensor): void {
    native.backward([this.handle], gradient && [gradient.handle], false);
  }

  override toString(): string {
    if (this.isFreed) return "Tensor(freed)";
    return `Tensor(${this.dtype}[${this.shape.join(", ")}]${this.device === "cpu" ? "" : ` on ${this.device}`})`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

/** A Tensor for a fresh handle, owned by the current scope. */
export function wrap(handle: number): Tensor {
  const tensor = new Tensor(handle);
  track(tensor);
  return tensor;
}

export function wrapAll(handles: readonly number[]): Tensor[] {
  return handles.map(wrap);
}

/** For lists that may hold `undefined` where an operator takes optional tensors. */
export function handleOf(tensor: Tensor | undefined): number | undefined {
  return tensor?.handle;
}
