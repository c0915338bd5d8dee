/**
 * Runs one claimed request: starts its command and moves the request to the state that follows from the command's end.
 *
 * After the `trained` event the request cannot fail because of the command: its outputs are published in any case. Every other
 * end goes through `#endAfter`, which makes exactly one transition.
 */
import { constants, setPriority } from "node:os";
import { dirname, join } from "node:path";
import { type AppError, interrupted, type JobEvent, toAppError } from "@ltx-trainer/contract";
import { startTrainer, type TrainerProcess } from "@ltx-trainer/host";
import type { Logger } from "pino";
import type { ClaimedRequest } from "../db/requests/leases.ts";
import {
  confirmCancel,
  fail,
  forgiveLosses,
  loseLease,
  release,
  setBack,
} from "../db/requests/transitions.ts";
import type { Endpoint } from "../endpoints/endpoint.ts";
import { failureOf } from "../endpoints/failures.ts";
import { liveTrainers } from "./confine/leftovers.ts";
import { type Outputs, RequestFolder } from "./confine/request-folder.ts";
import type { DeviceGuard } from "./device/device-guard.ts";
import { pauseAfter, setbacksAllowed, verdictOf } from "./device/verdict.ts";
import { EventWriter } from "./event-writer.ts";
import { makeJob } from "./request-job.ts";
import { TrainedNote } from "./trained-note.ts";
import type { RunContext, Stop, WorkOnRequest } from "./work-on-request.ts";

/** Time for a cancelled trainer to exit before it is killed. Nothing that it could still write is needed. */
const cancelGraceMs = 1_500;

export type DeviceContext = RunContext & {
  readonly device: string;
  readonly guard: DeviceGuard;
  /** Called with the trainer, which must not outlive the lease. */
  readonly onProcess: (pid: number) => void;
};

export class RunningRequest implements WorkOnRequest {
  readonly request: ClaimedRequest;
  readonly #context: DeviceContext;
  readonly #endpoint: Endpoint;
  readonly #log: Logger;
  readonly #folder: RequestFolder;
  readonly #writer: EventWriter;
  readonly #trained: TrainedNote;
  #trainer: TrainerProcess | undefined;
  #stop: Stop | undefined;
  #hasStepped = false;
  #recording: Promise<void> = Promise.resolve();

  constructor(request: ClaimedRequest, context: DeviceContext) {
    this.request = request;
    this.#context = context;
    this.#endpoint = context.endpoints.get(request.endpoint);
    this.#log = context.log.child({ request: request.requestId });
    this.#folder = new RequestFolder(context.config.home, request.requestId);
    this.#writer = new EventWriter(context.db, request, this.#log, context.config.home);
    this.#trained = new TrainedNote(request, this.#folder, context, this.#log);
  }

  /**
   * Runs the command to its end. Throws only when the database stays unreachable.
   *
   * @returns the outputs to publish, with the lease still held; undefined when the request has ended or was released
   */
  async run(): Promise<Outputs | undefined> {
    this.#log.info({ device: this.#context.device, attempt: this.request.attempts }, "training: started");
    try {
      // A server that was killed left the folder with its trainer as the owner.
      await this.#context.confinement.reclaimFolder(this.#folder);
      const earlier = await this.#folder.readTrained(this.#endpoint);
      const outputs = earlier ?? (await this.#train());
      // The commands of some endpoints report no steps.
      if (earlier === undefined) this.#context.guard.recordSuccess();
      await this.#writer.flush();
      await this.#trained.write(outputs);
      return outputs;
    } catch (error) {
      // The trainer may have died right after its `trained` event.
      await this.#recording;
      if (this.#stop !== "cancel" && this.#stop !== "lost" && this.#trained.outputs !== undefined) {
        // Checked when they were recorded, and missing or replaced since. Training again would end the same way.
        if (!(await this.#folder.holds(this.#trained.outputs, this.#endpoint))) {
          await this.#fail(toAppError(error));
          return undefined;
        }
        this.#log.error(
          { err: error },
          "training: failed after the LoRA was written, publishing without a video",
        );
        await this.#writer.flush();
        return this.#trained.endedEarly(toAppError(error), this.#stop);
      }
      await this.#endAfter(toAppError(error));
      return undefined;
    }
  }

  cancel(): void {
    if (this.#stop !== undefined) return;
    this.#stopTrainer("cancel", cancelGraceMs);
  }

  drain(): void {
    if (this.#stop !== undefined) return;
    this.#stopTrainer("drain", this.#context.config.drainSeconds * 1000);
  }

  abandon(): void {
    this.#stop = "lost";
    this.#trainer?.kill();
  }

  #stopTrainer(reason: Stop, graceMs: number): void {
    this.#stop = reason;
    const trainer = this.#trainer;
    if (trainer === undefined) return;
    trainer.stop();
    const timer = setTimeout(() => trainer.kill(), graceMs);
    trainer.outputs.catch(() => {}).finally(() => clearTimeout(timer));
  }

  async #train(): Promise<Outputs> {
    const { db, store, signer, config, device, confinement } = this.#context;
    const request = this.request;
    const folder = this.#folder;
    await folder.make();
    const publicUrls = [request.publicUrl, config.publicUrl];
    const job = await makeJob(JSON.parse(request.input), {
      endpoint: this.#endpoint,
      folder,
      device,
      config,
      attempts: request.attempts,
      inputFiles: { db, store, signer, publicUrls, userId: request.userId, folder: folder.inputs },
      confinement,
    });
    await confinement.allowTraversal(dirname(folder.path));
    for (const path of [folder.path, join(config.home, "cache")]) await confinement.grantFolder(path);
    if (this.#stop !== undefined) throw interrupted({ message: "stopped before it started" });
    this.#trainer = startTrainer({
      command: this.#endpoint.command,
      program: this.#endpoint.program,
      job,
      jobFile: folder.jobFile,
      env: confinement.environment(config.trainerEnvironment, folder.path),
      confinement,
      onEvent: (event) => this.#onEvent(event),
      // For the operator only: these lines may hold stacks and paths.
      onNoise: noiseLog(this.#log),
    });
    const { pid } = this.#trainer;
    if (pid !== undefined) {
      liveTrainers.add(pid);
      lowerPriority(pid);
      this.#context.onProcess(pid);
    }
    // Checked after the reclaim: nothing is left then that could replace the files.
    const outputs = await this.#trainer.outputs.finally(() => confinement.reclaimFolder(folder, pid));
    return folder.checkOutputs(outputs, this.#endpoint);
  }

  #onEvent(event: JobEvent): void {
    this.#writer.add(event);
    if (event.type === "trained") this.#recording = this.#recordTrained(event.outputs);
    if (event.type === "progress") {
      this.#hasStepped = true;
      this.#context.guard.recordSuccess();
    }
    if (event.type !== "checkpoint") return;
    forgiveLosses(this.#context.db, this.request).catch((error: unknown) =>
      this.#log.warn({ err: error }, "checkpoint: not recorded"),
    );
  }

  async #recordTrained(outputs: unknown): Promise<void> {
    try {
      await this.#trained.write(await this.#folder.checkOutputs(outputs, this.#endpoint), "unfinished");
    } catch (error) {
      this.#log.error({ err: error }, "training: trained outputs not recorded");
    }
  }

  async #endAfter(error: AppError): Promise<void> {
    const { db } = this.#context;
    const request = this.request;
    if (this.#stop === "lost") return this.#log.warn("training: abandoned, lease lost");
    if (this.#stop === "cancel") this.#writer.log("INFO", "Cancelled");
    await this.#writer.flush();
    if (this.#stop === "cancel") {
      await confirmCancel(db, request);
      await this.#folder.remove();
      return this.#log.info("training: cancelled");
    }
    // Also when another program stopped the trainer: systemd signals every process of a service.
    if (this.#stop === "drain" || error.code === "interrupted") {
      const became = await release(db, request);
      return this.#log.info({ became }, "training: requeued");
    }
    return this.#retryOrFail(error);
  }

  async #retryOrFail(error: AppError): Promise<void> {
    const { guard } = this.#context;
    const verdict = verdictOf(error, { failures: this.#endpoint.failures, hasStepped: this.#hasStepped });
    if (verdict === "lost") return this.#requeueOnce(error);
    // A size that does not fit is the fault of the request. A device on which nothing fits is not.
    const isSuspicious = verdict === "setback" || (error.code === "out_of_memory" && !this.#hasStepped);
    const isFit = !isSuspicious || (await guard.examine(this.request.requestId, error));
    const { setbacks } = this.request;
    if (verdict === "fail" ? isFit : isFit && setbacks + 1 >= setbacksAllowed) return this.#fail(error);
    return this.#setBack(error, isFit);
  }

  async #requeueOnce(error: AppError): Promise<void> {
    const became = await loseLease(this.#context.db, this.request);
    if (became === "failed") await this.#folder.removeIntermediates();
    this.#log.error({ err: error, became }, "trainer: died");
  }

  async #fail(error: AppError): Promise<void> {
    const request = this.request;
    await fail(
      this.#context.db,
      request,
      failureOf(this.#endpoint.failures, error, JSON.parse(request.input)),
    );
    await this.#folder.removeIntermediates();
    const level = error.kind === "input" ? "info" : "error";
    this.#log[level](
      { code: error.code, reason: error.message, ...(error.cause === undefined ? {} : { err: error.cause }) },
      "training: failed",
    );
  }

  /** @param counts false when the server is known to be at fault */
  async #setBack(error: AppError, counts: boolean): Promise<void> {
    const { db, config } = this.#context;
    const pauseSeconds = pauseAfter(counts ? this.request.setbacks : 0, config.retrySeconds);
    const seconds = Math.max(1, Math.round(pauseSeconds));
    this.#writer.log(
      "WARN",
      `The server could not go on (${error.code}). Trying again in ${seconds} s or more`,
    );
    await this.#writer.flush();
    const became = await setBack(db, this.request, { pauseSeconds, counts });
    this.#log.warn(
      { err: error.cause ?? error, became, pauseSeconds, counts },
      "training: set back, will retry",
    );
  }
}

/** Lines of one trainer that are logged. Its last lines are also part of the error when it dies. */
const mostNoise = 1_000;

function noiseLog(log: Logger): (line: string, stream: string) => void {
  let count = 0;
  return (line, stream) => {
    if (++count < mostNoise) log.warn({ stream, line }, "trainer: output");
    if (count === mostNoise) log.warn({ stream }, "trainer: further output dropped");
  };
}

/**
 * A training uses every core for hours. A lower priority costs it almost nothing and keeps the server responsive. Set before
 * the trainer starts its threads, which inherit it.
 */
function lowerPriority(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has exited already. Its outputs reject with the reason.
  }
}
