/** Turns the trainer's events into the log lines that the client reads. */
import type { JobEvent } from "@ltx-trainer/contract";
import type { LogLevel } from "../wire/queue.ts";

export type ClientLine = { readonly level: LogLevel; readonly message: string };

/** Interval between two lines about steps. */
const stepLineEveryMs = 2_000;

/** Keeps the last title and the time of the last step line, to repeat neither. */
export class LogLines {
  #title = "";
  #lastStepLineMs = Number.NEGATIVE_INFINITY;

  /** The line for an event; undefined for an event without one. */
  lineFor(event: JobEvent): ClientLine | undefined {
    switch (event.type) {
      case "phase":
        return this.#phaseLine(event.title);
      case "progress":
        return this.#stepLine(event);
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
        return { level: "ERROR", message: failureText(event) };
      case "trained":
        return { level: "INFO", message: "The LoRA is trained" };
      case "plan":
      case "finished":
        return undefined;
    }
  }

  #phaseLine(title: string): ClientLine | undefined {
    if (title === this.#title) return undefined;
    this.#title = title;
    return { level: "INFO", message: title };
  }

  #stepLine(event: Extract<JobEvent, { type: "progress" }>): ClientLine | undefined {
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

/** The message of an internal error goes to the operator only: a client cannot act on it. */
function failureText({ code, message, remedy = "" }: Extract<JobEvent, { type: "failed" }>): string {
  if (code === "internal") return "Internal error. The server's log says more.";
  return [message, remedy].join("\n").trim();
}

const levels = { debug: "DEBUG", info: "INFO", error: "ERROR" } as const satisfies Record<string, LogLevel>;
