/**
 * Data-parallel training: several processes train one model, each on its own batch, and all apply the same step.
 *
 * Idea: with matrices as small as ours, two processes with one thread each are nearly twice as fast as one process with two
 * threads (LOG.md). Every rank writes its gradients to a file, waits for the others, and applies the mean, summed in the same
 * order in every rank. Weights therefore stay bit-identical and are never exchanged. Rank 0 starts the others, writes the
 * checkpoint and the log, and decides when to stop.
 */
import { type ChildProcess, fork } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { noGrad, scope, type Tensor, tensor } from "@ltx-trainer/torch";

/** Tells a started process which rank it is, and where the gradients lie. */
const variable = "LTX_NANO_RANK";
/** Memory, where there is such a folder and nobody says otherwise: the files live for one step. */
const sharedMemory = "/dev/shm";

/** A rank has come to a step; rank 0's word to go on, and whether it is the last step. */
type Message = { readonly step: number; readonly isLast: boolean };

export class Ranks {
  readonly rank: number;
  readonly count: number;
  readonly #folder: string;
  readonly #children: readonly ChildProcess[];
  readonly #inboxes: readonly Inbox[];

  private constructor(rank: number, count: number, folder: string, children: readonly ChildProcess[]) {
    this.rank = rank;
    this.count = count;
    this.#folder = folder;
    this.#children = children;
    this.#inboxes = rank === 0 ? children.map((child) => new Inbox(child)) : [new Inbox(process)];
  }

  /** In rank 0 starts the other ranks: this same program, with the same arguments. */
  static open(count: number): Ranks {
    const own = process.env[variable];
    if (own !== undefined) {
      const [rank = "", folder = ""] = own.split(":");
      // The terminal's Ctrl-C reaches every process; only rank 0 decides.
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => {});
      process.once("disconnect", rankZeroIsGone);
      return new Ranks(Number(rank), count, folder, []);
    }
    const folder = mkdtempSync(join(temporaryFolder(), "ltx-nano-"));
    process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
    const [program = "", ...args] = process.argv.slice(1);
    const children = Array.from({ length: count - 1 }, (_, index) => {
      const child = fork(program, args, { env: { ...process.env, [variable]: `${index + 1}:${folder}` } });
      child.on("exit", (code) => {
        if (code !== 0) throw new Error(`rank ${index + 1} exited with ${code}`);
      });
      return child;
    });
    return new Ranks(0, count, folder, children);
  }

  get isFirst(): boolean {
    return this.rank === 0;
  }

  /**
   * Every gradient becomes the mean of the ranks' gradients.
   *
   * @param isLast whether to stop after this step; rank 0 decides
   * @returns rank 0's decision, in every rank
   */
  async average(parameters: ReadonlyMap<string, Tensor>, step: number, isLast: boolean): Promise<boolean> {
    if (this.count === 1) return isLast;
    this.#write(parameters, step);
    const decided = await this.meet(step, isLast);
    this.#readMean(parameters, step);
    return decided;
  }

  /** Returns, in every rank, when all ranks have come to this step. */
  async meet(step: number, isLast = false): Promise<boolean> {
    if (this.isFirst) {
      await Promise.all(this.#inboxes.map((inbox) => inbox.until(step)));
      for (const child of this.#children) child.send({ step, isLast } satisfies Message);
      return isLast;
    }
    process.send?.({ step, isLast } satisfies Message);
    return (await this.#inboxes[0]!.until(step)).isLast;
  }

  /** Ends a rank other than 0 in good order. */
  leave(): void {
    process.off("disconnect", rankZeroIsGone);
    process.disconnect();
  }

  /** Two files a rank, in turn: while one is read the next step may be written. */
  #file(rank: number, step: number): string {
    return join(this.#folder, `${rank}-${step % 2}`);
  }

  #write(parameters: ReadonlyMap<string, Tensor>, step: number): void {
    const file = openSync(this.#file(this.rank, step), "w");
    for (const parameter of parameters.values()) scope(() => void writeSync(file, parameter.grad!.toBytes()));
    closeSync(file);
  }

  #readMean(parameters: ReadonlyMap<string, Tensor>, step: number): void {
    const files = Array.from({ length: this.count }, (_, rank) => readFileSync(this.#file(rank, step)));
    let offset = 0;
    noGrad(() => {
      for (const parameter of parameters.values()) {
        const { numel, shape } = parameter;
        scope(() => {
          const parts = files.map(({ buffer, byteOffset }) =>
            tensor(new Float32Array(buffer, byteOffset + offset, numel)).reshape(shape),
          );
          const [first, ...others] = parts;
          parameter.grad!.copy_(others.reduce((sum, part) => sum.add(part), first!).div(this.count));
        });
        offset += 4 * numel;
      }
    });
  }
}

function temporaryFolder(): string {
  return process.env.TMPDIR === undefined && existsSync(sharedMemory) ? sharedMemory : tmpdir();
}

function rankZeroIsGone(): void {
  process.exit(1);
}

/** Keeps the last message, because it may come before it is waited for. */
class Inbox {
  #last: Message | undefined;
  #wake = (): void => {};

  constructor(from: ChildProcess | NodeJS.Process) {
    from.on("message", (message: Message) => {
      this.#last = message;
      this.#wake();
    });
  }

  async until(step: number): Promise<Message> {
    while (this.#last?.step !== step) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.#last;
  }
}
