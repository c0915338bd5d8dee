/** The commands that are work of the trainer: train, inspect, generate, models. Each makes a job and shows its answer. */
import { resolve } from "node:path";
import {
  GenerateJob,
  GenerateOutputs,
  InspectJob,
  InspectOutputs,
  ModelsOutputs,
  type TrainerCommand,
  TrainJob,
  TrainOutputs,
} from "@ltx-trainer/contract";
import { homeFolder } from "@ltx-trainer/host";
import type { Console } from "../display/console.ts";
import { formatBytes, formatDuration, ProgressView } from "../display/progress.ts";
import { renderReport } from "../display/render-report.ts";
import { checkOptions } from "../options/flags.ts";
import { defaultOutput, freeName, isAddress } from "../options/places.ts";
import { runTrainer } from "../trainer-process.ts";

type Options = Readonly<Record<string, unknown>>;
type Outputs = Readonly<Record<string, unknown>>;

/** Trains a LoRA. */
export async function train(options: Options, console: Console): Promise<void> {
  const data = options.training_data_url;
  const output = typeof data === "string" ? defaultOutput(data) : "my-lora";
  const job = makeJob(TrainJob, options, {
    command: "train",
    out: resolve(textOr(options.out, output)),
  });
  const outputs = TrainOutputs.parse(await work("train", job, console));
  const loss = outputs.final_loss === null ? "" : `, final loss ${outputs.final_loss.toFixed(4)}`;
  const files = [
    ["LoRA", outputs.lora_file],
    ["for ComfyUI", outputs.lora_file_comfyui],
    ["config", outputs.config_file],
    ["video", outputs.video ?? `none: ${outputs.video_error ?? "not made"}`],
    ["contact sheet", outputs.contact_sheet],
  ] as const;
  const reference = options.reference_videos === true ? " --reference video.mp4" : "";
  const lines = [
    `Trained ${outputs.steps} steps in ${formatDuration(outputs.seconds)}${loss}.`,
    ...files.flatMap(([name, path]) => (path === null ? [] : [`  ${name.padEnd(14)} ${path}`])),
    outputs.video === null ? "Make a video with it:" : "Try it:",
    `  ltx-trainer generate --lora ${outputs.lora_file}${reference} --compare --prompt "..."`,
  ];
  console.result(lines.join("\n"), outputs);
}

/** Says what a training would do with a dataset. */
export async function inspect(options: Options, console: Console): Promise<void> {
  const job = makeJob(InspectJob, options, { command: "inspect" });
  const { report, plan } = InspectOutputs.parse(await work("inspect", job, console));
  console.result(renderReport(report), { ...report, ...(plan === undefined ? {} : { plan }) });
}

/** Makes a video. */
export async function generate(options: Options, console: Console): Promise<void> {
  const out = resolve(textOr(options.out, freeName(".", "video", ".mp4")));
  const job = makeJob(GenerateJob, options, { command: "generate", out });
  const outputs = GenerateOutputs.parse(await work("generate", job, console));
  const { width, height, frames, frame_rate, seed } = outputs;
  const { lora_modules: modulesCount, lora_keys_unmatched: unmatched } = outputs;
  const missed = unmatched ? ` (${unmatched} keys not applied)` : "";
  const modules = modulesCount === null ? "" : `, LoRA applied to ${modulesCount} modules${missed}`;
  const facts = `${width}x${height}, ${frames} frames at ${frame_rate}/s, seed ${seed}${modules}`;
  console.result(`${outputs.video}\n  ${facts}, in ${formatDuration(outputs.seconds)}`, outputs);
}

/** Lists the base models that can be named. */
export async function listModels(options: Options, console: Console): Promise<void> {
  const home = homeFolder(options.home as string | undefined);
  const outputs = ModelsOutputs.parse(await work("models", { home, action: "list" }, console));
  const lines = outputs.models.map(({ name, family, sizeBytes, source, folder, problem }) => {
    const state = problem === undefined ? folder : `cannot be used: ${problem}`;
    return `${name.padEnd(24)} ${family.padEnd(7)} ${formatBytes(sizeBytes).padStart(8)}  ${source.padEnd(9)} ${state}`;
  });
  const hint = `More models: put a diffusers folder under ${home}/models.`;
  console.result([...(lines.length === 0 ? ["no base model found"] : lines), hint].join("\n"), outputs);
}

type JobContext = { readonly command: string; readonly out?: string };

/** The job: checked options and absolute paths. */
function makeJob(
  schema: typeof TrainJob | typeof InspectJob | typeof GenerateJob,
  options: Options,
  context: JobContext,
) {
  const { command, out } = context;
  const data = options.training_data_url;
  const paths = {
    home: homeFolder(options.home as string | undefined),
    ...(out === undefined ? {} : { out }),
    ...(typeof data === "string" && data !== "" && !isAddress(data)
      ? { training_data_url: resolve(data) }
      : {}),
  };
  return checkOptions<Options>(schema, { ...options, ...paths }, command);
}

function textOr(value: unknown, fallback: string): string {
  return typeof value === "string" && value !== "" ? value : fallback;
}

/** After this long, whoever pressed Ctrl-C is told what is still being done. */
const waitingAfterMs = 2_000;

async function work(command: TrainerCommand, job: Options, console: Console): Promise<Outputs> {
  const view = new ProgressView(console);
  let timer: NodeJS.Timeout | undefined;
  try {
    return await runTrainer({
      command,
      job,
      onEvent: (event) => view.show(event),
      onNoise: (line, stream) => {
        if (stream === "stderr") console.say(line);
      },
      onInterrupt: (times) => {
        console.say(interruptWords(command, times));
        timer ??= setTimeout(() => console.say(`Waiting for: ${view.current}.`), waitingAfterMs);
      },
    });
  } finally {
    clearTimeout(timer);
  }
}

function interruptWords(command: TrainerCommand, times: number): string {
  if (times > 1) return "Ending it at once.";
  const later = command === "train" ? "; `--resume` continues later" : "";
  return `Stopping after the work in hand${later}. Press Ctrl-C again to end it at once.`;
}
