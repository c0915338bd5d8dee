/**
 * Random number generators. Their state can be saved, so a resumed training draws the same numbers.
 */
import { native } from "../addon/binding.ts";
import type { Device } from "./dtype.ts";
import { type Tensor, wrap } from "./tensor.ts";

const collected = new FinalizationRegistry<number>((handle) => native.freeGenerator(handle));

/** Freed by `free()`, or else by the garbage collector. */
export class Generator {
  readonly handle: number;
  readonly device: Device;

  constructor(seed: number | bigint, device: Device = "cpu", handle = native.makeGenerator(device, seed)) {
    this.handle = handle;
    this.device = device;
    collected.register(this, handle);
  }

  /** Frees the state now. A second call is a no-op; drawing afterwards throws. */
  free(): void {
    native.freeGenerator(this.handle);
  }

  manualSeed(seed: number | bigint): this {
    native.seedGenerator(this.handle, seed);
    return this;
  }

  /** A uint8 CPU tensor; equal states give equal numbers on the same libtorch and device kind. */
  getState(): Tensor {
    return wrap(native.generatorState(this.handle));
  }

  setState(state: Tensor): void {
    native.setGeneratorState(this.handle, state.handle);
  }
}

const defaults = new Map<Device, Generator>();

/** The generator that operators without a `generator` argument draw from. */
function defaultGenerator(device: Device = "cpu"): Generator {
  let generator = defaults.get(device);
  if (!generator) {
    generator = new Generator(0, device, native.defaultGenerator(device));
    defaults.set(device, generator);
  }
  return generator;
}

/**
 * Seeds the default generator of a device.
 *
 * @internal for tests
 */
export function manualSeed(seed: number | bigint, device: Device = "cpu"): void {
  defaultGenerator(device).manualSeed(seed);
}
