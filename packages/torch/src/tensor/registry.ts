/**
 * Which scope a new tensor belongs to. Kept apart from `tensor.ts` and `scope.ts` so that both can use it.
 */

/** What a scope needs to know of a tensor. */
export type Tracked = { readonly handle: number; kept: boolean };

let current: Tracked[] | undefined;

/** Opens a scope and returns the one around it. */
export function enterScope(tracked: Tracked[]): Tracked[] | undefined {
  const outer = current;
  current = tracked;
  return outer;
}

export function leaveScope(outer: Tracked[] | undefined): void {
  current = outer;
}

/** Gives a tensor to the innermost scope; outside every scope the garbage collector is left to free it. */
export function track(tensor: Tracked, onUnscoped: (tensor: Tracked) => void): void {
  if (current) current.push(tensor);
  else onUnscoped(tensor);
}
