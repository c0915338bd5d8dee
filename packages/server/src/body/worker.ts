/** Thread that parses one large body: chunks in, small JSON and files out. See `large-bodies.ts`. */
import { constants, setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { Gathered } from "./gathered.ts";
import { type JsonBody, type JsonLimits, readJson } from "./read-json.ts";
import { BodyRefusal } from "./scan-json.ts";

export type ToWorker =
  | { readonly kind: "start"; readonly lengthBytes: number }
  | { readonly kind: "piece"; readonly bytes: Uint8Array }
  | { readonly kind: "end"; readonly limits: JsonLimits };

export type FromWorker =
  | { readonly kind: "read"; readonly body: Omit<JsonBody, "value"> }
  | { readonly kind: "refused"; readonly status: 413 | 422; readonly reason: string };

// On Linux priority is per thread. Elsewhere this would slow the whole server down.
if (process.platform === "linux") setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

const gathered = new Gathered();

function read(limits: JsonLimits): void {
  try {
    const { text, files } = readJson(gathered.take(), limits);
    const buffers = files.flatMap(({ bytes }) => (bytes === undefined ? [] : [bytes.buffer]));
    parentPort?.postMessage({ kind: "read", body: { text, files } } satisfies FromWorker, buffers);
  } catch (error) {
    if (!(error instanceof BodyRefusal)) throw error;
    const { status, message: reason } = error;
    parentPort?.postMessage({ kind: "refused", status, reason } satisfies FromWorker);
  }
}

parentPort?.on("message", (message: ToWorker) => {
  if (message.kind === "start") gathered.reserve(message.lengthBytes);
  else if (message.kind === "piece") gathered.add(message.bytes);
  else read(message.limits);
});
