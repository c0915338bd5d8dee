/**
 * Circuit breaker of one device. A device that fails requests through no fault of theirs gets no more until a probe passes:
 * otherwise a broken device would fail the whole queue within minutes.
 */
import type { AppError } from "@ltx-trainer/contract";
import type { Logger } from "pino";
import type { Fault } from "./health.ts";

/** After failures of so many different requests in a row the device counts as broken even if its probe passes. */
const suspiciousRequests = 3;
const longestPauseMs = 60_000;

type GuardDeps = {
  readonly device: string;
  readonly log: Logger;
  /** Pause before the first probe of a broken device. It doubles per probe. */
  readonly firstPauseMs: number;
  readonly probe: () => Promise<Fault | undefined>;
  readonly onChange: (fault: Fault | undefined) => void;
};

export class DeviceGuard {
  readonly #deps: GuardDeps;
  readonly #suspects = new Set<string>();
  #fault: Fault | undefined;
  #pauseMs: number;

  constructor(deps: GuardDeps) {
    this.#deps = deps;
    this.#pauseMs = deps.firstPauseMs;
  }

  get isBroken(): boolean {
    return this.#fault !== undefined;
  }

  /** A job took a step or succeeded: nothing is wrong with the device. */
  recordSuccess(): void {
    this.#suspects.clear();
  }

  /**
   * Probes the device after a failure that the request did not cause.
   *
   * @returns whether the device is fit: then the request may be the cause after all
   */
  async examine(requestId: string, error: AppError): Promise<boolean> {
    const fault = await this.#deps.probe();
    if (fault !== undefined) {
      this.#markBroken(fault);
      return false;
    }
    this.#suspects.add(requestId);
    if (this.#suspects.size >= suspiciousRequests) {
      this.#markBroken({
        reason: `${this.#suspects.size} requests in a row failed (${error.code})`,
        detail: error,
      });
    }
    return true;
  }

  /** Pause before the next probe of a broken device. Doubles per call. */
  nextPauseMs(): number {
    const pauseMs = this.#pauseMs;
    this.#pauseMs = Math.min(2 * pauseMs, longestPauseMs);
    return pauseMs;
  }

  /** Probes a broken device. */
  async recover(): Promise<void> {
    const fault = await this.#deps.probe();
    if (fault !== undefined) {
      if (fault.reason !== this.#fault?.reason) this.#report("warn", "device: still broken", fault);
      this.#fault = fault;
      return this.#deps.onChange(fault);
    }
    this.#fault = undefined;
    this.#pauseMs = this.#deps.firstPauseMs;
    this.#suspects.clear();
    this.#deps.onChange(undefined);
    this.#deps.log.info({ device: this.#deps.device }, "device: recovered");
  }

  #markBroken(fault: Fault): void {
    if (this.#fault === undefined) this.#report("error", "device: broken, claims no requests", fault);
    this.#fault = fault;
    this.#deps.onChange(fault);
  }

  #report(level: "warn" | "error", words: string, { reason, detail }: Fault): void {
    const cause = detail instanceof Error ? { err: detail } : { detail };
    this.#deps.log[level]({ device: this.#deps.device, reason, ...cause }, words);
  }
}
