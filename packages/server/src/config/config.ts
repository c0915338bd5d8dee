/**
 * The service's configuration: one schema over the environment, which is also its documentation.
 *
 * The only reader of `process.env` in this package.
 */
import { AppError, describeIssue } from "@ltx-trainer/contract";
import { homeFolder } from "@ltx-trainer/host";
import { z } from "zod";
import { type AccessConfig, accessConfig, accessSettings } from "./access.ts";
import { type LimitConfig, limitConfig, limitSettings } from "./limits.ts";
import { type StorageConfig, storageConfig, storageSettings } from "./storage.ts";
import { trainerEnvironment } from "./trainer-environment.ts";
import { type WebhookConfig, webhookConfig, webhookSettings } from "./webhooks.ts";

const seconds = (fallback: number, limits: { readonly min: number; readonly max: number }) =>
  z.coerce.number().min(limits.min).max(limits.max).default(fallback);

export const settings = {
  HOST: z
    .string()
    .min(1)
    .default("127.0.0.1")
    .meta({ description: "Address to listen on. Any other than this machine's own needs a key to exist." }),
  PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65_535)
    .default(8000)
    .meta({ description: "Port; 0 takes a free one." }),
  PUBLIC_URL: z
    .url({ protocol: /^https?$/ })
    .optional()
    .meta({
      description:
        "Where clients reach the server, when it stands behind a proxy: https://train.example.com.",
    }),
  TRUST_PROXY: z
    .stringbool()
    .default(false)
    .meta({ description: "Believe X-Forwarded-For, -Proto and -Host. Only behind a proxy that sets them." }),
  LTX_TRAINER_HOME: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "Data folder: database, files, base models, caches. Default ~/.ltx-trainer." }),
  DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/ })
    .optional()
    .meta({
      description:
        "PostgreSQL of your own, which several servers may share. Default: one under the data folder.",
    }),
  DATABASE_CONNECTIONS: z.coerce
    .number()
    .int()
    .min(2)
    .max(500)
    .default(10)
    .meta({ description: "Connections kept to the database." }),
  LTX_TRAINER_ENDPOINT: z
    .string()
    .regex(/^[\w.-]+\/[\w.-]+$/, "owner/alias")
    .default("fal-ai/ltx-video-trainer")
    .meta({ description: "Name under which the trainer is called." }),
  LTX_TRAINER_DEVICES: z
    .string()
    .default("auto")
    .transform((text) => text.split(",").map((part) => part.trim()))
    .pipe(z.array(z.string().regex(/^(auto|cpu|cuda(:\d+)?)$/, "auto, cpu, cuda or cuda:N")))
    .meta({
      description:
        "Devices, one training at a time on each: cuda:0,cuda:1. Empty trains nothing: an API alone.",
    }),
  LTX_TRAINER_BASE: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "Base model; see `ltx-trainer models list`." }),
  CHECKPOINT_INTERVAL: z.coerce
    .number()
    .int()
    .min(1)
    .default(100)
    .meta({ description: "Steps between checkpoints: what a power cut costs at most." }),
  LEASE_SECONDS: seconds(15, { min: 1, max: 3600 }).meta({
    description: "A server not heard of for so long loses its trainings to the queue.",
  }),
  DRAIN_SECONDS: seconds(60, { min: 0, max: 86_400 }).meta({
    description: "How long trainings may take to write their checkpoint when the server is asked to stop.",
  }),
  RETRY_SECONDS: seconds(10, { min: 0.05, max: 3600 }).meta({
    description:
      "Pause before something that failed on the server's side is tried again: a request, a probe of a broken device, publishing. Doubles each time.",
  }),
  TRAINED_WAIT_HOURS: z.coerce
    .number()
    .min(0.001)
    .max(24 * 365)
    .default(24)
    .meta({
      description:
        "How long a trained request waits for the machine that holds its files before another one trains it again.",
    }),
  MAX_BODY_BYTES: z.coerce
    .number()
    .int()
    .min(1024)
    .default(128 * 2 ** 20)
    .meta({
      description:
        "Largest submission, data URIs included. Everything but the data URIs may have 1 MiB; so may every other body that is not an upload.",
    }),
  LOG_LEVEL: z
    .enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"])
    .default("info")
    .meta({ description: "What is written to the log." }),
  ...accessSettings,
  ...storageSettings,
  ...webhookSettings,
  ...limitSettings,
} as const;

const Environment = z.object(settings);

/** The configuration in the program's own terms. */
export type Config = AccessConfig & {
  readonly host: string;
  readonly port: number;
  /** Without a slash at its end. */
  readonly publicUrl: string | undefined;
  readonly trustProxy: boolean;
  /** Absolute. */
  readonly home: string;
  readonly databaseUrl: string | undefined;
  readonly databaseConnections: number;
  readonly endpoint: string;
  readonly devices: readonly string[];
  readonly base: string | undefined;
  readonly checkpointInterval: number;
  readonly leaseSeconds: number;
  readonly drainSeconds: number;
  readonly retrySeconds: number;
  readonly trainedWaitHours: number;
  readonly maxBodyBytes: number;
  readonly logLevel: z.infer<typeof settings.LOG_LEVEL>;
  readonly storage: StorageConfig;
  readonly webhooks: WebhookConfig;
  readonly limits: LimitConfig;
  /** What trainers inherit of our environment. */
  readonly trainerEnvironment: Readonly<Record<string, string>>;
};

/**
 * Reads the environment. A variable that is set to nothing counts as not set.
 *
 * @throws AppError `invalid_options` naming every variable that cannot be used
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.entries(environment).filter(
    ([name, value]) => value !== undefined && (value !== "" || name === "LTX_TRAINER_DEVICES"),
  ) as [string, string][];
  const devices = given.find(([name]) => name === "LTX_TRAINER_DEVICES")?.[1];
  const parsed = Environment.safeParse(
    Object.fromEntries(given.filter(([name, value]) => !(name === "LTX_TRAINER_DEVICES" && value === ""))),
    { reportInput: true },
  );
  if (!parsed.success) {
    throw new AppError({
      code: "invalid_options",
      message: parsed.error.issues.map((issue) => describeIssue(issue).message).join("\n"),
      remedy: "`ltx-trainer serve --settings` lists the variables.",
    });
  }
  const values = parsed.data;
  return {
    host: values.HOST,
    port: values.PORT,
    publicUrl: values.PUBLIC_URL?.replace(/\/+$/, ""),
    trustProxy: values.TRUST_PROXY,
    home: homeFolder(values.LTX_TRAINER_HOME),
    databaseUrl: values.DATABASE_URL,
    databaseConnections: values.DATABASE_CONNECTIONS,
    endpoint: values.LTX_TRAINER_ENDPOINT,
    devices: devices === "" ? [] : values.LTX_TRAINER_DEVICES,
    base: values.LTX_TRAINER_BASE,
    checkpointInterval: values.CHECKPOINT_INTERVAL,
    leaseSeconds: values.LEASE_SECONDS,
    drainSeconds: values.DRAIN_SECONDS,
    retrySeconds: values.RETRY_SECONDS,
    trainedWaitHours: values.TRAINED_WAIT_HOURS,
    maxBodyBytes: values.MAX_BODY_BYTES,
    logLevel: values.LOG_LEVEL,
    ...accessConfig(values),
    storage: storageConfig(values),
    webhooks: webhookConfig(values),
    limits: limitConfig(values),
    trainerEnvironment: trainerEnvironment(Object.fromEntries(given)),
  };
}

/** Every variable with its default and what it is for, for people. */
export function describeSettings(): string {
  return Object.entries(settings)
    .map(([name, schema]) => {
      const unset = schema.safeParse(undefined);
      const fallback = unset.success && unset.data !== undefined ? ` (default: ${String(unset.data)})` : "";
      return `${name}${fallback}\n    ${schema.meta()?.description ?? ""}`;
    })
    .join("\n");
}
