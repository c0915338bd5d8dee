/** What a client reads in the logs of its request: the trainer's events in plain sentences. */
import type { JobEvent } from "@ltx-trainer/contract";
import type { LogLevel } from "../wire/queue.ts";

export type Said = { readonly level: LogLevel; readonly message: string };

/** Between two lines about steps. */
const stepLineEveryMs = 2_000;

/** Remembers what was said last, to say each thing once. */
export class LogLines {
  #title = "";
  #lastStepLineMs = Number.NEGATIVE_INFINITY;

  /** The line for an event, or undefined when it is not worth one. */
  of(event: JobEvent): Said | undefined {
    switch (event.type) {
      case "phase":
        return this.#ofPhase(event.title);
      case "progress":
        return this.#ofStep(event);
      case "log":
        return { level: levels[event.level], message: event.message };
      case "warning":
        return { level: "WARN", message: event.message };
      case "checkpoint":
        return { level: "INFO", message: `Checkpoint written after step ${event.step}` };
      case "sample":
        return {
          level: "INFO",
          message: `Sampled "${event.prompt}" ${event.lora ? "with" : "without"} the LoRA after step ${event.step}`,
        };
      case "failed":
        return { level: "ERROR", message: ofFailure(event) };
      case "trained":
        return { level: "INFO", message: "The LoRA is trained" };
      case "plan":
      case "finished":
        return undefined;
    }
  }

  #ofPhase(title: string): Said | undefined {
    if (title === this.#title) return undefined;
    this.#title = title;
    return { level: "INFO", message: title };
  }

  #ofStep(event: Extract<JobEvent, { type: "progress" }>): Said | undefined {
    const nowMs = performance.now();
    const isDue = nowMs - this.#lastStepLineMs >= stepLineEveryMs;
    if (!isDue && event.step !== event.total) return undefined;
    this.#lastStepLineMs = nowMs;
    const loss = event.loss === null ? "not finite" : event.loss.toFixed(4);
    const left = `${Math.ceil(event.etaSeconds)} s left`;
    return {
      level: "INFO",
      message: `Step ${event.step}/${event.total}, loss ${loss}, ${event.secondsPerStep.toFixed(2)} s/step, ${left}`,
    };
  }
}

/** A defect of ours is told to the operator; a client can do nothing with its words. */
function ofFailure({ code, message, remedy = "" }: Extract<JobEvent, { type: "failed" }>): string {
  if (code === "internal") return "Internal error. The server's log says more.";
  return [message, remedy].join("\n").trim();
}

const levels = { debug: "DEBUG", info: "INFO", error: "ERROR" } as const satisfies Record<string, LogLevel>;
