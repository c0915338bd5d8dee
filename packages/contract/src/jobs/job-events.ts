/**
 * What the trainer process says while it works: one JSON object a line on its stdout, one union for all of it.
 *
 * The last event is `finished` or `failed`. A reader skips lines that are not events: native libraries may print.
 */
import { z } from "zod";
import { type AppError, type ErrorCode, errorKinds } from "../errors.ts";

export const phases = ["setup", "dataset", "cache", "train", "validate", "generate", "outputs"] as const;
export type Phase = (typeof phases)[number];

const errorCodes = Object.keys(errorKinds) as [ErrorCode, ...ErrorCode[]];
const facts = z.record(z.string(), z.unknown());

/** A part of the work has begun, or moved on: `done` of `total` units. */
const PhaseEvent = z.object({
  type: z.literal("phase"),
  phase: z.enum(phases),
  /** What is being done, as shown to the user: "Encoding clips". */
  title: z.string(),
  done: z.int().min(0).optional(),
  total: z.int().min(0).optional(),
});

/** Every derived number, decided once. */
const PlanEvent = z.object({ type: z.literal("plan"), plan: facts });

/** One optimizer step is done. */
const ProgressEvent = z.object({
  type: z.literal("progress"),
  /** Steps done, from 1. */
  step: z.int().min(0),
  total: z.int().min(1),
  /** Loss of this step; null when it is not a finite number. */
  loss: z.number().nullable(),
  /** Learning rate of this step. */
  lr: z.number(),
  secondsPerStep: z.number().min(0),
  etaSeconds: z.number().min(0),
  /** Of the device on a GPU, of the process on a CPU. */
  memoryBytes: z.number().min(0).max(Number.MAX_SAFE_INTEGER),
});

const LogEvent = z.object({
  type: z.literal("log"),
  level: z.enum(["debug", "info", "error"]),
  message: z.string(),
});

/** Something the user should know and can act on; the work goes on. */
const WarningEvent = z.object({ type: z.literal("warning"), message: z.string(), facts: facts.optional() });

/** A sample was written. */
const SampleEvent = z.object({
  type: z.literal("sample"),
  path: z.string(),
  /** Steps trained when it was made. */
  step: z.int().min(0),
  prompt: z.string(),
  /** Whether the LoRA was on. */
  lora: z.boolean(),
});

const CheckpointEvent = z.object({ type: z.literal("checkpoint"), path: z.string(), step: z.int().min(0) });

/**
 * The LoRA files and `config.json` are complete on disk: the training has succeeded, whatever happens to the videos.
 * `outputs` are `TrainOutputs` with `video` and `contact_sheet` null.
 */
const TrainedEvent = z.object({ type: z.literal("trained"), outputs: facts });

/** The end, and good. The shape of `outputs` depends on the command: see `jobs.ts`. */
const FinishedEvent = z.object({ type: z.literal("finished"), outputs: facts });

/** The end, and bad. The process exits with `exitCode`. */
const FailedEvent = z.object({
  type: z.literal("failed"),
  code: z.enum(errorCodes),
  message: z.string(),
  remedy: z.string().optional(),
  retryable: z.boolean(),
  facts: facts.optional(),
  exitCode: z.int(),
});

export const JobEvent = z.discriminatedUnion("type", [
  PhaseEvent,
  PlanEvent,
  ProgressEvent,
  LogEvent,
  WarningEvent,
  SampleEvent,
  CheckpointEvent,
  TrainedEvent,
  FinishedEvent,
  FailedEvent,
]);
export type JobEvent = z.infer<typeof JobEvent>;
export type JobEventType = JobEvent["type"];
export type EventOf<Type extends JobEventType> = Extract<JobEvent, { type: Type }>;

/** One line, with its line end. Never contains a line end elsewhere: JSON escapes them. */
export function encodeEvent(event: JobEvent): string {
  return `${JSON.stringify(event)}\n`;
}

/** The event in a line, or undefined when the line is something else. */
export function decodeEvent(line: string): JobEvent | undefined {
  if (!line.startsWith("{")) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const result = JobEvent.safeParse(value);
  return result.success ? result.data : undefined;
}

/** The event with which a failed process ends. */
export function failedEvent(error: AppError): EventOf<"failed"> {
  return { type: "failed", ...error.toJSON(), exitCode: error.exitCode } as EventOf<"failed">;
}
