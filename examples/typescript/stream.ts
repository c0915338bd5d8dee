/**
 * The same step by step: uploads, submits, streams the status, fetches the result.
 *
 *   FAL_KEY=... npx tsx stream.ts clips.zip '{"trigger_phrase": "glowpulse style"}'
 */
import { readFile } from "node:fs/promises";
import { fal } from "@fal-ai/client";

const server = process.env.LTX_TRAINER_URL ?? "http://localhost:8000";
const endpoint = "fal-ai/ltx-video-trainer";
const [path, options = "{}"] = process.argv.slice(2);
if (path === undefined) throw new Error("usage: stream.ts <zip> [input as JSON]");

fal.config({
  credentials: process.env.FAL_KEY ?? "",
  proxyUrl: { url: `${server}/api/fal/proxy`, when: "always" },
});

const training_data_url = await fal.storage.upload(
  new Blob([await readFile(path)], { type: "application/zip" }),
);
console.log(`uploaded to ${training_data_url}`);

const input = { ...JSON.parse(options), training_data_url };
const { request_id: requestId } = await fal.queue.submit(endpoint, { input });
const updates = await fal.queue.streamStatus(endpoint, { requestId, logs: true });
for await (const update of updates) {
  // A stream sends each log line once.
  for (const { message } of ("logs" in update && update.logs) || []) console.log(message);
}
const { data } = await fal.queue.result(endpoint, { requestId });
console.log(JSON.stringify(data, null, 2));
