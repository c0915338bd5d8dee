/**
 * An endpoint: all that the service knows about one kind of request.
 *
 * A new endpoint is a schema in `contract/src/endpoints/`, a file beside this one, and a line in `registry.ts`. Submission,
 * validation, jobs, publishing and documentation take the endpoint as an argument.
 */
import type { OutputFile } from "@ltx-trainer/contract";
import type { z } from "zod";
import type { FilePattern } from "../wire/files-in.ts";
import type { FailureTable } from "./failures.ts";

/** What `toJob` needs besides the input. */
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
  /** Original address per path of a stored file. */
  readonly sourceNames: Readonly<Record<string, string>>;
};

type Json = Readonly<Record<string, unknown>>;

/** Puts a file of the output folder into the store. */
export type StoreFile = (path: string) => Promise<OutputFile>;

/**
 * @typeParam Input schema of the client's input
 * @typeParam Outputs schema of the outputs in the command's `finished` event
 * @typeParam Output schema of the client's result
 */
export type Endpoint<
  Input extends z.ZodType = z.ZodType,
  Outputs extends z.ZodType = z.ZodType,
  Output extends z.ZodType = z.ZodType,
> = {
  /** `owner/alias`. */
  readonly name: string;
  /** fal's category of the model: "training". */
  readonly category: string;
  /** One sentence, for the OpenAPI document. */
  readonly about: string;
  readonly input: Input;
  readonly output: Output;
  /** Fields of the input that hold files: an address, or a data URI. */
  readonly files: readonly FilePattern[];
  /** First argument of the program. */
  readonly command: string;
  /** Path of a program that takes `<command> <job file>` and prints job events. Default: the trainer. */
  readonly program?: string;
  readonly outputs: Outputs;
  /** Failures that the request caused, by error code. Any other code is a server error. */
  readonly failures: FailureTable;
  /** Makes the job file's content. `input` is valid, and has paths in place of stored files' addresses. @throws AppError `invalid_options` */
  toJob(input: z.output<Input>, deps: JobDeps): Json;
  /** Paths among the outputs. Each must be a file in the output folder, and only these can be published. */
  filesOf(outputs: z.output<Outputs>): readonly string[];
  /** Outputs to publish when the command ended between its `trained` and `finished` events. `reason` is for the client. */
  endEarly(outputs: z.output<Outputs>, reason: string): z.output<Outputs>;
  /** Stores the files and builds the result. */
  publish(outputs: z.output<Outputs>, store: StoreFile): Promise<z.input<Output>>;
  /** For the header `x-fal-billable-units`. */
  billableUnits(outputs: z.output<Outputs>): number;
};

/** Checks an endpoint's functions against its schemas. The service itself handles all endpoints as plain `Endpoint`. */
export function defineEndpoint<Input extends z.ZodType, Outputs extends z.ZodType, Output extends z.ZodType>(
  endpoint: Endpoint<Input, Outputs, Output>,
): Endpoint {
  return endpoint;
}
