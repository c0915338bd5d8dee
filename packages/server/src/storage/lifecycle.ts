/**
 * Lifecycle of a file: how long it is kept and who may read it, from the JSON of the lifecycle headers.
 *
 * Source: fal.ai/docs/documentation/model-apis/file-access-controls; fal_client 1.0.1 and @fal-ai/client 1.10.1 send it.
 */
import { z } from "zod";
import { parseWire } from "../wire/parse-wire.ts";
import { WireError } from "../wire/wire-error.ts";

const Decision = z.enum(["allow", "forbid", "hide"]);
export type Decision = z.infer<typeof Decision>;

const Acl = z.object({
  /** Applies to callers without a rule. */
  default: Decision.default("allow"),
  rules: z
    .array(z.object({ user: z.string().max(200), decision: Decision }))
    .max(100)
    .nullish(),
});
export type Acl = z.infer<typeof Acl>;

const Lifecycle = z.object({
  /** At most a hundred years, so that the timestamp stays valid. */
  expiration_duration_seconds: z.number().min(1).max(3.2e9).nullish(),
  initial_acl: Acl.nullish(),
});

export type FileLifecycle = {
  /** Null: forever. */
  readonly lifetimeSeconds: number | null;
  /** JSON. Null: anyone with the URL may read it. */
  readonly acl: string | null;
};

/**
 * @param header name of the header, for the message
 * @throws WireError 400 for an invalid lifecycle
 */
export function parseLifecycle(header: string, value: string | undefined | null): FileLifecycle {
  if (value === undefined || value === null || value === "") return { lifetimeSeconds: null, acl: null };
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    throw WireError.badRequest(`${header}: got "${value.slice(0, 200)}", expected a JSON object`);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw WireError.badRequest(`${header}: got "${value.slice(0, 200)}", expected a JSON object`);
  }
  const { expiration_duration_seconds: seconds, initial_acl: acl } = parseWire(Lifecycle, parsed, header);
  return { lifetimeSeconds: seconds ?? null, acl: acl ? JSON.stringify(acl) : null };
}

type Guarded = { readonly userId: string; readonly acl: string | null };

/** Decides whether a caller may read a file. Its owner always may. */
export function decisionFor(file: Guarded, userId: string | undefined): Decision {
  if (file.acl === null || userId === file.userId) return "allow";
  const acl = Acl.parse(JSON.parse(file.acl));
  return acl.rules?.find(({ user }) => user === userId)?.decision ?? acl.default;
}
