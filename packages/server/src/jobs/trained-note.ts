/** Remembers what was trained, in the request's folder and its row, so that no end of this process loses it. */
import type { AppError, TrainOutputs } from "@ltx-trainer/contract";
import type { Logger } from "pino";
import type { ClaimedRequest } from "../db/requests/leases.ts";
import { noteTrained } from "../db/requests/transitions.ts";
import type { RequestFolder } from "./confine/request-folder.ts";
import type { RunContext, Stop } from "./work-on-request.ts";

const stoppedWords = "The server was stopped before the video was made.";

export class TrainedNote {
  readonly #request: ClaimedRequest;
  readonly #folder: RequestFolder;
  readonly #context: RunContext;
  readonly #log: Logger;
  #written: Promise<void> = Promise.resolve();
  #latest: TrainOutputs | undefined;

  constructor(request: ClaimedRequest, folder: RequestFolder, context: RunContext, log: Logger) {
    this.#request = request;
    this.#folder = folder;
    this.#context = context;
    this.#log = log;
  }

  /** Undefined until the LoRA is written. */
  get outputs(): TrainOutputs | undefined {
    return this.#latest;
  }

  /**
   * Writes it down; one write after the other. Never throws: with a full disk or without a database the outputs are still
   * known here.
   *
   * @param state `unfinished`: the trainer still makes the video; who reads this note finds that it never did
   */
  write(outputs: TrainOutputs, state: "unfinished" | "finished" = "finished"): Promise<void> {
    this.#latest = outputs;
    const noted = state === "unfinished" ? withoutVideo(outputs, stoppedWords) : outputs;
    this.#written = this.#written.then(() => this.#store(noted));
    return this.#written;
  }

  /** What is published of a training that ended between its LoRA and its video. */
  async endedEarly(error: AppError, stop: Stop | undefined): Promise<TrainOutputs> {
    const outputs = withoutVideo(
      this.#latest as TrainOutputs,
      stop === "drain" ? stoppedWords : wordsFor(error),
    );
    await this.write(outputs);
    return outputs;
  }

  async #store(outputs: TrainOutputs): Promise<void> {
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

function withoutVideo(outputs: TrainOutputs, reason: string): TrainOutputs {
  return { ...outputs, video: null, contact_sheet: null, video_error: reason };
}

/** For the client: a message of the trainer may name folders of this machine. */
function wordsFor({ code }: AppError): string {
  if (code === "out_of_memory") return "Out of memory while the video was made.";
  if (code === "interrupted") return stoppedWords;
  return `The video could not be made (${code}).`;
}
