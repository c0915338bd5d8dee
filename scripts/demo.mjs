/**
 * `npm run demo`: trains a LoRA on the bundled example with the bundled model, and shows what it learned.
 *
 * Works like a program written for fal: starts a service, uploads the zip with fal's own client, waits, and downloads the
 * LoRA, its configuration and the validation video.
 */
import { execFileSync } from "node:child_process";
import {
  cpSync,
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { fal } from "@fal-ai/client";
import { describeLearning, readMetrics } from "./demo/learning.mjs";
import { LogView } from "./demo/log-view.mjs";
import { startService } from "./demo/service.mjs";
import { dataset, input, previews } from "./demo/training.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const endpoint = "fal-ai/ltx-video-trainer";

/** The first folder of that name that is not there yet. */
function freshFolder() {
  const names = Array.from({ length: 1000 }, (_, index) => (index === 0 ? "demo" : `demo-${index + 1}`));
  const name = names.find((candidate) => !existsSync(join(root, "out", candidate)));
  if (!name) throw new Error("out/: got 1,000 demo folders; delete some");
  const folder = join(root, "out", name);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/**
 * What a program for fal looks like; the first line is the only one that knows of our service.
 *
 * @param {import("./demo/service.mjs").Service} service
 */
async function trainWithFal(service) {
  fal.config({ credentials: service.key, proxyUrl: { url: `${service.url}/api/fal/proxy`, when: "always" } });
  const view = new LogView(process.stdout);
  const clips = new File([readFileSync(join(root, dataset))], basename(dataset), { type: "application/zip" });
  const { data, requestId } = await fal.subscribe(endpoint, {
    input: { ...input, validation: [...input.validation], training_data_url: clips },
    logs: true,
    onQueueUpdate: (update) => view.show(("logs" in update && update.logs) || []),
  });
  view.end();
  return { data, requestId };
}

/**
 * @param {{ url: string } | null | undefined} file of the answer
 * @param {string} folder
 * @returns {Promise<string | undefined>} its path here
 */
async function download(file, folder) {
  if (!file) return undefined;
  const response = await fetch(file.url);
  if (!response.ok) throw new Error(`${file.url}: ${response.status} ${await response.text()}`);
  // The service's names begin with 32 digits, so that no two files share one.
  const name = basename(new URL(file.url).pathname).replace(/^[0-9a-f]{32}_/, "");
  const path = join(folder, name);
  writeFileSync(path, Buffer.from(await response.arrayBuffer()));
  return path;
}

/**
 * Which previews show the effect, read from their pixels.
 *
 * @param {string} folder
 * @returns {{ on: boolean[], off: boolean[] }}
 */
function measureEffect(folder) {
  const script = join(root, "scripts/demo/measure-effect.ts");
  const args = ["--conditions=source", "--import", "tsx", script, folder, String(previews.length)];
  return JSON.parse(execFileSync(process.execPath, args, { cwd: root, encoding: "utf8" }));
}

/**
 * "2 of 2" for the previews that name the effect, or for those that do not.
 *
 * @param {readonly boolean[]} seen
 * @param {boolean} named
 */
function countOf(seen, named) {
  const asked = seen.filter((_, index) => previews[index]?.named === named);
  return `${asked.filter(Boolean).length} of ${asked.length}`;
}

/**
 * @param {string} out
 * @param {Record<string, string | undefined>} made
 */
function showResults(out, made) {
  for (const [what, file] of Object.entries(made))
    if (file) console.log(`  ${what.padEnd(20)}${relative(root, file)}`);
  const { on, off } = measureEffect(out);
  console.log(
    `\nThe glow is there in ${countOf(on, true)} previews that ask for it, in ${countOf(off, true)} with the LoRA off, and in ` +
      `${countOf(on, false)} that do not ask. Look at ${relative(root, join(out, "contact-sheet.png"))}`,
  );
  console.log(describeLearning(readMetrics(readFileSync(join(out, "metrics.jsonl"), "utf8"))));
}

async function main() {
  const began = performance.now();
  const out = freshFolder();
  const home = join(out, "service");
  const log = createWriteStream(join(out, "service.log"));
  console.log(
    `\nStarting a service, and training ${input.number_of_steps} steps with @fal-ai/client on ${dataset}\n`,
  );
  const service = await startService(root, home, log);
  try {
    const { data, requestId } = await trainWithFal(service);
    if (data.video === null)
      throw new Error(
        `the LoRA is trained, but the validation video is missing; see ${join(out, "service.log")}`,
      );
    const files = {
      LoRA: await download(data.lora_file, out),
      configuration: await download(data.config_file, out),
      "validation video": await download(data.video, out),
    };
    // The service keeps more than the answer has fields for.
    const kept = join(home, "requests", requestId, "output");
    for (const name of ["contact-sheet.png", "metrics.jsonl", "samples"])
      cpSync(join(kept, name), join(out, name), { recursive: true });
    console.log(`\nDone in ${Math.round((performance.now() - began) / 1000)} s: request ${requestId}`);
    showResults(out, { ...files, "LoRA off beside on": join(out, "contact-sheet.png") });
  } finally {
    await service.stop();
    log.end();
  }
  rmSync(home, { recursive: true, force: true });
}

let isInterrupted = false;
// Ctrl-C has already reached the service and its trainer; what is left to do is to wait for them.
process.on("SIGINT", () => {
  isInterrupted = true;
});

try {
  await main();
} catch (error) {
  const reason = error instanceof Error ? error.message : String(error);
  console.error(
    isInterrupted
      ? "\nStopped."
      : `\nThe demo failed: ${reason}\nThe service's own words: out/demo*/service.log`,
  );
  process.exitCode = isInterrupted ? 130 : 1;
}
