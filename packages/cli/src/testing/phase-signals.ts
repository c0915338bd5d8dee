/** A real training as a command, signalled in a named phase, and what a resumed one makes of it. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeTinyBase } from "./tiny-base.ts";

const command = fileURLToPath(new URL("../../bin/ltx-trainer.js", import.meta.url));

/** What stderr says when a phase has begun, in the order of a training. */
export const phases = {
  "reading the dataset": /^Reading the dataset/m,
  "encoding clips": /^Encoding clips/m,
  "encoding captions": /^Encoding captions/m,
  training: /\] [1-9]\d*\/\d+ {2}loss/,
  "writing a checkpoint": /^checkpoint after [1-9]/m,
  sampling: /^Sampling with the LoRA/m,
  "decoding videos": /^Decoding videos/m,
} as const;
export type PhaseName = keyof typeof phases;

export const signals = {
  SIGINT: ["SIGINT"],
  SIGTERM: ["SIGTERM"],
  SIGKILL: ["SIGKILL"],
  "SIGINT twice": ["SIGINT", "SIGINT"],
} as const satisfies Readonly<Record<string, readonly NodeJS.Signals[]>>;
export type SignalName = keyof typeof signals;

export type Ended = {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
};

export class SignalledTrainings {
  readonly #root = mkdtempSync(join(tmpdir(), "ltx-signals-"));

  constructor() {
    makeTinyBase(join(this.#root, "base"));
    mkdirSync(join(this.#root, "data"));
    for (const pattern of ["testsrc2", "mandelbrot"]) {
      const source = ["-f", "lavfi", "-i", `${pattern}=s=96x64:r=25`, "-t", "0.8", "-pix_fmt", "yuv420p"];
      execFileSync("ffmpeg", ["-v", "error", ...source, join(this.#root, "data", `${pattern}.mp4`)]);
    }
  }

  end(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }

  /** A training that nobody disturbs. */
  undisturbed(out: string): Promise<Ended> {
    return this.#start(out).ended;
  }

  /** The same one with `--resume`, or from the start where nothing had been begun. */
  goOn(out: string): Promise<Ended> {
    const isBegun = existsSync(join(this.#root, out, "plan.json"));
    return this.#start(out, isBegun ? ["--resume"] : []).ended;
  }

  /** Signals a training as soon as a phase has begun. */
  async signalled(out: string, phase: PhaseName, signal: SignalName): Promise<Ended> {
    const { child, ended } = this.#start(out);
    let said = "";
    await new Promise<void>((resolve) => {
      child.stderr?.on("data", (piece) => {
        said += piece;
        if (phases[phase].test(said)) resolve();
      });
      child.once("close", () => resolve());
    });
    for (const name of signals[signal]) child.kill(name);
    return ended;
  }

  lora(out: string): Buffer {
    return readFileSync(join(this.#root, out, "lora.safetensors"));
  }

  checkpoints(out: string): string[] {
    const folder = join(this.#root, out, "checkpoints");
    return existsSync(folder) ? readdirSync(folder).filter((name) => /^step-\d+$/.test(name)) : [];
  }

  #start(out: string, extra: readonly string[] = []): { child: ChildProcess; ended: Promise<Ended> } {
    const options = [
      ...["--base", join(this.#root, "base"), "--rank", "4", "--number-of-frames", "9"],
      ...["--validation-number-of-frames", "9", "--number-of-steps", "12", "--checkpoint-interval", "3"],
      ...["--threads", "1", "--out", join(this.#root, out), "--home", join(this.#root, `home-${out}`)],
    ];
    const child = spawn(process.execPath, [
      command,
      "train",
      join(this.#root, "data"),
      ...options,
      ...extra,
      "--json",
    ]);
    let stderr = "";
    child.stdout.resume();
    child.stderr.on("data", (piece) => {
      stderr += piece;
    });
    const ended = new Promise<Ended>((resolve) => {
      child.once("close", (code, signal) => resolve({ code, signal, stderr }));
    });
    return { child, ended };
  }
}
