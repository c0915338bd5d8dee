/**
 * How a job speaks: one JSON object a line on stdout, nothing else.
 */
import { writeSync } from "node:fs";
import { encodeEvent, type JobEvent, type Phase } from "@ltx-trainer/contract";
import type { Written } from "./interrupt.ts";

/** Where a job's events go: a pipe in production, an array in tests. */
export type Emit = (event: JobEvent) => void;

export class Reporter {
  readonly #emit: Emit;
  #soFar: Written = {};

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  /** What the job has reported as written. */
  get written(): Written {
    return this.#soFar;
  }

  event(event: JobEvent): void {
    if (event.type === "checkpoint") this.#soFar = { ...this.#soFar, checkpointStep: event.step };
    if (event.type === "trained") this.#soFar = { ...this.#soFar, isTrained: true };
    this.#emit(event);
  }

  /** A part of the work has begun or moved on. */
  phase(phase: Phase, title: string, progress?: { readonly done: number; readonly total: number }): void {
    this.#emit({ type: "phase", phase, title, ...progress });
  }

  info(message: string): void {
    this.#emit({ type: "log", level: "info", message });
  }

  warn(message: string, facts?: Record<string, unknown>): void {
    this.#emit({ type: "warning", message, ...(facts && { facts }) });
  }
}

/** Pause before the next attempt to write to a full pipe. */
const retryMs = 5;

/**
 * Writes one event to stdout, and answers whether anybody listens.
 *
 * Synchronous: an event must not be lost when the process is killed right after it.
 */
export function emitToStdout(event: JobEvent): boolean {
  return writeAll(process.stdout.fd, Buffer.from(encodeEvent(event)));
}

/** Writes all bytes, waiting for a reader that is behind; false when the reader is gone. */
export function writeAll(descriptor: number, bytes: Uint8Array): boolean {
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(descriptor, bytes, written);
    } catch (error) {
      // EAGAIN: the reader of a non-blocking pipe is behind. Anything else means that it is gone.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") return false;
      sleep(retryMs);
    }
  }
  return true;
}

const never = new Int32Array(new SharedArrayBuffer(4));

function sleep(milliseconds: number): void {
  Atomics.wait(never, 0, 0, milliseconds);
}
