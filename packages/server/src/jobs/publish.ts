/** From the files a training left on disk to the answer of its request. */
import { randomBytes } from "node:crypto";
import { basename } from "node:path";
import type { OutputFile, TrainingOutput, TrainOutputs } from "@ltx-trainer/contract";
import { v7 as uuidv7 } from "uuid";
import type { NewFile } from "../db/files.ts";
import type { ClaimedRequest, Success } from "../db/transitions.ts";
import { fileUrl } from "../public-urls.ts";
import type { DiskStore } from "../storage/disk-store.ts";

const contentTypes: Readonly<Record<string, string>> = {
  ".mp4": "video/mp4",
  ".json": "application/json",
  ".safetensors": "application/octet-stream",
};

/** Puts the files into the store. Their rows and the answer are for `succeed` to write. */
export async function publishOutputs(
  outputs: TrainOutputs,
  request: ClaimedRequest,
  store: DiskStore,
): Promise<Success> {
  const files: NewFile[] = [];
  const publish = async (path: string): Promise<OutputFile> => {
    const file = await adopt(path, request, store);
    files.push(file);
    return {
      url: fileUrl(request.publicUrl, file),
      content_type: file.contentType,
      file_name: file.name,
      file_size: file.sizeBytes,
    };
  };
  const output: TrainingOutput = {
    video: outputs.video === null ? null : await publish(outputs.video),
    lora_file: await publish(outputs.lora_file),
    config_file: await publish(outputs.config_file),
  };
  return {
    body: JSON.stringify(output),
    headers: { "x-fal-billable-units": String(outputs.steps) },
    files,
  };
}

async function adopt(path: string, request: ClaimedRequest, store: DiskStore): Promise<NewFile> {
  const id = uuidv7();
  const extension = /\.[a-z0-9]+$/.exec(path)?.[0] ?? "";
  return {
    id,
    store: randomBytes(4).toString("hex"),
    name: `${randomBytes(16).toString("hex")}_${basename(path)}`,
    userId: request.userId,
    contentType: contentTypes[extension] ?? "application/octet-stream",
    sizeBytes: await store.adopt(id, path),
    origin: "output",
    requestId: request.requestId,
    acl: null,
    lifetimeSeconds: null,
  };
}
