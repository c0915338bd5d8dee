/**
 * Scopes: every tensor made inside is freed at the end, except what is returned or kept.
 */
import { native } from "../addon/binding.ts";
import { enterScope, leaveScope, type Tracked, track } from "./registry.ts";
import { leaveToCollector, Tensor } from "./tensor.ts";

type NotAPromise<T> = T extends PromiseLike<unknown> ? never : T;

/**
 * Runs `body` and frees the tensors it made, except those in its result: a tensor, or tensors inside arrays, Maps and
 * plain objects. A tensor inside any other object must be `keep()`ed.
 *
 * Synchronous by type: what runs between two turns of the event loop belongs to nobody's scope, so a body that returns
 * a promise does not compile.
 */
export function scope<T>(body: () => NotAPromise<T>): T {
  checkBefore?.();
  const made: Tracked[] = [];
  const outer = enterScope(made);
  let result: T;
  try {
    result = body() as T;
  } catch (error) {
    leaveScope(outer);
    release(made, new Set());
    throw error;
  }
  leaveScope(outer);
  const survivors = new Set<Tracked>();
  collect(result, survivors);
  release(made, survivors);
  // Once a step, not once a block: each report may make the collector think that memory is growing.
  if (!outer) native.reportMemory();
  return result;
}

let checkBefore: (() => void) | undefined;

/**
 * Runs `body` so that `check` is called before every scope in it, which is several times a layer: what it throws ends
 * work that would hold the event loop for minutes. Only for work whose results may be dropped halfway.
 */
export function interruptible<T>(check: () => void, body: () => T): T {
  const outer = checkBefore;
  checkBefore = check;
  try {
    return body();
  } finally {
    checkBefore = outer;
  }
}

/** Takes every tensor in `value` out of its scope: it lives until `free()`, or until nothing refers to it. */
export function keep<T>(value: T): T {
  const found = new Set<Tracked>();
  collect(value, found);
  for (const tensor of found) {
    if (tensor.kept) continue;
    tensor.kept = true;
    leaveToCollector(tensor);
  }
  return value;
}

let handles = new Float64Array(1024);

function release(made: readonly Tracked[], survivors: ReadonlySet<Tracked>): void {
  if (handles.length < made.length) handles = new Float64Array(made.length * 2);
  let count = 0;
  for (const tensor of made) {
    if (tensor.kept) continue;
    if (survivors.has(tensor)) track(tensor, leaveToCollector);
    else handles[count++] = tensor.handle;
  }
  native.freeAll(handles, count);
}

function collect(value: unknown, into: Set<Tracked>): void {
  if (value instanceof Tensor) into.add(value);
  else if (Array.isArray(value)) for (const item of value) collect(item, into);
  else if (value instanceof Map) for (const item of value.values()) collect(item, into);
  else if (isPlainObject(value)) for (const item of Object.values(value)) collect(item, into);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
