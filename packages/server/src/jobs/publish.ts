/** Stores the files of a job and builds the answer of its request. */
import { basename } from "node:path";
import type { OutputFile } from "@ltx-trainer/contract";
import { v7 as uuidv7 } from "uuid";
import type { NewFile } from "../db/files/files.ts";
import type { ClaimedRequest } from "../db/requests/leases.ts";
import type { Success } from "../db/requests/transitions.ts";
import type { Endpoint } from "../endpoints/endpoint.ts";
import { newAddress } from "../storage/file-names.ts";
import { decisionFor, parseLifecycle } from "../storage/lifecycle.ts";
import { longestSignatureSeconds, type Signer } from "../storage/signer.ts";
import type { FileStore } from "../storage/stores/file-store.ts";
import { fileUrl } from "../wire/public-urls.ts";
import type { Outputs } from "./confine/request-folder.ts";

const contentTypes: Readonly<Record<string, string>> = {
  ".mp4": "video/mp4",
  ".json": "application/json",
  ".safetensors": "application/octet-stream",
};

type PublishDeps = {
  readonly endpoint: Endpoint;
  readonly store: FileStore;
  readonly signer: Signer;
  /** Files that earlier attempts stored, by path. This attempt adds its own. */
  readonly stored: Map<string, NewFile>;
};

/**
 * Stores the files with the lifetime and access rules of the request. `succeed` writes their rows and the answer.
 */
export async function publishOutputs(
  outputs: Outputs,
  request: ClaimedRequest,
  { endpoint, store, signer, stored }: PublishDeps,
): Promise<Success> {
  const checked = new Set(endpoint.filesOf(outputs));
  const publish = async (path: string): Promise<OutputFile> => {
    // Only these were checked to lie in the output folder.
    if (!checked.has(path))
      throw new Error(`endpoint ${endpoint.name}: filesOf lacks ${path}, which publish stores`);
    const file = stored.get(path) ?? (await adopt(path, request, store));
    stored.set(path, file);
    return {
      url: urlOf(file, request, signer),
      content_type: file.contentType,
      file_name: file.name,
      file_size: file.sizeBytes ?? 0,
    };
  };
  return {
    body: JSON.stringify(await endpoint.publish(outputs, publish)),
    headers: { "x-fal-billable-units": String(endpoint.billableUnits(outputs)) },
    files: [...stored.values()],
  };
}

/** Clients download results without a key. A file that is not public gets a signed address. */
function urlOf(file: NewFile, { publicUrl }: ClaimedRequest, signer: Signer): string {
  return decisionFor(file, undefined) === "allow"
    ? fileUrl(publicUrl, file)
    : signer.signedUrl(publicUrl, file, longestSignatureSeconds);
}

async function adopt(path: string, request: ClaimedRequest, store: FileStore): Promise<NewFile> {
  const id = uuidv7();
  const extension = /\.[a-z0-9]+$/.exec(path)?.[0] ?? "";
  return {
    id,
    ...newAddress(basename(path)),
    userId: request.userId,
    contentType: contentTypes[extension] ?? "application/octet-stream",
    sizeBytes: await store.adopt(id, path),
    origin: "output",
    requestId: request.requestId,
    ...parseLifecycle("lifecycle", request.lifecycle),
  };
}
