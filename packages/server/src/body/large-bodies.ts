/**
 * Bodies above 1 MiB, which only submissions with data URIs may have. Each goes in chunks to its own thread, which parses it
 * and decodes the files. The event loop handles small chunks only.
 *
 * At most four at a time, because each is held in memory with its files. More are refused with 503.
 */
import { Worker } from "node:worker_threads";
import type { Logger } from "pino";
import { WireError } from "../wire/wire-error.ts";
import type { JsonBody, JsonLimits } from "./read-json.ts";
import { BodyRefusal } from "./scan-json.ts";
import type { FromWorker, ToWorker } from "./worker.ts";

/** Compiled, even when the rest runs from source: a worker thread cannot load TypeScript. */
const program = new URL("../../dist/body/worker.js", import.meta.url);

export type LargeBodyLimits = {
  /** Bodies at the same time. */
  readonly most: number;
  /** From the last byte to the result, in milliseconds. */
  readonly timeMs: number;
};

const defaults: LargeBodyLimits = { most: 4, timeMs: 60_000 };

/** Heap limits of the thread. The body itself is outside the heap. */
const memory = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 16 };

export class LargeBodies {
  readonly #log: Pick<Logger, "error">;
  readonly #limits: LargeBodyLimits;
  readonly #open = new Set<LargeBody>();

  constructor(log: Pick<Logger, "error">, limits = defaults) {
    this.#log = log;
    this.#limits = limits;
  }

  /**
   * Reserves a place for a body.
   *
   * @param userId a user gets at most half of the places
   * @throws WireError 503 when the user's share or all places are taken
   */
  begin(lengthBytes: number, userId: string): LargeBody {
    const { most } = this.#limits;
    const own = [...this.#open].filter((body) => body.userId === userId).length;
    if (this.#open.size >= most || own >= Math.ceil(most / 2)) {
      throw retryLater(
        "Too many large requests are being read already; send it again, or upload the file first",
      );
    }
    const body: LargeBody = new LargeBody({
      lengthBytes,
      userId,
      timeMs: this.#limits.timeMs,
      log: this.#log,
      onRelease: () => this.#open.delete(body),
    });
    this.#open.add(body);
    return body;
  }

  close(): void {
    for (const body of this.#open) body.release();
  }
}

type Options = {
  readonly lengthBytes: number;
  readonly userId: string;
  readonly timeMs: number;
  readonly log: Pick<Logger, "error">;
  readonly onRelease: () => void;
};

/** One body, from its first chunk until its files are stored. */
export class LargeBody {
  readonly #options: Options;
  readonly #worker: Worker;
  readonly #result: Promise<FromWorker>;

  constructor(options: Options) {
    this.#options = options;
    this.#worker = new Worker(program, { resourceLimits: memory, execArgv: [], env: {} });
    this.#result = new Promise((resolve, reject) => {
      this.#worker.once("message", resolve);
      this.#worker.once("error", reject);
      this.#worker.once("exit", () => reject(new Error("large body: the thread exited without a result")));
    });
    // A body that is released before its end leaves this unhandled.
    this.#result.catch(() => {});
    this.#send({ kind: "start", lengthBytes: options.lengthBytes });
  }

  get userId(): string {
    return this.#options.userId;
  }

  write(piece: Uint8Array): void {
    // A copy: the caller reuses its buffer.
    const bytes = new Uint8Array(piece);
    this.#send({ kind: "piece", bytes }, [bytes.buffer]);
  }

  /** Returns the parsed body. @throws BodyRefusal; WireError 503 when the thread fails or takes too long */
  async end(limits: JsonLimits): Promise<JsonBody> {
    this.#send({ kind: "end", limits });
    const timer = setTimeout(() => void this.#worker.terminate(), this.#options.timeMs);
    try {
      const answer = await this.#result;
      if (answer.kind === "refused") throw new BodyRefusal(answer.status, answer.reason);
      const { text, files } = answer.body;
      return { text, value: text === "" ? undefined : JSON.parse(text), files };
    } catch (error) {
      if (error instanceof BodyRefusal) throw error;
      this.#options.log.error({ err: error }, "large body: thread failed");
      throw retryLater("The body could not be read; try again");
    } finally {
      clearTimeout(timer);
      void this.#worker.terminate();
    }
  }

  /** Frees the place. */
  release(): void {
    void this.#worker.terminate();
    this.#options.onRelease();
  }

  #send(message: ToWorker, transferred: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transferred);
  }
}

export function retryLater(detail: string): WireError {
  return new WireError(503, { detail }, { "retry-after": "5" });
}
