/**
 * What an endpoint is: everything that the service has to know of one kind of request.
 *
 * A new endpoint is a schema in `contract/src/endpoints/`, a file beside this one, and a line in `registry.ts`. Submission,
 * validation, jobs, publishing and documentation take the endpoint as an argument.
 */
import type { OutputFile } from "@ltx-trainer/contract";
import type { z } from "zod";
import type { FilePattern } from "../wire/files-in.ts";
import type { FailureTable } from "./failures.ts";

/** What a job follows from, beside its input. */
export type JobDeps = {
  /** Folder that the command writes to. */
  readonly out: string;
  /** Data folder: base models and caches. */
  readonly home: string;
  readonly base: string | undefined;
  readonly device: string;
  /** Steps. */
  readonly checkpointInterval: number;
  /** Whether an earlier attempt may have left a checkpoint. */
  readonly resume: boolean;
  readonly addressPolicy: "any" | "public";
  /** The address that each path of a stored file was given as. */
  readonly sourceNames: Readonly<Record<string, string>>;
};

type Json = Readonly<Record<string, unknown>>;

/** Puts a file of the output folder into the store. */
export type StoreFile = (path: string) => Promise<OutputFile>;

/**
 * @typeParam Input what the client sends
 * @typeParam Outputs what the command ends with: the outputs of its `finished` event
 * @typeParam Output what the client gets
 */
export type Endpoint<
  Input extends z.ZodType = z.ZodType,
  Outputs extends z.ZodType = z.ZodType,
  Output extends z.ZodType = z.ZodType,
> = {
  /** `owner/alias`. */
  readonly name: string;
  /** fal's word for the kind of model: "training". */
  readonly category: string;
  /** One sentence. */
  readonly about: string;
  readonly input: Input;
  readonly output: Output;
  /** Fields of the input that hold files: an address, or a data URI. */
  readonly files: readonly FilePattern[];
  /** Command of the program that does the work. */
  readonly command: string;
  /** Path of a program that takes `<command> <job file>` and prints job events. Default: the trainer. */
  readonly program?: string;
  readonly outputs: Outputs;
  /** What model errors mean on the wire; any other error is the server's. */
  readonly failures: FailureTable;
  /** The job. `input` is checked, and names stored files by their path. @throws AppError `invalid_options` */
  toJob(input: z.output<Input>, deps: JobDeps): Json;
  /** The files among the outputs, which have to lie in the output folder. */
  filesOf(outputs: z.output<Outputs>): readonly string[];
  /** What is published when the command ended after its `trained` event and before its end; `reason` is for the client. */
  endEarly(outputs: z.output<Outputs>, reason: string): z.output<Outputs>;
  /** The answer. */
  publish(outputs: z.output<Outputs>, store: StoreFile): Promise<z.input<Output>>;
  /** For the header `x-fal-billable-units`. */
  billableUnits(outputs: z.output<Outputs>): number;
};

/** Infers an endpoint's types from its schemas, and forgets them: the service handles all endpoints alike. */
export function defineEndpoint<Input extends z.ZodType, Outputs extends z.ZodType, Output extends z.ZodType>(
  endpoint: Endpoint<Input, Outputs, Output>,
): Endpoint {
  return endpoint;
}
