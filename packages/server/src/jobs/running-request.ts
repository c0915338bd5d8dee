/**
 * One request being worked on: its trainer, and what its end makes of the request.
 *
 * Every way out goes through one place, `settle`, and there through one transition.
 */
import { constants, setPriority } from "node:os";
import { AppError, type JobEvent, TrainOutputs, toAppError, trainingFailure } from "@ltx-trainer/contract";
import { startTrainer, type TrainerProcess } from "@ltx-trainer/launcher";
import type { Logger } from "pino";
import type { Config } from "../config.ts";
import type { Database } from "../db/database.ts";
import {
  type ClaimedRequest,
  confirmCancel,
  fail,
  forgiveLosses,
  loseLease,
  release,
  succeed,
} from "../db/transitions.ts";
import type { FileStore } from "../storage/file-store.ts";
import type { Signer } from "../storage/signer.ts";
import { EventWriter } from "./event-writer.ts";
import { publishOutputs } from "./publish.ts";
import { RequestFolder } from "./request-folder.ts";
import { trainingJob } from "./training-job.ts";

export type RunContext = {
  readonly db: Database;
  readonly store: FileStore;
  readonly signer: Signer;
  readonly config: Config;
  readonly log: Logger;
};

/** Time for a cancelled trainer to end by itself; nothing it could still write is wanted. */
const cancelGraceMs = 1_500;

/** Why it was told to stop. `lost`: the request is not ours any more. */
type Stop = "cancel" | "drain" | "lost";

export class RunningRequest {
  readonly request: ClaimedRequest;
  private readonly context: RunContext;
  private readonly log: Logger;
  private readonly folder: RequestFolder;
  private readonly writer: EventWriter;
  private readonly device: string;
  private trainer: TrainerProcess | undefined;
  private stop: Stop | undefined;

  constructor(request: ClaimedRequest, device: string, context: RunContext) {
    this.request = request;
    this.device = device;
    this.context = context;
    this.log = context.log.child({ request: request.requestId });
    this.folder = new RequestFolder(context.config.home, request.requestId);
    this.writer = new EventWriter(context.db, request, this.log);
  }

  /** Works until the request has its end or is somebody else's. Throws only when the database stays away. */
  async run(): Promise<void> {
    this.log.info({ device: this.device, attempt: this.request.attempts }, "training starts");
    try {
      const outputs = await this.train();
      await this.writer.flush();
      const success = await publishOutputs(outputs, this.request, this.context);
      const isOurs = await succeed(this.context.db, this.request, success);
      if (!isOurs) for (const file of success.files) await this.context.store.remove(file.id);
      this.log.info({ steps: outputs.steps, isOurs }, "training succeeded");
      await this.folder.removeIntermediates();
    } catch (error) {
      await this.settle(toAppError(error));
    }
  }

  /** Its cancellation was asked for. */
  cancel(): void {
    if (this.stop !== undefined) return;
    this.stopTrainer("cancel", cancelGraceMs);
  }

  /** The server is going away: write a checkpoint and let go. */
  drain(): void {
    if (this.stop !== undefined) return;
    this.stopTrainer("drain", this.context.config.drainSeconds * 1000);
  }

  /** Somebody else may be working on it by now. */
  abandon(): void {
    this.stop = "lost";
    this.trainer?.kill();
  }

  private stopTrainer(reason: Stop, graceMs: number): void {
    this.stop = reason;
    const { trainer } = this;
    if (trainer === undefined) return;
    trainer.stop();
    const timer = setTimeout(() => trainer.kill(), graceMs);
    trainer.outputs.catch(() => {}).finally(() => clearTimeout(timer));
  }

  private async train(): Promise<TrainOutputs> {
    const { db, store, signer, config } = this.context;
    const { request, folder, device } = this;
    await folder.make();
    const publicUrls = [request.publicUrl, config.publicUrl];
    const job = await trainingJob(JSON.parse(request.input), {
      folder,
      device,
      config,
      attempts: request.attempts,
      inputFiles: { db, store, signer, publicUrls, userId: request.userId, folder: folder.inputs },
    });
    if (this.stop !== undefined) throw stoppedEarly();
    this.trainer = startTrainer({
      command: "train",
      job,
      jobFile: folder.jobFile,
      env: config.trainerEnvironment,
      onEvent: (event) => this.hear(event),
      onNoise: (line, stream) => this.writer.say(stream === "stderr" ? "STDERR" : "STDOUT", line),
    });
    giveWay(this.trainer.pid);
    return TrainOutputs.parse(await this.trainer.outputs);
  }

  private hear(event: JobEvent): void {
    this.writer.event(event);
    if (event.type !== "checkpoint") return;
    forgiveLosses(this.context.db, this.request).catch((error: unknown) =>
      this.log.warn({ err: error }, "a checkpoint was not noted"),
    );
  }

  private async settle(error: AppError): Promise<void> {
    const { db } = this.context;
    const { request } = this;
    if (error.kind === "internal")
      this.log.error({ err: error.cause ?? error }, "training failed by a fault of ours");
    if (this.stop === "lost") return this.log.warn("training abandoned: the lease is gone");
    if (this.stop === "cancel") {
      this.writer.say("INFO", "Cancelled");
      await this.writer.flush();
      await confirmCancel(db, request);
      await this.folder.remove();
      return this.log.info("training cancelled");
    }
    await this.writer.flush();
    if (this.stop === "drain") {
      await release(db, request);
      return this.log.info("training returned to the queue");
    }
    if (error.code === "trainer_died" || error.code === "interrupted") {
      const became = await loseLease(db, request);
      return this.log.error({ err: error, became }, "the trainer died");
    }
    await fail(db, request, trainingFailure(error, JSON.parse(request.input)));
    await this.folder.removeIntermediates();
    this.log.info({ code: error.code, reason: error.message }, "training failed");
  }
}

function stoppedEarly(): AppError {
  return new AppError({ code: "interrupted", message: "stopped before it began", retryable: true });
}

/**
 * A training takes every core for hours. At a lower priority it loses next to nothing, and the server beside it answers at
 * once. Set before the trainer makes its threads, which inherit it.
 */
function giveWay(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has ended already; its outputs say why.
  }
}
