/**
 * A program in the trainer's place that says and does what the job's trigger phrase names. See `scenarios/hand-over.test.ts`.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [, , , jobFile = ""] = process.argv;
const { trigger_phrase: script, out, number_of_steps: steps } = JSON.parse(readFileSync(jobFile, "utf8"));

/** @param {Record<string, unknown>} event */
const say = (event) => writeFileSync(1, `${JSON.stringify(event)}\n`);
/** @param {string} code */
const fail = (code) => {
  say({ type: "failed", code, message: `scripted: ${code}`, retryable: false, exitCode: 1 });
  process.exit(1);
};
const progress = { loss: 1, lr: 1e-4, secondsPerStep: 0.1, etaSeconds: 0, memoryBytes: 1 };
const step = () => say({ type: "progress", step: 1, total: steps, ...progress });

mkdirSync(out, { recursive: true });
const files = Object.fromEntries(
  ["lora_file", "lora_file_comfyui", "config_file"].map((name) => [name, join(out, `${name}.json`)]),
);
/** @param {string | null} video */
const outputs = (video) => ({
  ...files,
  video,
  contact_sheet: null,
  out,
  steps,
  seconds: 1,
  final_loss: 1,
});
const train = () => {
  for (const path of Object.values(files)) writeFileSync(path, script);
  say({ type: "trained", outputs: outputs(null) });
};
const finish = () => {
  const video = join(out, "validation.mp4");
  writeFileSync(video, "video");
  say({ type: "finished", outputs: outputs(video) });
};
/** Whether this is the first attempt at the request. */
const isFirst = () => {
  const note = join(out, "attempted");
  if (existsSync(note)) return false;
  writeFileSync(note, "");
  return true;
};

/** @type {Record<string, () => void>} */
const scripts = {
  "finishes well": () => {
    step();
    train();
    finish();
  },
  "prints other things as well": () => {
    writeFileSync(1, "a library says hello\n{\n{}\n[1]\n");
    writeFileSync(2, "a warning\n");
    train();
    finish();
    writeFileSync(1, '{"type": "unheard-of"}\n');
  },
  "ends after the LoRA": () => train(),
  "is killed after the LoRA": () => {
    train();
    process.kill(process.pid, "SIGKILL");
  },
  "fails after the LoRA": () => {
    train();
    fail("out_of_memory");
  },
  "fails for its data": () => fail("zip_damaged"),
  "fails for its learning rate": () => {
    step();
    fail("training_diverged");
  },
  "fails by a bug once": () => {
    if (isFirst()) fail("internal");
    train();
    finish();
  },
  "says nothing once": () => {
    if (isFirst()) return;
    train();
    finish();
  },
  "is killed once after a step": () => {
    step();
    if (isFirst()) process.kill(process.pid, "SIGKILL");
    train();
    finish();
  },
  "is killed after a step, always": () => {
    step();
    process.kill(process.pid, "SIGKILL");
  },
  "names a file that is not its own once": () => {
    if (isFirst()) say({ type: "finished", outputs: { ...outputs(null), lora_file: "/etc/hostname" } });
    else {
      train();
      finish();
    }
  },
};

scripts[script]?.();
