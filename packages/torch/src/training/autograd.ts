/**
 * Gradients: turns recording on and off, and runs backward passes.
 */
import { native } from "../addon/binding.ts";
import { type Tensor, wrap } from "../tensor/tensor.ts";

let recording = true;

/** Whether operators are recorded for a backward pass. */
export function isGradEnabled(): boolean {
  return recording;
}

function withRecording<T>(on: boolean, body: () => T): T {
  const before = recording;
  recording = on;
  native.setGradMode(on);
  try {
    return body();
  } finally {
    recording = before;
    native.setGradMode(before);
  }
}

/** Runs `body` without recording: less memory, no gradients. */
export function noGrad<T>(body: () => T): T {
  return withRecording(false, body);
}

/** Runs `body` with recording, inside `noGrad` too. */
export function enableGrad<T>(body: () => T): T {
  return withRecording(true, body);
}

const handles = (tensors: readonly Tensor[]): number[] => tensors.map((tensor) => tensor.handle);

/** Runs a backward pass: adds to the gradient of every leaf that the outputs depend on. */
export function backward(
  outputs: readonly Tensor[],
  gradOutputs?: readonly Tensor[],
  options: { readonly retainGraph?: boolean } = {},
): void {
  native.backward(handles(outputs), gradOutputs && handles(gradOutputs), options.retainGraph ?? false);
}

/** The accumulated gradients of many leaves, in their order: one native call instead of one per leaf. */
export function gradsOf(leaves: readonly Tensor[]): (Tensor | undefined)[] {
  return native.gradsOf(handles(leaves)).map((handle) => (handle === undefined ? undefined : wrap(handle)));
}

/** Sets the gradients of the leaves to undefined. */
export function clearGrads(leaves: readonly Tensor[]): void {
  native.clearGrads(handles(leaves));
}

/**
 * Gradients of the outputs with respect to `inputs`, without touching any `.grad`; undefined for an input the outputs
 * do not depend on, which is an error unless `allowUnused`.
 *
 * @internal for tests
 */
export function grad(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  gradOutputs?: readonly Tensor[],
  options: { readonly retainGraph?: boolean; readonly allowUnused?: boolean } = {},
): (Tensor | undefined)[] {
  const { retainGraph = false, allowUnused = false } = options;
  const seeds = gradOutputs && handles(gradOutputs);
  return native
    .gradients(handles(outputs), handles(inputs), seeds, retainGraph, allowUnused)
    .map((handle) => (handle === undefined ? undefined : wrap(handle)));
}
