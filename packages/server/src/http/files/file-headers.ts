/** What headers say about a file that is uploaded. */
import { isUtf8 } from "node:buffer";
import type { FastifyRequest } from "fastify";
import { type FileLifecycle, parseLifecycle } from "../../storage/lifecycle.ts";

/** A content type as it can be sent back; what is none becomes that of plain bytes. */
export function contentTypeOf(value: string | undefined): string {
  const plain = (value ?? "").trim();
  return plain.length <= 255 && /^[\w.+-]+\/[\w.+-]+(\s*;\s*[\w-]+=[\w."-]+)*$/.test(plain)
    ? plain
    : "application/octet-stream";
}

/** Clients send one header or the other, or both with the same. @throws WireError 400 */
export function lifecycleOf(request: FastifyRequest): FileLifecycle {
  const names = ["x-fal-object-lifecycle", "x-fal-object-lifecycle-preference"];
  const name = names.find((candidate) => request.headers[candidate] !== undefined);
  return name === undefined
    ? parseLifecycle("", undefined)
    : parseLifecycle(name, [request.headers[name]].flat()[0]);
}

/** A file's name from a header: HTTP gives it byte by byte, and clients that write other letters send UTF-8. */
export function fileNameOf(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const bytes = Buffer.from(header, "latin1");
  return isUtf8(bytes) ? bytes.toString("utf8") : header;
}
