/**
 * How a job speaks: one JSON object a line on stdout, nothing else.
 */
import { writeSync } from "node:fs";
import { encodeEvent, type JobEvent, type Phase } from "@ltx-trainer/contract";

/** Where a job's events go: a pipe in production, an array in tests. */
export type Emit = (event: JobEvent) => void;

export class Reporter {
  private readonly emit: Emit;

  constructor(emit: Emit) {
    this.emit = emit;
  }

  event(event: JobEvent): void {
    this.emit(event);
  }

  /** A part of the work has begun or moved on. */
  phase(phase: Phase, title: string, progress?: { readonly done: number; readonly total: number }): void {
    this.emit({ type: "phase", phase, title, ...progress });
  }

  info(message: string): void {
    this.emit({ type: "log", level: "info", message });
  }

  warn(message: string, facts?: Record<string, unknown>): void {
    this.emit({ type: "warning", message, ...(facts && { facts }) });
  }
}

/**
 * Writes one event to stdout, and answers whether anybody listens.
 *
 * Synchronous: an event must not be lost when the process is killed right after it.
 */
export function emitToStdout(event: JobEvent): boolean {
  const bytes = Buffer.from(encodeEvent(event));
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(process.stdout.fd, bytes, written);
    } catch (error) {
      // EAGAIN: the reader of a non-blocking pipe is behind, try again. Anything else means that it is gone.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") return false;
    }
  }
  return true;
}
