/**
 * Job events as text: a live line on a terminal, and a plain line now and then where there is none.
 */
import type { EventOf, JobEvent } from "@ltx-trainer/contract";
import type { Console } from "./console.ts";

/** Without a terminal, this often at most. */
const plainEveryMs = 10_000;

/** The one title whose progress counts bytes. */
const downloading = "Downloading";

/** Shows events as they come. `now` in milliseconds, for tests. */
export class ProgressView {
  readonly #console: Console;
  readonly #now: () => number;
  #title = "";
  #current = "the trainer to start";
  #plainAt = Number.NEGATIVE_INFINITY;

  constructor(console: Console, now: () => number = () => performance.now()) {
    this.#console = console;
    this.#now = now;
  }

  /** What is being done, in words: "encoding clips, 3 of 12 done". */
  get current(): string {
    return this.#current;
  }

  show(event: JobEvent): void {
    this.#current = currentWork(event) ?? this.#current;
    if (event.type === "phase") this.#showPhase(event);
    else if (event.type === "progress") this.#showProgress(event);
    else for (const line of linesOf(event)) this.#console.say(line);
  }

  #showPhase({ title, done, total }: EventOf<"phase">): void {
    if (title !== this.#title) {
      this.#title = title;
      this.#plainAt = this.#now();
      this.#console.say(title);
    }
    if (done === undefined || total === undefined || total === 0) return;
    const counts =
      title === downloading ? `${formatBytes(done)} of ${formatBytes(total)}` : `${done}/${total}`;
    this.#lively(`${bar(done / total)} ${counts}  ${title}`, done === total);
  }

  #showProgress(event: EventOf<"progress">): void {
    const { step, total, loss, lr, secondsPerStep, etaSeconds, memoryBytes } = event;
    const parts = [
      `${bar(step / total)} ${step}/${total}`,
      `loss ${loss === null ? "not finite" : loss.toFixed(4)}`,
      `lr ${lr.toExponential(2)}`,
      `${formatSeconds(secondsPerStep)}/step`,
      `ETA ${formatDuration(etaSeconds)}`,
      formatBytes(memoryBytes),
    ];
    this.#lively(parts.join("  "), step === total || step === 1);
  }

  /** On a terminal always; elsewhere when it matters or when the last one was long ago. */
  #lively(line: string, matters: boolean): void {
    const now = this.#now();
    if (this.#console.isLive) {
      this.#console.live(line);
    } else if (matters || now - this.#plainAt >= plainEveryMs) {
      this.#plainAt = now;
      this.#console.say(line);
    }
  }
}

function currentWork(event: JobEvent): string | undefined {
  if (event.type === "progress") return `training, step ${event.step + 1} of ${event.total}`;
  if (event.type !== "phase") return undefined;
  const { title, done, total } = event;
  const what = title.charAt(0).toLowerCase() + title.slice(1);
  if (done === undefined || !total) return what;
  const shown = title === downloading ? formatBytes : String;
  return `${what}, ${shown(done)} of ${shown(total)} done`;
}

/** Events that are said once. The last one is the caller's business. */
function linesOf(event: Exclude<JobEvent, EventOf<"phase"> | EventOf<"progress">>): string[] {
  switch (event.type) {
    case "plan":
      return planLines(event.plan);
    case "log":
      return event.level === "debug" ? [] : [event.message];
    case "warning":
      return [`warning: ${event.message}`];
    case "sample":
      return [`sample after ${event.step} steps: ${event.path}`];
    case "checkpoint":
      return [`checkpoint after ${event.step} steps: ${event.path}`];
    case "trained":
    case "finished":
    case "failed":
      return [];
  }
}

/** `[#####---------------]` */
function bar(share: number): string {
  const cells = 20;
  const full = Math.round(Math.min(1, Math.max(0, share)) * cells);
  return `[${"#".repeat(full)}${"-".repeat(cells - full)}]`;
}

/** One line per part of the plan: `sample       width 64, height 64, frames 25`. */
export function planLines(plan: Readonly<Record<string, unknown>>): string[] {
  const lines = Object.entries(plan)
    .filter(([, value]) => !isEmpty(value))
    .flatMap(([name, value]) => {
      // Sentences get a line each.
      const isText =
        Array.isArray(value) && value.every((item) => typeof item === "string" && item.includes(" "));
      const parts: unknown[] = isText ? value : [value];
      return parts.map((part, index) => `  ${(index === 0 ? words(name) : "").padEnd(14)} ${shown(part)}`);
    });
  return lines.length === 0 ? [] : ["Plan:", ...lines];
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return value.map(shown).join("; ");
  if (typeof value !== "object" || value === null) return String(value);
  return Object.entries(value)
    .filter(([, inner]) => !isEmpty(inner))
    .map(([name, inner]) => `${words(name)} ${shown(inner)}`)
    .join(", ");
}

function isEmpty(value: unknown): boolean {
  return (
    value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0)
  );
}

function words(name: string): string {
  return name
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .replaceAll("_", " ")
    .toLowerCase();
}

/** `1 sample`, `2 samples`. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** `1.5 GB`; decimal units, as disks are sold. */
export function formatBytes(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** power;
  return `${value.toFixed(power === 0 || value >= 100 ? 0 : 1)} ${units[power]}`;
}

/** `0.42 s`, `12.3 s`, `350 ms`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 0.1) return `${Math.round(seconds * 1000)} ms`;
  return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
}

/** `45 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
}
