/**
 * One request being trained: its trainer, and what its end makes of the request.
 *
 * From the moment that the LoRA is written the training counts as won: whatever happens then, the outputs go on to be
 * published. Every other way out goes through one place, `settle`, and there through one transition.
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

/** Time for a cancelled trainer to end by itself; nothing it could still write is wanted. */
const cancelGraceMs = 1_500;

export type DeviceContext = RunContext & {
  readonly device: string;
  readonly guard: DeviceGuard;
  /** Told of the trainer, which must not outlive the lease. */
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
  #noting: Promise<void> = Promise.resolve();

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
   * Works until the training is over. Throws only when the database stays away.
   *
   * @returns what is to be published, still under the lease; undefined when the request has its end or was let go
   */
  async run(): Promise<Outputs | undefined> {
    this.#log.info({ device: this.#context.device, attempt: this.request.attempts }, "training starts");
    try {
      // A server that was killed left it to its trainer.
      await this.#context.confinement.takeFolder(this.#folder);
      const earlier = await this.#folder.readTrained(this.#endpoint);
      const outputs = earlier ?? (await this.#train());
      // The commands of some endpoints report no steps.
      if (earlier === undefined) this.#context.guard.acquit();
      await this.#writer.flush();
      await this.#trained.write(outputs);
      return outputs;
    } catch (error) {
      // The trainer may have ended right after it said that the LoRA is written.
      await this.#noting;
      if (this.#stop !== "cancel" && this.#stop !== "lost" && this.#trained.outputs !== undefined) {
        // Noted while the trainer was at work, and gone or replaced since: training again would come to the same end.
        if (!(await this.#folder.holds(this.#trained.outputs, this.#endpoint))) {
          await this.#fail(toAppError(error));
          return undefined;
        }
        this.#log.error(
          { err: error },
          "training: ended after the LoRA was written, publishing without a video",
        );
        await this.#writer.flush();
        return this.#trained.endedEarly(toAppError(error), this.#stop);
      }
      await this.#settle(toAppError(error));
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
    await confinement.openWay(dirname(folder.path));
    for (const path of [folder.path, join(config.home, "cache")]) await confinement.giveFolder(path);
    if (this.#stop !== undefined) throw interrupted({ message: "stopped before it began" });
    this.#trainer = startTrainer({
      command: this.#endpoint.command,
      program: this.#endpoint.program,
      job,
      jobFile: folder.jobFile,
      env: confinement.environment(config.trainerEnvironment, folder.path),
      confinement,
      onEvent: (event) => this.#hear(event),
      // For the operator: stacks and paths are none of the client's business.
      onNoise: noiseLog(this.#log),
    });
    const { pid } = this.#trainer;
    if (pid !== undefined) {
      liveTrainers.add(pid);
      giveWay(pid);
      this.#context.onProcess(pid);
    }
    // Looked at when nothing is left that could exchange them.
    const said = await this.#trainer.outputs.finally(() => confinement.takeFolder(folder, pid));
    return folder.checkOutputs(said, this.#endpoint);
  }

  #hear(event: JobEvent): void {
    this.#writer.event(event);
    if (event.type === "trained") this.#noting = this.#noteTrained(event.outputs);
    if (event.type === "progress") {
      this.#hasStepped = true;
      this.#context.guard.acquit();
    }
    if (event.type !== "checkpoint") return;
    forgiveLosses(this.#context.db, this.request).catch((error: unknown) =>
      this.#log.warn({ err: error }, "a checkpoint was not noted"),
    );
  }

  async #noteTrained(outputs: unknown): Promise<void> {
    try {
      await this.#trained.write(await this.#folder.checkOutputs(outputs, this.#endpoint), "unfinished");
    } catch (error) {
      this.#log.error({ err: error }, "training: trained files not noted");
    }
  }

  async #settle(error: AppError): Promise<void> {
    const { db } = this.#context;
    const request = this.request;
    if (this.#stop === "lost") return this.#log.warn("training abandoned: the lease is gone");
    if (this.#stop === "cancel") this.#writer.say("INFO", "Cancelled");
    await this.#writer.flush();
    if (this.#stop === "cancel") {
      await confirmCancel(db, request);
      await this.#folder.remove();
      return this.#log.info("training cancelled");
    }
    // Also when somebody else stopped the trainer: systemd signals every process of a service.
    if (this.#stop === "drain" || error.code === "interrupted") {
      const became = await release(db, request);
      return this.#log.info({ became }, "training returned to the queue");
    }
    return this.#judge(error);
  }

  async #judge(error: AppError): Promise<void> {
    const { guard } = this.#context;
    const verdict = verdictOf(error, { failures: this.#endpoint.failures, hasStepped: this.#hasStepped });
    if (verdict === "lost") return this.#lose(error);
    // A size that does not fit is the request's own; a device on which nothing fits is not.
    const isSuspicious = verdict === "setback" || (error.code === "out_of_memory" && !this.#hasStepped);
    const isFit = !isSuspicious || (await guard.examine(this.request.requestId, error));
    const { setbacks } = this.request;
    if (verdict === "fail" ? isFit : isFit && setbacks + 1 >= setbacksAllowed) return this.#fail(error);
    return this.#setBack(error, isFit);
  }

  async #lose(error: AppError): Promise<void> {
    const became = await loseLease(this.#context.db, this.request);
    if (became === "failed") await this.#folder.removeIntermediates();
    this.#log.error({ err: error, became }, "the trainer died");
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
      "training failed",
    );
  }

  /** @param counts false when the server is known to be at fault */
  async #setBack(error: AppError, counts: boolean): Promise<void> {
    const { db, config } = this.#context;
    const pauseSeconds = pauseAfter(counts ? this.request.setbacks : 0, config.retrySeconds);
    const seconds = Math.max(1, Math.round(pauseSeconds));
    this.#writer.say(
      "WARN",
      `The server could not go on (${error.code}). Trying again in ${seconds} s or more`,
    );
    await this.#writer.flush();
    const became = await setBack(db, this.request, { pauseSeconds, counts });
    this.#log.warn({ err: error.cause ?? error, became, pauseSeconds, counts }, "training set back");
  }
}

/** Lines of a trainer that go into the server's log. Its last ones are told again when it dies. */
const mostNoise = 1_000;

function noiseLog(log: Logger): (line: string, stream: string) => void {
  let count = 0;
  return (line, stream) => {
    if (++count < mostNoise) log.warn({ stream, line }, "trainer: printed");
    if (count === mostNoise) log.warn({ stream }, "trainer: printed more, which is left out");
  };
}

/**
 * A training takes every core for hours. At a lower priority it loses next to nothing, and the server beside it answers at
 * once. Set before the trainer makes its threads, which inherit it.
 */
function giveWay(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has ended already; its outputs say why.
  }
}
