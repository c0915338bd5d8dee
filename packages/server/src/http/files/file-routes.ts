/** Files by URL: reading (whole or a range), deleting, and signing URLs. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { jsonOf } from "../../body/json-body.ts";
import type { Config } from "../../config/config.ts";
import type { Database } from "../../db/database.ts";
import { deleteOwnFile, findFile, type StoredFile } from "../../db/files/files.ts";
import type { FileAccess } from "../../storage/file-access.ts";
import { type FileAddress, fileNameParameters, isAddress, ownName } from "../../storage/file-names.ts";
import { decisionFor } from "../../storage/lifecycle.ts";
import { longestSignatureSeconds, type Signer } from "../../storage/signer.ts";
import type { ByteRange, FileStore } from "../../storage/stores/file-store.ts";
import { parseWire } from "../../wire/parse-wire.ts";
import { WireError } from "../../wire/wire-error.ts";
import { Admission } from "../admission.ts";
import { publicUrlFor } from "../public-url.ts";
import { parseRange } from "./byte-range.ts";

export type FileRouteDeps = {
  readonly config: Config;
  readonly db: Database;
  readonly store: FileStore;
  readonly signer: Signer;
  readonly access: FileAccess;
};

const path = "/files/b/:store/:name";

/** Mounts the routes, in a scope that parses JSON. */
export function addFileRoutes(app: FastifyInstance, deps: FileRouteDeps): void {
  app.route({
    method: ["GET", "HEAD"],
    url: path,
    exposeHeadRoute: false,
    handler: (request, reply) => read(request, reply, deps),
  });
  const owned = new Admission((request) => ownFile(request, deps));
  app.post(`${path}/sign`, { onRequest: owned.onRequest }, (request, reply) =>
    sign(request, reply, { file: owned.of(request), ...deps }),
  );
  const keyed = new Admission((request) =>
    deps.access.keyHolder(request.headers.authorization, "the deletion of files"),
  );
  app.delete(path, { onRequest: keyed.onRequest }, (request, reply) =>
    remove(request, reply, { userId: keyed.of(request).userId, ...deps }),
  );
}

const noSuchFile = () => new WireError(404, { detail: "File not found" });

/** @throws WireError 404 */
async function fileAt(request: FastifyRequest, db: Database): Promise<StoredFile> {
  const address = request.params as FileAddress;
  const file = isAddress(address) ? await findFile(db, address) : undefined;
  if (file === undefined || file.isExpired) throw noSuchFile();
  return file;
}

/**
 * Deletes a file or an incomplete upload. Needs a key of its owner. An upload token is not enough.
 *
 * @throws WireError 404, 409 while an unfinished request reads it
 */
async function remove(
  request: FastifyRequest,
  reply: FastifyReply,
  { userId, db, store }: FileRouteDeps & { readonly userId: string },
): Promise<FastifyReply> {
  const address = request.params as FileAddress;
  const deletion = isAddress(address) ? await deleteOwnFile(db, address, userId) : undefined;
  if (deletion === undefined) throw noSuchFile();
  if ("usedBy" in deletion) {
    throw new WireError(409, {
      detail: `The file is in use by request ${deletion.usedBy}: cancel it, or wait for its end`,
    });
  }
  // Without its row the file is unreachable. Retention deletes leftover bytes as orphans.
  await store.remove(deletion.id);
  if (deletion.uploadId !== null) await store.removeParts(deletion.uploadId);
  return reply.code(204).send();
}

async function read(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: FileRouteDeps,
): Promise<FastifyReply> {
  const file = await fileAt(request, deps.db);
  await refuseStrangers(request, file, deps);
  const etag = `"${file.id}"`;
  reply.headers({
    etag,
    "accept-ranges": "bytes",
    // The bytes of a URL never change. Its readers may.
    "cache-control": file.acl === null ? "public, max-age=3600" : "private, no-cache",
    ...headersOf(file),
  });
  if (matches(request.headers["if-none-match"], etag)) return reply.code(304).send();
  const ifRange = request.headers["if-range"];
  const isCurrent = ifRange === undefined || ifRange === etag;
  const range = isCurrent ? parseRange(request.headers.range, file.sizeBytes) : undefined;
  if (range === "none") {
    reply.removeHeader("content-disposition");
    throw new WireError(
      416,
      { detail: `Range: got ${request.headers.range}, expected one within ${file.sizeBytes} bytes` },
      { "content-range": `bytes */${file.sizeBytes}` },
    );
  }
  return send(request, reply, { file, range, store: deps.store });
}

type Answer = { readonly file: StoredFile; readonly range: ByteRange | undefined; readonly store: FileStore };

async function send(
  request: FastifyRequest,
  reply: FastifyReply,
  { file, range, store }: Answer,
): Promise<FastifyReply> {
  const length = range === undefined ? file.sizeBytes : range.last - range.first + 1;
  reply.code(range === undefined ? 200 : 206).header("content-length", length);
  if (range !== undefined) {
    reply.header("content-range", `bytes ${range.first}-${range.last}/${file.sizeBytes}`);
  }
  if (request.method === "HEAD") return reply.send();
  return reply.send(await store.read(file.id, range));
}

/** @throws WireError 403 or, where its existence is hidden, 404 */
async function refuseStrangers(
  request: FastifyRequest,
  file: StoredFile,
  { access, signer }: FileRouteDeps,
): Promise<void> {
  if (file.acl === null || signer.allows(file, request.query as Record<string, unknown>)) return;
  const caller = await access.callerIfAny(request.headers.authorization);
  const decision = decisionFor(file, caller?.userId);
  if (decision === "hide") throw noSuchFile();
  if (decision === "forbid") {
    throw new WireError(403, {
      detail: "Access to this file is forbidden: send its owner's key, or ask for a signed address",
    });
  }
}

/** Types that a browser may display. Everything else is a download. */
const shown = /^(video|audio)\/|^image\/(png|jpeg|webp|gif|avif)$|^application\/json$|^text\/plain$/;

/** Uploads are untrusted content under our origin: nothing in them may run. */
function headersOf({ name, fileName, contentType }: StoredFile): Record<string, string> {
  const disposition = shown.test(contentType) ? "inline" : "attachment";
  return {
    "content-type": contentType,
    "content-disposition": `${disposition}; ${fileNameParameters(ownName(name), fileName)}`,
    "content-security-policy": "default-src 'none'; media-src 'self'; img-src 'self'; sandbox",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "cross-origin",
  };
}

function matches(header: string | undefined, etag: string): boolean {
  const tags = (header ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes(etag) || tags.includes("*");
}

const SignBody = z.object({
  /** Seconds. */
  duration: z.number().min(1).max(longestSignatureSeconds).default(3600),
  scope: z.array(z.literal("read")).default(["read"]),
});

/** @throws WireError 401, 404 for files of others */
async function ownFile(request: FastifyRequest, { access, db }: FileRouteDeps): Promise<StoredFile> {
  const caller = await access.caller(request.headers.authorization);
  const file = await fileAt(request, db);
  if (file.userId !== caller.userId) throw noSuchFile();
  return file;
}

/** Returns a signed URL for reading the file. Needs its owner. */
async function sign(
  request: FastifyRequest,
  reply: FastifyReply,
  { file, signer, config }: FileRouteDeps & { readonly file: StoredFile },
): Promise<FastifyReply> {
  const { duration } = parseWire(SignBody, jsonOf(request).value ?? {});
  const url = signer.signedUrl(publicUrlFor(request, config), file, duration);
  return reply.send({ url, expires_at: new Date(Date.now() + duration * 1000).toISOString() });
}
