/**
 * Activation checkpointing: a block keeps only its inputs, and runs again when its gradient is needed.
 *
 * `backwardThrough(loss)` opens a tape. Every `checkpoint(block, inputs)` inside runs its block without recording and
 * returns a detached output. After the loss's own backward pass the tape is replayed from its end: each block runs again
 * with recording, and a backward pass through it starts from the gradient of its output.
 *
 * Blocks must be functions of their inputs and of parameters alone. A block that draws random numbers would draw
 * different ones the second time.
 */

import { scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { backward, enableGrad, isGradEnabled, noGrad } from "./autograd.ts";

type Block = (...inputs: Tensor[]) => Tensor;

/** A block to run again, or a tensor computed by ordinary operators whose gradient is collected before it is sent on. */
type Entry =
  | {
      readonly kind: "block";
      readonly block: Block;
      readonly inputs: readonly Tensor[];
      readonly output: Tensor;
    }
  | { readonly kind: "boundary"; readonly source: Tensor; readonly leaf: Tensor };

type Tape = { readonly entries: Entry[]; readonly leaves: Map<Tensor, Tensor> };

let tape: Tape | undefined;

/**
 * Runs `lossOf`, then its backward pass, and recomputes the blocks it checkpointed. Gradients accumulate in the leaves
 * as after `loss.backward()`. Returns the loss, detached.
 */
export function backwardThrough(lossOf: () => Tensor): Tensor {
  const outer = tape;
  const own: Tape = { entries: [], leaves: new Map() };
  tape = own;
  let loss: Tensor;
  try {
    loss = lossOf();
  } finally {
    tape = outer;
  }
  const hasBoundary = own.entries.some((entry) => entry.kind === "boundary");
  backward([loss], undefined, { retainGraph: hasBoundary });
  for (const entry of own.entries.toReversed()) {
    if (entry.kind === "block") replay(entry);
    else propagate(entry.source, entry.leaf);
  }
  return loss.detach();
}

/** `block(...inputs)`; inside `backwardThrough` its activations are dropped and recomputed. */
export function checkpoint(block: Block, inputs: readonly Tensor[]): Tensor {
  if (!tape || !isGradEnabled()) return block(...inputs);
  const own = tape;
  const leaves = inputs.map((input) => boundaryOf(input, own));
  const output = scope(() => noGrad(() => block(...leaves)))
    .detach()
    .requiresGrad_();
  own.entries.push({ kind: "block", block, inputs: leaves, output });
  own.leaves.set(output, output);
  return output;
}

/** The leaf that replaces `input` inside blocks: `input` itself, or a detached copy if it has a graph. */
function boundaryOf(input: Tensor, own: Tape): Tensor {
  if (!input.hasGraph) return input;
  let leaf = own.leaves.get(input);
  if (!leaf) {
    leaf = input.detach().requiresGrad_();
    own.leaves.set(input, leaf);
    own.entries.push({ kind: "boundary", source: input, leaf });
  }
  return leaf;
}

function replay(entry: Extract<Entry, { kind: "block" }>): void {
  scope(() => {
    const gradient = entry.output.grad;
    if (!gradient) return;
    entry.output.grad = undefined;
    const output = enableGrad(() => entry.block(...entry.inputs));
    backward([output], [gradient]);
  });
}

function propagate(source: Tensor, leaf: Tensor): void {
  scope(() => {
    const gradient = leaf.grad;
    if (gradient) backward([source], [gradient], { retainGraph: true });
  });
}
