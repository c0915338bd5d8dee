/** Starts uploads: returns an upload URL or a token. Under /rest/storage. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import type { Authenticator } from "../../access/authenticate.ts";
import type { Caller } from "../../access/caller.ts";
import { issueToken } from "../../access/tokens.ts";
import { jsonOf } from "../../body/json-body.ts";
import type { Config } from "../../config/config.ts";
import type { Database } from "../../db/database.ts";
import type { Signer } from "../../storage/signer.ts";
import type { Uploads } from "../../storage/uploads.ts";
import { parseWire } from "../../wire/parse-wire.ts";
import { filesBase, fileUrl } from "../../wire/public-urls.ts";
import { WireError } from "../../wire/wire-error.ts";
import { Admission } from "../admission.ts";
import { publicUrlFor } from "../public-url.ts";
import { contentTypeOf, lifecycleOf } from "./file-headers.ts";

export type StorageRouteDeps = {
  readonly config: Config;
  readonly db: Database;
  readonly authenticator: Authenticator;
  readonly uploads: Uploads;
  readonly signer: Signer;
};

/** Mounts the routes under `prefix`, in a scope that parses JSON. */
export function addStorageRoutes(app: FastifyInstance, prefix: string, deps: StorageRouteDeps): void {
  const admission = new Admission(async (request) => {
    const caller = await deps.authenticator.keyHolder(request.headers.authorization, "storage");
    refuseOtherStorage(request);
    return caller;
  });
  const { onRequest } = admission;
  for (const kind of ["initiate", "initiate-multipart"]) {
    app.post(`${prefix}/upload/${kind}`, { onRequest }, (request, reply) =>
      initiate(request, reply, { ...deps, caller: admission.of(request) }),
    );
  }
  app.post(`${prefix}/auth/token`, { onRequest }, (request, reply) =>
    token(request, reply, { ...deps, caller: admission.of(request) }),
  );
}

type WithCaller = StorageRouteDeps & { readonly caller: Caller };

/** Storage types that clients send. All mean this store. */
const storageTypes = ["fal-cdn-v3", "fal-cdn", "gcs"];

function refuseOtherStorage(request: FastifyRequest): void {
  const { storage_type: type } = request.query as { storage_type?: string | string[] };
  if (type === undefined || (typeof type === "string" && storageTypes.includes(type))) return;
  throw WireError.badRequest("Invalid storage type");
}

const InitiateBody = z.object({
  file_name: z.string().max(1000).nullish(),
  content_type: z.string().max(255).nullish(),
});

async function initiate(
  request: FastifyRequest,
  reply: FastifyReply,
  { config, caller, uploads, signer }: WithCaller,
): Promise<FastifyReply> {
  const body = parseWire(InitiateBody, bodyOf(request));
  const { id, file } = await uploads.begin({
    ...lifecycleOf(request),
    userId: caller.userId,
    fileName: body.file_name ?? undefined,
    contentType: contentTypeOf(body.content_type ?? undefined),
  });
  const publicUrl = publicUrlFor(request, config);
  return reply.send({
    upload_url: `${filesBase(publicUrl)}/files/upload/${id}?token=${signer.uploadToken(id)}`,
    file_url: fileUrl(publicUrl, file),
  });
}

/** Same as on the hosted service. */
const longestTokenSeconds = 30 * 24 * 3600;

const TokenBody = z.object({
  expiration_seconds: z.number().min(1).max(longestTokenSeconds).nullish(),
});

async function token(
  request: FastifyRequest,
  reply: FastifyReply,
  { config, db, caller }: WithCaller,
): Promise<FastifyReply> {
  const { expiration_seconds: seconds } = parseWire(TokenBody, bodyOf(request));
  const issued = await issueToken(db, {
    kind: "cdn",
    caller,
    lifetimeSeconds: seconds ?? 24 * 3600,
    allowedApps: null,
  });
  return reply.send({
    token: issued.token,
    token_type: "Bearer",
    base_url: filesBase(publicUrlFor(request, config)),
    // The client uses Python's fromisoformat, which accepts no Z before 3.11.
    expires_at: issued.expiresAt.toISOString().replace("Z", "+00:00"),
  });
}

function bodyOf(request: FastifyRequest): unknown {
  return jsonOf(request).value ?? {};
}
