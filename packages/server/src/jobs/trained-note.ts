/** Records trained outputs in the request's folder and in its row, so that they survive any end of this process. */
import type { AppError } from "@ltx-trainer/contract";
import type { Logger } from "pino";
import type { ClaimedRequest } from "../db/requests/leases.ts";
import { noteTrained } from "../db/requests/transitions.ts";
import type { Endpoint } from "../endpoints/endpoint.ts";
import type { Outputs, RequestFolder } from "./confine/request-folder.ts";
import type { RunContext, Stop } from "./work-on-request.ts";

const stoppedReason = "The server was stopped before the video was made.";

export class TrainedNote {
  readonly #request: ClaimedRequest;
  readonly #folder: RequestFolder;
  readonly #context: RunContext;
  readonly #endpoint: Endpoint;
  readonly #log: Logger;
  #written: Promise<void> = Promise.resolve();
  #latest: Outputs | undefined;

  constructor(request: ClaimedRequest, folder: RequestFolder, context: RunContext, log: Logger) {
    this.#request = request;
    this.#folder = folder;
    this.#context = context;
    this.#endpoint = context.endpoints.get(request.endpoint);
    this.#log = log;
  }

  /** Undefined until the LoRA is written. */
  get outputs(): Outputs | undefined {
    return this.#latest;
  }

  /**
   * Records the outputs, one write after the other. Never throws: if disk or database fail, `outputs` still holds them.
   *
   * @param state `unfinished`: the video is not made yet. The record says that it was never made, for a reader after a crash.
   */
  write(outputs: Outputs, state: "unfinished" | "finished" = "finished"): Promise<void> {
    this.#latest = outputs;
    const recorded =
      state === "unfinished" ? (this.#endpoint.endEarly(outputs, stoppedReason) as Outputs) : outputs;
    this.#written = this.#written.then(() => this.#store(recorded));
    return this.#written;
  }

  /** Records and returns the outputs to publish of a training that ended after the LoRA and before the video. */
  async endedEarly(error: AppError, stop: Stop | undefined): Promise<Outputs> {
    const reason = stop === "drain" ? stoppedReason : reasonFor(error);
    const outputs = this.#endpoint.endEarly(this.#latest, reason) as Outputs;
    await this.write(outputs);
    return outputs;
  }

  async #store(outputs: Outputs): Promise<void> {
    const { db, homeId } = this.#context;
    try {
      await this.#folder.writeTrained(outputs);
    } catch (error) {
      this.#log.warn({ err: error }, "trained outputs: not recorded in the request folder");
    }
    try {
      await noteTrained(db, this.#request, { outputs: JSON.stringify(outputs), home: homeId });
    } catch (error) {
      this.#log.warn({ err: error }, "trained outputs: not recorded in the database");
    }
  }
}

/** For the client. Does not quote the trainer, whose message may name folders of this machine. */
function reasonFor({ code }: AppError): string {
  if (code === "out_of_memory") return "Out of memory while the video was made.";
  if (code === "interrupted") return stoppedReason;
  return `The video could not be made (${code}).`;
}
