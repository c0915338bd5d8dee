/**
 * `npm run demo`: trains a LoRA on the bundled example with the bundled model and says what came of it.
 *
 * Runs after the set-up, through the same command a user would type.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describeLearning, readMetrics } from "./demo/learning.mjs";
import { demoTraining, previews } from "./demo/training.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

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

/** @param {string} word */
function quoted(word) {
  return word.includes(" ") ? `"${word}"` : word;
}

/**
 * How many previews show the effect, read from their pixels.
 *
 * @param {string} folder
 * @returns {{ previews: number, on: number, off: number }}
 */
function measureEffect(folder) {
  const script = join(root, "scripts/demo/measure-effect.ts");
  const args = [
    "--conditions=source",
    "--import",
    "tsx",
    script,
    folder,
    ...previews.map(({ colour }) => colour),
  ];
  return JSON.parse(execFileSync(process.execPath, args, { cwd: root, encoding: "utf8" }));
}

async function main() {
  const command = [...demoTraining, "--out", relative(root, freshFolder())];
  console.log(`\n$ npx ltx-trainer ${command.map(quoted).join(" ")}\n`);
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
  const seen = measureEffect(outputs.out);
  console.log(
    `\nThe glow of the example is there in ${seen.on} of ${seen.previews} previews with the LoRA, in ${seen.off} without. ` +
      `Look at ${relative(root, outputs.contact_sheet ?? outputs.out)}`,
  );
  console.log(describeLearning(metrics));
}

await main();
