/** Settings of who may reach the service from where. */
import { z } from "zod";

export const accessSettings = {
  CORS_ORIGINS: z
    .string()
    .default("*")
    .transform((text) => text.split(",").map((part) => part.trim()))
    .pipe(
      z
        .array(z.string().regex(/^(\*|https?:\/\/[^/\s]+)$/, "* or origins such as https://app.example.com"))
        .min(1),
    )
    .meta({
      description:
        "Web pages that may call the service: origins, or * for all. No page gets in without a key either way.",
    }),
  METRICS_KEY: z
    .string()
    .regex(/^[\x21-\x7e]{16,200}$/, "16 to 200 characters without blanks")
    .optional()
    .meta({
      description:
        "Bearer token with which Prometheus may read /metrics. Keys of scope admin may read it, too. Default: only they may.",
    }),
} as const;

const AccessSettings = z.object(accessSettings);

export type AccessConfig = {
  /** Origins, or undefined for all. */
  readonly corsOrigins: readonly string[] | undefined;
  readonly metricsKey: string | undefined;
};

/** The settings in the program's own terms. */
export function accessConfig({
  CORS_ORIGINS: origins,
  METRICS_KEY: metricsKey,
}: z.infer<typeof AccessSettings>): AccessConfig {
  return { corsOrigins: origins.includes("*") ? undefined : origins, metricsKey };
}
