/**
 * Receives the bytes of uploads in two ways: at signed URLs from `/rest/storage` (JavaScript), and with a token (Python).
 *
 * Source: @fal-ai/client 1.10.1, `storage.ts`; fal_client 1.0.1, `client.py`.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { validate as isUuid } from "uuid";
import { skipBodyParsing, streamOf } from "../../body/body-stream.ts";
import { jsonOf } from "../../body/json-body.ts";
import type { Config } from "../../config/config.ts";
import type { Upload } from "../../db/files/uploads.ts";
import type { FileAccess } from "../../storage/file-access.ts";
import type { Signer } from "../../storage/signer.ts";
import type { FileDescription, Uploads } from "../../storage/uploads.ts";
import { fileUrl } from "../../wire/public-urls.ts";
import { WireError } from "../../wire/wire-error.ts";
import { Admission } from "../admission.ts";
import { publicUrlFor } from "../public-url.ts";
import { contentTypeOf, fileNameOf, lifecycleOf } from "./file-headers.ts";

export type CdnRouteDeps = {
  readonly config: Config;
  readonly uploads: Uploads;
  readonly access: FileAccess;
  readonly signer: Signer;
};

type Params = {
  readonly upload: string;
  readonly part?: string;
  readonly store?: string;
  readonly name?: string;
};

const announced = "/files/upload/:upload";
const withToken = "/files/b/:store/:name/multipart/:upload";

/** Mounts the routes that take bytes. `app` must be their own scope. */
export function addByteRoutes(app: FastifyInstance, deps: CdnRouteDeps): void {
  skipBodyParsing(app);
  const { described, byAddress, byToken } = admissions(deps);
  app.post("/files/upload", { onRequest: described.onRequest }, (request, reply) =>
    receive(request, reply, described.of(request), deps),
  );
  app.put(announced, { onRequest: byAddress.onRequest }, async (request, reply) => {
    await deps.uploads.fill(byAddress.of(request), streamOf(request));
    return reply.code(200).send();
  });
  for (const [path, upload] of [
    [announced, byAddress],
    [withToken, byToken],
  ] as const) {
    app.put(`${path}/:part`, { onRequest: upload.onRequest }, (request, reply) =>
      receivePart(request, reply, upload.of(request), deps),
    );
  }
}

/** Mounts the other upload routes, in a scope that parses JSON. */
export function addUploadRoutes(app: FastifyInstance, deps: CdnRouteDeps): void {
  const { described, byAddress, byToken } = admissions(deps);
  app.post("/files/upload/multipart", { onRequest: described.onRequest }, (request, reply) =>
    begin(request, reply, described.of(request), deps),
  );
  for (const [path, upload] of [
    [announced, byAddress],
    [withToken, byToken],
  ] as const) {
    app.post(`${path}/complete`, { onRequest: upload.onRequest }, (request, reply) =>
      complete(request, reply, upload.of(request), deps),
    );
  }
}

function admissions(deps: CdnRouteDeps) {
  return {
    described: new Admission((request) => describe(request, deps)),
    byAddress: new Admission((request) => announcedUpload(request, deps)),
    byToken: new Admission((request) => callersUpload(request, deps)),
  };
}

/** Receives a whole file in one request. */
async function receive(
  request: FastifyRequest,
  reply: FastifyReply,
  description: FileDescription,
  deps: CdnRouteDeps,
): Promise<FastifyReply> {
  const file = await deps.uploads.receive(description, streamOf(request));
  return reply.send({ access_url: fileUrl(publicUrlFor(request, deps.config), file) });
}

async function begin(
  request: FastifyRequest,
  reply: FastifyReply,
  description: FileDescription,
  deps: CdnRouteDeps,
): Promise<FastifyReply> {
  const { id, file } = await deps.uploads.begin(description);
  return reply.send({ access_url: fileUrl(publicUrlFor(request, deps.config), file), uploadId: id });
}

async function receivePart(
  request: FastifyRequest,
  reply: FastifyReply,
  upload: Upload,
  { uploads }: CdnRouteDeps,
): Promise<FastifyReply> {
  const { part = "" } = request.params as Params;
  const partNumber = /^\d{1,6}$/.test(part) ? Number(part) : Number.NaN;
  const etag = await uploads.part(upload, partNumber, streamOf(request));
  return reply.header("etag", etag).send({ partNumber, etag });
}

async function complete(
  request: FastifyRequest,
  reply: FastifyReply,
  upload: Upload,
  { uploads, config }: CdnRouteDeps,
): Promise<FastifyReply> {
  await uploads.complete(upload, jsonOf(request).value);
  const url = fileUrl(publicUrlFor(request, config), upload);
  return reply.send({ access_url: url, file_url: url });
}

async function describe(request: FastifyRequest, { access }: CdnRouteDeps): Promise<FileDescription> {
  const { userId } = await access.caller(request.headers.authorization);
  return {
    ...lifecycleOf(request),
    userId,
    fileName: fileNameOf([request.headers["x-fal-file-name"]].flat()[0]),
    contentType: contentTypeOf(request.headers["content-type"]),
  };
}

/** @throws WireError 403 for a URL without a valid signature, 404 */
async function announcedUpload(request: FastifyRequest, { uploads, signer }: CdnRouteDeps): Promise<Upload> {
  const { upload: id } = request.params as Params;
  const { token } = request.query as { token?: unknown };
  if (!isUuid(id) || !signer.isUploadToken(id, token)) {
    throw new WireError(403, {
      detail: "The upload address is not valid: use upload_url as it was given, its query included",
    });
  }
  return uploads.find(id);
}

/** @throws WireError 401, 404 */
async function callersUpload(request: FastifyRequest, { access, uploads }: CdnRouteDeps): Promise<Upload> {
  const { upload: id, store, name } = request.params as Params;
  const { userId } = await access.caller(request.headers.authorization);
  const upload = isUuid(id) ? await uploads.find(id) : undefined;
  if (upload?.userId === userId && upload.store === store && upload.name === name) return upload;
  throw new WireError(404, { detail: "Upload not found, or its time is over" });
}
