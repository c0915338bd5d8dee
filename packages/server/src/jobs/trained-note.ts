/** Remembers what was trained, in the request's folder and its row, so that no end of this process loses it. */
import type { AppError } from "@ltx-trainer/contract";
import type { Logger } from "pino";
import type { ClaimedRequest } from "../db/requests/leases.ts";
import { noteTrained } from "../db/requests/transitions.ts";
import type { Endpoint } from "../endpoints/endpoint.ts";
import type { Outputs, RequestFolder } from "./confine/request-folder.ts";
import type { RunContext, Stop } from "./work-on-request.ts";

const stoppedWords = "The server was stopped before the video was made.";

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
   * Writes it down; one write after the other. Never throws: with a full disk or without a database the outputs are still
   * known here.
   *
   * @param state `unfinished`: the trainer still makes the video; who reads this note finds that it never did
   */
  write(outputs: Outputs, state: "unfinished" | "finished" = "finished"): Promise<void> {
    this.#latest = outputs;
    const noted =
      state === "unfinished" ? (this.#endpoint.endEarly(outputs, stoppedWords) as Outputs) : outputs;
    this.#written = this.#written.then(() => this.#store(noted));
    return this.#written;
  }

  /** What is published of a training that ended between its LoRA and its video. */
  async endedEarly(error: AppError, stop: Stop | undefined): Promise<Outputs> {
    const reason = stop === "drain" ? stoppedWords : wordsFor(error);
    const outputs = this.#endpoint.endEarly(this.#latest, reason) as Outputs;
    await this.write(outputs);
    return outputs;
  }

  async #store(outputs: Outputs): Promise<void> {
    const { db, homeId } = this.#context;
    try {
      await this.#folder.writeTrained(outputs);
    } catch (error) {
      this.#log.warn({ err: error }, "trained: not noted in the request's folder");
    }
    try {
      await noteTrained(db, this.#request, { outputs: JSON.stringify(outputs), home: homeId });
    } catch (error) {
      this.#log.warn({ err: error }, "trained: not noted in the database");
    }
  }
}

/** For the client: a message of the trainer may name folders of this machine. */
function wordsFor({ code }: AppError): string {
  if (code === "out_of_memory") return "Out of memory while the video was made.";
  if (code === "interrupted") return stoppedWords;
  return `The video could not be made (${code}).`;
}
