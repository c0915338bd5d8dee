/**
 * The closed list of things that can go wrong for a user, and the one error class that carries them.
 *
 * Idea: a code says *which* failure, its kind says *whose* (the caller's input, the world, an interruption, or us), and the
 * kind alone decides the exit status. Facts are fields, so that programs never parse a message.
 */

/** Whose fault a failure is. `input`: the caller can fix it. `world`: network, disk, tools, memory. `internal`: ours. */
export type ErrorKind = "input" | "world" | "interrupted" | "internal";

/** Every code there is. Growing this list is a change of the public surface (frozen by a test). */
export const errorKinds = {
  invalid_options: "input",
  source_not_found: "input",
  source_unsupported: "input",
  address_not_allowed: "input",
  download_too_large: "input",
  not_a_zip: "input",
  zip_encrypted: "input",
  zip_damaged: "input",
  zip_too_large: "input",
  dataset_empty: "input",
  no_usable_media: "input",
  media_unreadable: "input",
  base_not_found: "input",
  base_invalid: "input",
  lora_invalid: "input",
  checkpoint_not_found: "input",
  checkpoint_mismatch: "input",
  output_exists: "input",
  output_busy: "input",
  output_foreign: "input",
  training_diverged: "input",
  device_unavailable: "input",
  download_failed: "world",
  file_unreadable: "world",
  checkpoint_damaged: "world",
  tool_missing: "world",
  tool_failed: "world",
  libtorch_missing: "world",
  out_of_memory: "world",
  disk_full: "world",
  address_unusable: "world",
  database_unusable: "world",
  trainer_died: "world",
  interrupted: "interrupted",
  internal: "internal",
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorKinds;

/** Exit statuses of every program of this project. */
export const exitCodes = { done: 0, failure: 1, usage: 2, interrupted: 130 } as const;

const exitCodeOfKind = {
  input: exitCodes.usage,
  world: exitCodes.failure,
  interrupted: exitCodes.interrupted,
  internal: exitCodes.failure,
} as const satisfies Record<ErrorKind, number>;

/** Values that say what happened: file names, sizes, limits. JSON only. */
export type ErrorFacts = Readonly<Record<string, unknown>>;

export type AppErrorOptions = {
  readonly code: ErrorCode;
  /** `where: got <actual>, expected <rule>`; one or more plain sentences, shown to the user as written. */
  readonly message: string;
  /** What to do about it. */
  readonly remedy?: string | undefined;
  /** Whether the same request may succeed later without any change. Default: no. */
  readonly retryable?: boolean | undefined;
  readonly facts?: ErrorFacts | undefined;
  readonly cause?: unknown;
};

/** The JSON form of an error, as it travels in events and in `--json` output. */
export type ErrorBody = {
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy?: string | undefined;
  readonly retryable: boolean;
  readonly facts?: ErrorFacts | undefined;
};

/** A failure that is explained to the user. Anything else that is thrown is a fault of ours. */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: ErrorCode;
  readonly remedy: string | undefined;
  readonly retryable: boolean;
  readonly facts: ErrorFacts;

  constructor(options: AppErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.remedy = options.remedy;
    this.retryable = options.retryable ?? false;
    this.facts = options.facts ?? {};
  }

  get kind(): ErrorKind {
    return errorKinds[this.code];
  }

  get exitCode(): number {
    return exitCodeOfKind[this.kind];
  }

  toJSON(): ErrorBody {
    return {
      code: this.code,
      message: this.message,
      ...(this.remedy === undefined ? {} : { remedy: this.remedy }),
      retryable: this.retryable,
      ...(Object.keys(this.facts).length === 0 ? {} : { facts: this.facts }),
    };
  }
}

/** An `AppError` as it is, anything else as one with code `internal` and the original as its cause. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new AppError({
    code: "internal",
    message: `internal error: ${message}`,
    remedy: "This is a fault of the program. Please report it together with the log.",
    cause: error,
  });
}

/** The end of work that was asked to stop. */
export function interrupted(
  said: {
    readonly message?: string;
    readonly remedy?: string;
    readonly facts?: ErrorFacts;
    readonly cause?: unknown;
  } = {},
): AppError {
  return new AppError({ code: "interrupted", message: "interrupted", retryable: true, ...said });
}
