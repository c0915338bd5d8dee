/** The thread that reads one large body: pieces come in, small JSON and files go out. See `large-bodies.ts`. */
import { parentPort } from "node:worker_threads";
import { type JsonBody, type JsonLimits, readJson } from "./read-json.ts";
import { BodyRefusal } from "./scan-json.ts";

export type ToWorker =
  | { readonly kind: "start"; readonly lengthBytes: number }
  | { readonly kind: "piece"; readonly bytes: Uint8Array }
  | { readonly kind: "end"; readonly limits: JsonLimits };

export type FromWorker =
  | { readonly kind: "read"; readonly body: Omit<JsonBody, "value"> }
  | { readonly kind: "refused"; readonly status: 413 | 422; readonly reason: string };

let held = new Uint8Array(0);
let length = 0;

function add(piece: Uint8Array): void {
  if (length + piece.length > held.length) {
    const larger = new Uint8Array(Math.max(2 * held.length, length + piece.length));
    larger.set(held);
    held = larger;
  }
  held.set(piece, length);
  length += piece.length;
}

function read(limits: JsonLimits): void {
  try {
    const { text, files } = readJson(held.subarray(0, length), limits);
    const buffers = files.flatMap(({ bytes }) => (bytes === undefined ? [] : [bytes.buffer]));
    parentPort?.postMessage({ kind: "read", body: { text, files } } satisfies FromWorker, buffers);
  } catch (error) {
    if (!(error instanceof BodyRefusal)) throw error;
    const { status, message: reason } = error;
    parentPort?.postMessage({ kind: "refused", status, reason } satisfies FromWorker);
  }
}

parentPort?.on("message", (message: ToWorker) => {
  if (message.kind === "start") held = new Uint8Array(message.lengthBytes);
  else if (message.kind === "piece") add(message.bytes);
  else read(message.limits);
});
