/** Reads the headers that describe an uploaded file. */
import { isUtf8 } from "node:buffer";
import type { FastifyRequest } from "fastify";
import { type FileLifecycle, parseLifecycle } from "../../storage/lifecycle.ts";

/** Returns a content type that can be sent back. An invalid one becomes `application/octet-stream`. */
export function contentTypeOf(value: string | undefined): string {
  const plain = (value ?? "").trim();
  return plain.length <= 255 && /^[\w.+-]+\/[\w.+-]+(\s*;\s*[\w-]+=[\w."-]+)*$/.test(plain)
    ? plain
    : "application/octet-stream";
}

/** Clients send one of two headers, or both with the same value. @throws WireError 400 */
export function lifecycleOf(request: FastifyRequest): FileLifecycle {
  const names = ["x-fal-object-lifecycle", "x-fal-object-lifecycle-preference"];
  const name = names.find((candidate) => request.headers[candidate] !== undefined);
  return name === undefined
    ? parseLifecycle("", undefined)
    : parseLifecycle(name, [request.headers[name]].flat()[0]);
}

/** Decodes a file name from a header. Node returns it as latin1, and clients send UTF-8. */
export function fileNameOf(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const bytes = Buffer.from(header, "latin1");
  return isUtf8(bytes) ? bytes.toString("utf8") : header;
}
