/**
 * CORS: lets web pages call the service and read the headers that clients need.
 *
 * No cookies are used, so an allowed page still needs a key. That also covers DNS rebinding: keys are checked before bodies
 * are read, and routes without a key reveal nothing about users. So neither Origin nor Host is checked.
 */
import fastifyCors from "@fastify/cors";
import type { FastifyInstance } from "fastify";
import type { Config } from "../config/config.ts";

/** Response headers besides those that browsers always show. */
const exposed = [
  "x-fal-request-id",
  "x-fal-request-timeout-type",
  "x-fal-error-type",
  "x-fal-billable-units",
  "x-fal-needs-retry",
  "x-fal-retryable",
  "etag",
  "content-length",
  "content-range",
  "accept-ranges",
  "content-disposition",
];

const preflightSeconds = 7_200;

export async function allowBrowsers(
  app: FastifyInstance,
  config: Pick<Config, "corsOrigins">,
): Promise<void> {
  await app.register(fastifyCors, {
    origin: config.corsOrigins === undefined ? "*" : [...config.corsOrigins],
    methods: ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"],
    exposedHeaders: exposed,
    maxAge: preflightSeconds,
    // Echoes the requested headers, because `*` does not cover Authorization.
    strictPreflight: false,
  });
}
