/**
 * Bodies that are JSON, whatever their content type says: clients send `application/json` with nothing behind it, and
 * curl sends JSON as a form. The text is kept beside the value: it is what a request stores.
 */
import { jsonInvalidDetail } from "@ltx-trainer/contract";
import type { FastifyInstance } from "fastify";
import { WireError } from "../queue/wire-error.ts";

export type JsonBody = {
  readonly text: string;
  /** Undefined for an empty body. */
  readonly value: unknown;
};

/** Makes `request.body` a `JsonBody` on every route of `app`. */
export function parseJsonBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, async (_request: unknown, body: unknown) =>
    parse(body as Buffer),
  );
}

function parse(bytes: Buffer): JsonBody {
  if (bytes.length === 0) return { text: "", value: undefined };
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return { text, value: JSON.parse(text) };
  } catch (error) {
    const reason = error instanceof SyntaxError ? error.message : "the body is not UTF-8";
    throw new WireError(422, { detail: [jsonInvalidDetail(reason)] });
  }
}
