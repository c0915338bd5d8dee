/**
 * The service's configuration: one table of settings, which is also their documentation.
 *
 * The programs of this package read `process.env` here only.
 */
import { serveVariables } from "@ltx-trainer/contract";
import { homeFolder } from "@ltx-trainer/host";
import { z } from "zod";
import { accessSettings } from "./access.ts";
import { limitSettings } from "./limits.ts";
import { type Environment, readSettings, setting, type ValuesOf } from "./setting.ts";
import { type StorageConfig, storageConfig, storageSettings } from "./storage.ts";
import { trainerEnvironment } from "./trainer-environment.ts";
import { webhookSettings } from "./webhooks.ts";

const seconds = (fallback: number, limits: { readonly min: number; readonly max: number }) =>
  z.coerce.number().min(limits.min).max(limits.max).default(fallback);

const devices = z
  .string()
  .default("auto")
  .transform((text) => (/^\s*(none)?\s*$/.test(text) ? [] : text.split(",").map((part) => part.trim())))
  .pipe(z.array(z.string().regex(/^(auto|cpu|cuda(:\d+)?)$/, "auto, cpu, cuda or cuda:N")));

const serverSettings = {
  host: setting(serveVariables.host, z.string().min(1).default("127.0.0.1"), {
    description: "Address to listen on. One that other machines reach needs a key to exist.",
  }),
  port: setting(serveVariables.port, z.coerce.number().int().min(0).max(65_535).default(8000), {
    description: "Port; 0 takes a free one.",
  }),
  /** Without a slash at its end. */
  publicUrl: setting(
    "PUBLIC_URL",
    z
      .url({ protocol: /^https?$/ })
      .optional()
      .transform((url) => url?.replace(/\/+$/, "")),
    {
      description: "Where clients reach the server when it is behind a proxy: https://train.example.com.",
    },
  ),
  trustProxy: setting("TRUST_PROXY", z.stringbool().prefault("false"), {
    description: "Trust X-Forwarded-For, -Proto and -Host. Only behind a proxy that sets them.",
  }),
  home: setting(serveVariables.home, z.string().min(1).optional(), {
    description: "Data folder: database, files, base models, caches. Default ~/.ltx-trainer.",
  }),
  databaseUrl: setting("DATABASE_URL", z.url({ protocol: /^postgres(ql)?$/ }).optional(), {
    description:
      "PostgreSQL of your own, which several servers may share. Default: one under the data folder.",
  }),
  databaseConnections: setting("DATABASE_CONNECTIONS", z.coerce.number().int().min(2).max(500).default(10), {
    description: "Size of the database connection pool.",
  }),
  endpoint: setting(
    "LTX_TRAINER_ENDPOINT",
    z
      .string()
      .regex(/^[\w.-]+\/[\w.-]+$/, "owner/alias")
      .default("fal-ai/ltx-video-trainer"),
    { description: "Name of the training endpoint." },
  ),
  devices: setting(serveVariables.devices, devices, {
    description:
      "Devices, one training at a time on each: cuda:0,cuda:1. none, or nothing, trains nothing: an API alone.",
    takesEmpty: true,
  }),
  base: setting(serveVariables.base, z.string().min(1).optional(), {
    description: "Base model; see `ltx-trainer models list`.",
  }),
  checkpointInterval: setting("CHECKPOINT_INTERVAL", z.coerce.number().int().min(1).default(100), {
    description: "Steps between checkpoints: the most that a power cut costs.",
  }),
  leaseSeconds: setting("LEASE_SECONDS", seconds(15, { min: 1, max: 3600 }), {
    description: "Without a heartbeat for this long, a server's trainings go back to the queue.",
  }),
  drainSeconds: setting("DRAIN_SECONDS", seconds(60, { min: 0, max: 86_400 }), {
    description: "How long trainings may take to write their checkpoint when the server is asked to stop.",
  }),
  retrySeconds: setting("RETRY_SECONDS", seconds(10, { min: 0.05, max: 3600 }), {
    description:
      "Pause before a failure on the server's side is retried: a request, a probe of a broken device, publishing. Doubles each time.",
  }),
  trainedWaitHours: setting(
    "TRAINED_WAIT_HOURS",
    z.coerce
      .number()
      .min(0.001)
      .max(24 * 365)
      .default(24),
    {
      description:
        "How long a trained request waits for the machine that holds its files before another one trains it again.",
    },
  ),
  maxBodyBytes: setting(
    "MAX_BODY_BYTES",
    z.coerce
      .number()
      .int()
      .min(1024)
      .default(128 * 2 ** 20),
    {
      description:
        "Largest submission, data URIs included. The rest of it may have 1 MiB, and so may every other body that is not an upload.",
    },
  ),
  logLevel: setting(
    "LOG_LEVEL",
    z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
    { description: "Lowest level that is logged." },
  ),
} as const;

export const settings = {
  ...serverSettings,
  ...accessSettings,
  storage: storageSettings,
  webhooks: webhookSettings,
  limits: limitSettings,
} as const;

type Values = ValuesOf<typeof settings>;

/** The configuration in the program's own terms. */
export type Config = Omit<Values, "home" | "storage"> & {
  /** Absolute. */
  readonly home: string;
  readonly storage: StorageConfig;
  /** What trainers inherit of our environment. */
  readonly trainerEnvironment: Readonly<Record<string, string>>;
};

/**
 * Reads the environment. A variable that is set to nothing counts as not set, except for the devices.
 *
 * @throws AppError `invalid_options` naming every variable that cannot be used
 */
export function readConfig(environment: Environment): Config {
  const values = readSettings(settings, environment);
  return {
    ...values,
    home: homeFolder(values.home),
    storage: storageConfig(values.storage),
    trainerEnvironment: trainerEnvironment(environment),
  };
}
