/** Issues tokens for programs that should not hold a key. */

import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import type { Authenticator } from "../../access/authenticate.ts";
import type { Caller } from "../../access/caller.ts";
import { type IssuedToken, issueToken } from "../../access/tokens.ts";
import { jsonOf } from "../../body/json-body.ts";
import type { Database } from "../../db/database.ts";
import { pydanticDetail } from "../../wire/pydantic.ts";
import { WireError } from "../../wire/wire-error.ts";
import { Admission } from "../admission.ts";

export type TokenRouteDeps = { readonly db: Database; readonly authenticator: Authenticator };

const longestSeconds = 24 * 3600;
const app = z.string().min(1).max(200);
const lifetime = z.number().int().min(1).max(longestSeconds);

/** Each field has two names: the client's, and the newer documentation's. */
const TokenRequest = z
  .object({
    allowed_apps: z.array(app).min(1).max(100).optional(),
    app: app.optional(),
    token_expiration: lifetime.optional(),
    duration: lifetime.optional(),
  })
  .refine((body) => body.allowed_apps !== undefined || body.app !== undefined, {
    path: ["allowed_apps"],
    message: "Expected the endpoints that the token is for",
  });

/** The lifetime that fal's JS client asks for. */
const defaultSeconds = 120;

/**
 * Mounts the routes under `prefix`. The response is the token as a JSON string, and at `/realtime` an object.
 *
 * Source: fal-ai/fal-js@381105e, `libs/client/src/auth.ts`; fal.ai/docs/documentation/model-apis/inference/real-time.
 */
export function addTokenRoutes(server: FastifyInstance, prefix: string, deps: TokenRouteDeps): void {
  const admission = new Admission((request) =>
    deps.authenticator.keyHolder(request.headers.authorization, "tokens"),
  );
  const { onRequest } = admission;
  for (const path of [prefix, `${prefix}/`]) {
    server.post(path, { onRequest }, async (request, reply) => {
      const { token } = await issue(request, admission.of(request), deps);
      return reply.type("application/json").send(JSON.stringify(token));
    });
  }
  server.post(`${prefix}/realtime`, { onRequest }, async (request) => {
    const { token, expiresAt } = await issue(request, admission.of(request), deps);
    return { token, expires_at: expiresAt.toISOString() };
  });
}

/** @throws WireError 422 for an invalid body */
async function issue(
  request: FastifyRequest,
  caller: Caller,
  { db }: Pick<TokenRouteDeps, "db">,
): Promise<IssuedToken> {
  const { value } = jsonOf(request);
  const parsed = TokenRequest.safeParse(value ?? {}, { reportInput: true });
  if (!parsed.success) {
    throw new WireError(422, { detail: pydanticDetail(TokenRequest, parsed.error.issues, value ?? {}) });
  }
  const { allowed_apps: apps, app: single, token_expiration: expiration, duration } = parsed.data;
  return issueToken(db, {
    kind: "app",
    caller,
    lifetimeSeconds: expiration ?? duration ?? defaultSeconds,
    allowedApps: [...(apps ?? []), ...(single === undefined ? [] : [single])],
  });
}
