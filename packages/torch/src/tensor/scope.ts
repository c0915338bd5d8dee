/**
 * Scopes: every tensor made inside is freed at the end, except what is returned or kept.
 */
import { native } from "../addon/binding.ts";

/** What a scope frees: the base of `Tensor`. It stands here so that scopes need not import the class. */
export abstract class Scoped {
  /** What crosses into the addon, which refuses stale ones. */
  readonly handle: number;
  /** Set by `keep()`: scopes pass over it. */
  kept = false;

  constructor(handle: number) {
    this.handle = handle;
  }
}

const collected = new FinalizationRegistry<number>((handle) => native.free(handle));

function leaveToCollector(tensor: Scoped): void {
  collected.register(tensor, tensor.handle);
}

let innermost: Scoped[] | undefined;

/** Gives a new tensor to the innermost scope. Outside every scope the garbage collector frees it. */
export function track(tensor: Scoped): void {
  if (innermost) innermost.push(tensor);
  else leaveToCollector(tensor);
}

type NotAPromise<T> = T extends PromiseLike<unknown> ? never : T;

/**
 * Runs `body` and frees the tensors it made, except those in its result: a tensor, or tensors inside arrays, Maps and
 * plain objects. Call `keep()` on a tensor inside any other object.
 *
 * Synchronous by type: code that runs between two turns of the event loop is in no scope, so a body that returns a
 * promise does not compile.
 */
export function scope<T>(body: () => NotAPromise<T>): T {
  checkBefore?.();
  const made: Scoped[] = [];
  const outer = innermost;
  innermost = made;
  let result: T;
  try {
    result = body() as T;
  } catch (error) {
    innermost = outer;
    release(made, new Set());
    throw error;
  }
  innermost = outer;
  const survivors = new Set<Scoped>();
  collect(result, survivors);
  release(made, survivors);
  // Once per step, not once per block: each report may make the collector assume that memory is growing.
  if (!outer) native.reportMemory();
  return result;
}

let checkBefore: (() => void) | undefined;

/**
 * Runs `body` and calls `check` before every scope in it, several times per layer. If `check` throws, the work ends
 * early instead of blocking the event loop for minutes. Only for work whose partial results may be dropped.
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

/** Takes every tensor in `value` out of its scope: it stays until `free()`, or until nothing refers to it. */
export function keep<T>(value: T): T {
  const found = new Set<Scoped>();
  collect(value, found);
  for (const tensor of found) {
    if (tensor.kept) continue;
    tensor.kept = true;
    leaveToCollector(tensor);
  }
  return value;
}

let handles = new Float64Array(1024);

function release(made: readonly Scoped[], survivors: ReadonlySet<Scoped>): void {
  if (handles.length < made.length) handles = new Float64Array(made.length * 2);
  let count = 0;
  for (const tensor of made) {
    if (tensor.kept) continue;
    if (survivors.has(tensor)) track(tensor);
    else handles[count++] = tensor.handle;
  }
  native.freeAll(handles, count);
}

function collect(value: unknown, into: Set<Scoped>): void {
  if (value instanceof Scoped) into.add(value);
  else if (Array.isArray(value)) collectItems(value, into);
  else if (value instanceof Map) for (const item of value.values()) collect(item, into);
  else if (isPlainObject(value)) for (const item of Object.values(value)) collect(item, into);
}

/** Skips lists of numbers, which may have millions of items. Both ends are looked at, because of pairs such as `[loss, tensor]`. */
function collectItems(items: readonly unknown[], into: Set<Scoped>): void {
  if (typeof items[0] === "number" && typeof items.at(-1) === "number") return;
  for (const item of items) collect(item, into);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
