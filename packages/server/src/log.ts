/**
 * Structured logs, one JSON object per line, without secrets.
 *
 * Two barriers: fields that can hold secrets (errors, headers, bodies) are written by allow-list, and every finished line
 * passes `withoutSecrets`, which covers addresses inside a message or a stack.
 */
import { queryWithoutSecrets, withoutSecrets } from "@ltx-trainer/contract";
import { type DestinationStream, type Logger, pino, stdSerializers } from "pino";

/** Header fields whose values are logged. All others may identify or authorise the caller, `x-fal-*` included. */
const shownHeaders = new Set(["accept", "content-length", "content-type", "host", "range", "user-agent"]);

/** Query parameters whose values are logged. All others may be secrets: tokens, signatures, addresses of webhooks. */
const shownParameters = new Set([
  ...["cursor", "end", "endpoint_id", "expand", "limit", "logs", "request_id", "start", "state", "status"],
  ...["fal_max_queue_length", "storage_type"],
]);

/** Fields of an error that say what failed. Left out: PostgreSQL's `detail` and `where`, which quote rows and parameters. */
const shownErrorFields = [
  ...["code", "syscall", "address", "port", "status", "statusCode", "severity"],
  ...["schema", "table", "column", "constraint", "routine"],
] as const;

/** Limit on a message and on a stack, in characters: some libraries quote the whole input. */
const longestText = 8_000;

export function makeLogger(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: describeError, error: describeError, req: describeRequest },
    redact: {
      paths: ["headers", "body", "input", "payload", "query", "parameters"].flatMap((name) => [
        name,
        `*.${name}`,
        `*.*.${name}`,
      ]),
      censor: (value: unknown, path: string[]) =>
        path.at(-1) === "headers" ? describeHeaders(value) : hidden,
    },
    hooks: { streamWrite: (line: string) => withoutSecrets(line, shownParameters) },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

const hidden = "[secret]";

type RequestLike = { readonly method: string; readonly url: string; readonly ip?: string };

function describeRequest({ method, url, ip }: RequestLike): Record<string, unknown> {
  const [path = "", ...query] = url.split("?");
  const shown =
    query.length === 0 ? path : `${path}?${queryWithoutSecrets(query.join("?"), shownParameters)}`;
  return { method, url: shown, ip };
}

function describeHeaders(headers: unknown): unknown {
  if (typeof headers !== "object" || headers === null) return hidden;
  const entries = Object.entries(headers);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, shownHeaders.has(name.toLowerCase()) ? value : hidden]),
  );
}

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { type, message, stack } = stdSerializers.err(error);
  const fields = error as unknown as Record<string, unknown>;
  const shown = shownErrorFields.filter((name) => ["string", "number"].includes(typeof fields[name]));
  return {
    type,
    message: message.slice(0, longestText),
    stack: stack.slice(0, longestText),
    ...Object.fromEntries(shown.map((name) => [name, fields[name]])),
  };
}
