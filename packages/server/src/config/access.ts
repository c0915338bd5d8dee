/** Settings of who may reach the service from where. */
import { z } from "zod";
import { setting } from "./setting.ts";

const origins = z
  .array(z.string().regex(/^(\*|https?:\/\/[^/\s]+)$/, "* or origins such as https://app.example.com"))
  .min(1);

export const accessSettings = {
  /** Undefined: all. */
  corsOrigins: setting(
    "CORS_ORIGINS",
    z
      .string()
      .default("*")
      .transform((text) => text.split(",").map((part) => part.trim()))
      .pipe(origins)
      .transform((list): readonly string[] | undefined => (list.includes("*") ? undefined : list)),
    { description: "Origins of web pages that may call the service, or * for all. Each call needs a key." },
  ),
  metricsKey: setting(
    "METRICS_KEY",
    z
      .string()
      .regex(/^[\x21-\x7e]{16,200}$/, "16 to 200 characters without blanks")
      .optional(),
    {
      description:
        "Bearer token with which Prometheus may read /metrics. Without it only keys of scope admin may.",
    },
  ),
} as const;
