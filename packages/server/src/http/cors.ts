/**
 * Letting web pages call the service, and see what the clients look for in the answers.
 *
 * Nothing here rests on cookies, so that a page which is let in has still to bring a key. This also holds for a page whose
 * own name was pointed at this machine (DNS rebinding): keys are checked before bodies are read, and what needs no key says
 * nothing about users. So neither Origin nor Host is checked.
 */
import fastifyCors from "@fastify/cors";
import type { FastifyInstance } from "fastify";
import type { Config } from "../config/config.ts";

/** Beyond the few that browsers always show. */
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
    // Whatever a page asks to send is answered by name: `*` does not cover Authorization.
    strictPreflight: false,
  });
}
