/**
 * Trains on a zip with fal's client: uploads it, waits and prints logs, prints the URLs of the results.
 *
 *   FAL_KEY=... npx tsx train.ts clips.zip '{"trigger_phrase": "glowpulse style"}'
 */
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fal } from "@fal-ai/client";

const server = process.env.LTX_TRAINER_URL ?? "http://localhost:8000";
const [path, options = "{}"] = process.argv.slice(2);
if (path === undefined) throw new Error("usage: train.ts <zip> [input as JSON]");

// `proxyUrl` sends every request to your own server. Needs @fal-ai/client 1.10 or newer.
fal.config({
  credentials: process.env.FAL_KEY ?? "",
  proxyUrl: { url: `${server}/api/fal/proxy`, when: "always" },
});

const clips = new File([await readFile(path)], basename(path), { type: "application/zip" });
let shown = 0;
const { data, requestId } = await fal.subscribe("fal-ai/ltx-video-trainer", {
  input: { ...JSON.parse(options), training_data_url: clips },
  logs: true,
  onQueueUpdate: (update) => {
    if (update.status === "IN_QUEUE") console.log(`${update.queue_position} requests ahead`);
    // Polling returns the whole log each time.
    else for (const { message } of (update.logs ?? []).slice(shown)) console.log(message);
    shown = "logs" in update ? (update.logs?.length ?? 0) : 0;
  },
});
console.log(`request ${requestId}`);
console.log(JSON.stringify(data, null, 2));
