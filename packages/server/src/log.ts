/** Structured logs, one JSON object a line, without secrets. */
import { type DestinationStream, type Logger, pino, stdSerializers } from "pino";

/** Header fields that let their reader act as the caller. */
const secretHeaders = ["authorization", "cookie", "proxy-authorization", "x-fal-client-credentials"];

/** Parameters of addresses that are secrets by themselves. */
const secretParameters = /([?&](?:fal_jwt_token|token|signature|sig|key)=)[^&#\s]*/gi;

export function makeLogger(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: stdSerializers.err, req: describeRequest },
    redact: {
      paths: secretHeaders.flatMap((name) => [`headers["${name}"]`, `*.headers["${name}"]`]),
      censor: "[secret]",
    },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

type RequestLike = { readonly method: string; readonly url: string; readonly ip?: string };

function describeRequest({ method, url, ip }: RequestLike): Record<string, unknown> {
  return { method, url: withoutSecrets(url), ip };
}

/** An address without the values of parameters that are secrets. */
export function withoutSecrets(url: string): string {
  return url.replace(secretParameters, "$1[secret]");
}
