/**
 * A trainer without tensors, for tests of the command line: `node fake-trainer.mjs <command> <job.json>`.
 *
 * It speaks the same protocol. What it does is chosen by the job's trigger phrase; `echo` puts the job into a log line.
 */
import { readFileSync } from "node:fs";

const [command, path] = process.argv.slice(2);
const job = JSON.parse(readFileSync(path, "utf8"));
const emit = (event) => console.log(JSON.stringify(event));
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const progress = (step) => ({
  type: "progress",
  step,
  total: 4,
  loss: 1 / step,
  lr: 2e-4,
  secondsPerStep: 0.25,
  etaSeconds: 4 - step,
  memoryBytes: 1.5e9,
});
const trained = {
  lora_file: `${job.out}/lora.safetensors`,
  lora_file_comfyui: `${job.out}/lora.comfyui.safetensors`,
  config_file: `${job.out}/config.json`,
  video: null,
  contact_sheet: null,
  out: job.out,
  steps: 4,
  seconds: 61,
  final_loss: 0.25,
};
const interrupted = {
  type: "failed",
  code: "interrupted",
  message: "stopped",
  retryable: true,
  exitCode: 130,
};

const behaviours = {
  echo: () => emit({ type: "log", level: "info", message: `job ${JSON.stringify(job)}` }),
  "not a zip": () => {
    const failure = {
      code: "not_a_zip",
      message: "x: got text",
      remedy: "Zip it.",
      retryable: false,
      exitCode: 2,
    };
    emit({ type: "failed", ...failure });
    process.exit(2);
  },
  crash: () => {
    console.error("libtorch: something terrible");
    process.exit(3);
  },
  starved: () => {
    console.error("OpenBLAS: malloc failed in gemm_driver");
    process.exit(1);
  },
  killed: async () => {
    process.kill(process.pid, "SIGKILL");
    await wait(10_000);
  },
  "killed when trained": async () => {
    emit({ type: "trained", outputs: trained });
    await behaviours.killed();
  },
  patient: async () => {
    process.on("SIGINT", () => {
      emit(interrupted);
      process.exit(130);
    });
    emit({ type: "log", level: "info", message: `pid ${process.pid}` });
    await wait(60_000);
  },
  talkative: async () => {
    setInterval(() => emit({ type: "warning", message: "still here" }), 50);
    await behaviours.patient();
  },
  stubborn: async () => {
    process.on("SIGINT", () => {});
    emit({ type: "log", level: "info", message: `pid ${process.pid}` });
    await wait(60_000);
  },
};

const answers = {
  train: trained,
  models: {
    models: [
      { name: "tiny", folder: "/m/tiny", source: "bundled", family: "nano", sizeBytes: 2.5e6 },
      {
        name: "bad",
        folder: "/m/bad",
        source: "installed",
        family: "unknown",
        sizeBytes: 10,
        problem: "no weights",
      },
    ],
  },
  doctor: { checks: [{ name: "matrix product", status: "ok", detail: "100 GFLOP/s" }] },
  generate: {
    video: job.out,
    width: 64,
    height: 64,
    frames: 9,
    frame_rate: 25,
    seed: job.seed,
    lora_modules: null,
    seconds: 2,
  },
};

emit({ type: "phase", phase: "setup", title: "Opening the base model" });
console.log("a native library says hello");
await behaviours[job.trigger_phrase]?.();
if (command === "train") {
  emit({ type: "plan", plan: { steps: 4, sample: { width: 64, frames: 25 }, notes: [] } });
  for (let step = 1; step <= 4; step++) emit(progress(step));
  emit({ type: "warning", message: "two clips are alike" });
}
emit({ type: "finished", outputs: answers[command] });
