/**
 * `npm run demo`: trains a LoRA on the bundled example with the bundled model and says what came of it.
 *
 * Runs after the set-up, through the same command a user would type.
 */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describeLearning, readMetrics } from "./demo/learning.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Enough to see the effect of the example's clips, within three minutes on two cores. */
const options = ["--base", "ltx-nano", "--number-of-steps", "200"];

/**
 * @typedef {{ lora_file: string, config_file: string, video: string | null, contact_sheet: string | null,
 *   out: string, steps: number, seconds: number }} Outputs
 */

/** The first folder of that name that is not there yet. */
function freshFolder() {
  const names = Array.from({ length: 1000 }, (_, index) => (index === 0 ? "demo" : `demo-${index + 1}`));
  const name = names.find((candidate) => !existsSync(join(root, "out", candidate)));
  if (!name) throw new Error("out/: a thousand demos are enough; delete some");
  return join(root, "out", name);
}

/** @returns {string} the bundled dataset */
function exampleDataset() {
  const name = readdirSync(join(root, "examples")).find((file) => file.endsWith(".zip"));
  if (!name)
    throw new Error("examples/: got no zip file; expected the bundled dataset. Is the checkout complete?");
  return join(root, "examples", name);
}

/**
 * Runs the command; its progress goes to the terminal as it comes.
 *
 * @param {string[]} args
 * @returns {Promise<Outputs | undefined>} undefined when it failed; it has said why
 */
function runCommand(args) {
  const child = spawn(process.execPath, [join(root, "packages/cli/bin/ltx-trainer.js"), ...args], {
    cwd: root,
    stdio: ["inherit", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (/** @type {string} */ piece) => {
    text += piece;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      if (code !== 0) process.exitCode = code ?? 1;
      resolve(code === 0 ? JSON.parse(text.trimEnd().split("\n").at(-1) ?? "") : undefined);
    });
  });
}

async function main() {
  const dataset = exampleDataset();
  const command = ["train", relative(root, dataset), ...options, "--out", relative(root, freshFolder())];
  console.log(`\n$ npx ltx-trainer ${command.join(" ")}\n`);
  const outputs = await runCommand([...command, "--json"]);
  if (!outputs) return;
  const metrics = readMetrics(readFileSync(join(outputs.out, "metrics.jsonl"), "utf8"));
  const made = [
    ["LoRA", outputs.lora_file],
    ["configuration", outputs.config_file],
    ["validation video", outputs.video],
    ["LoRA off beside on", outputs.contact_sheet],
  ];
  console.log(
    `\nDone in ${Math.round(outputs.seconds)} s: ${outputs.steps} steps. Output folder: ${outputs.out}`,
  );
  for (const [what, file] of made)
    if (file) console.log(`  ${String(what).padEnd(20)}${relative(outputs.out, file)}`);
  console.log(`\n${describeLearning(metrics)}`);
}

await main();
