/**
 * The story of a training: dataset, cache, training, outputs.
 */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { AppError, type TrainJob, type TrainOutputs } from "@ltx-trainer/contract";
import { type BaseModel, injectLora } from "@ltx-trainer/ltx";
import { cudaIsAvailable, Generator } from "@ltx-trainer/torch";
import { type EncodeContext, type EncodedSample, encodeSamples, encodeTexts } from "./cache/encode.ts";
import { CacheStore } from "./cache/store.ts";
import { prepareDataset } from "./dataset/prepare.ts";
import { withoutLost } from "./dataset/report/lost-samples.ts";
import { counted } from "./dataset/report/notes.ts";
import type { Dataset } from "./dataset/types.ts";
import { JobFolder, writeJson } from "./job-folder.ts";
import { type BaseProfile, openJobBase, profileOf } from "./models/base-models.ts";
import { choosePlacement } from "./models/device.ts";
import { type DescribeUnseen, describeUnseenBy, describeUnseenPrompts } from "./models/unseen-text.ts";
import {
  type LoraFiles,
  type OutputContext,
  type Pictures,
  writeLoraFiles,
  writePictures,
} from "./outputs.ts";
import { makePlan, type Plan } from "./plan.ts";
import { portablePlan } from "./portable.ts";
import { checkMachine } from "./preflight.ts";
import type { Reporter } from "./process/events.ts";
import { isInterruption, stopIfAsked } from "./process/interrupt.ts";
import { seedFor } from "./process/seeds.ts";
import { Previewer } from "./sampling/previewer.ts";
import { portableSourceName, sourcePolicyOf } from "./source/policy.ts";
import type { Identity } from "./train/checkpoint.ts";
import { trainLoop } from "./train/loop.ts";
import { requireTraining } from "./train/resume.ts";
import { TrainingStep } from "./train/step.ts";

export async function runTraining(
  job: TrainJob,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<TrainOutputs> {
  if (job.resume && job.on_bad_checkpoint === "stop") requireTraining(job.out);
  const folder = await JobFolder.open(job.out, job);
  let isInterrupted = false;
  try {
    return await trainInto(folder, job, reporter, signal);
  } catch (error) {
    isInterrupted = isInterruption(error, signal);
    throw error;
  } finally {
    folder.close({ isInterrupted });
  }
}

async function trainInto(
  folder: JobFolder,
  job: TrainJob,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<TrainOutputs> {
  const started = performance.now();
  const setting = await settle(job, reporter, signal);
  const { base, plan } = setting;
  writeJson(folder.plan, portablePlan(plan, job.source_names));

  const prepared = await prepare(job, setting, folder, reporter, signal);
  const context: EncodeContext = {
    ...setting,
    store: new CacheStore(join(job.home, "cache")),
    reporter,
    signal,
  };
  const { samples, lost } = await encodeSamples(prepared.samples, context);
  const dataset = withoutLost(prepared, lost);
  if (lost.size > 0) writeJson(folder.report, dataset.report);
  rmSync(folder.work, { recursive: true, force: true });
  const previewer = await Previewer.make(
    plan,
    captionsFirst(samples),
    { ...context, ...sourcePolicyOf(job) },
    folder,
  );
  const embeddings = await encodeTexts([...samples.map((sample) => sample.caption)], plan.objective, context);

  const transformer = base.loadTransformer(setting.placement);
  const lora = injectLora(transformer, {
    ...plan.lora,
    generator: new Generator(seedFor("lora", plan.seed)),
  });
  const step = new TrainingStep(transformer, lora, { samples, embeddings }, plan);
  const preview = (done: number) => previewer.duringTraining(transformer, lora, done);
  const identity = identityOf(plan, dataset);
  const finalLoss = await trainLoop({
    ...{ plan, folder, lora, step, identity, reporter, signal, preview },
    onBadCheckpoint: job.on_bad_checkpoint,
  });
  step.optimizer.free();

  const made = { job, plan, folder, dataset, transformer, lora, previewer, reporter, signal };
  return deliver(made, { startedMs: started, finalLoss });
}

/** The LoRA first, and said so: from then on the training has succeeded, whatever happens to the videos. */
async function deliver(
  made: OutputContext,
  { startedMs, finalLoss }: { readonly startedMs: number; readonly finalLoss: number | null },
): Promise<TrainOutputs> {
  const { folder, plan, reporter } = made;
  const files = writeLoraFiles(made);
  const outputsWith = (pictures: Pictures): TrainOutputs => ({
    ...files,
    ...pictures,
    out: folder.path,
    steps: plan.steps,
    seconds: Math.round((performance.now() - startedMs) / 10) / 100,
    final_loss: finalLoss,
  });
  reporter.event({ type: "trained", outputs: outputsWith({ video: null, contact_sheet: null }) });
  const pictures = await writePictures(made);
  requireFiles(files);
  return outputsWith(pictures);
}

/** @throws AppError `file_unreadable` when somebody removed the LoRA while the videos were made */
function requireFiles(files: LoraFiles): void {
  const missing = Object.values(files).find((path) => !existsSync(path));
  if (missing === undefined) return;
  throw new AppError({
    code: "file_unreadable",
    message: `${missing}: it was written, and removed while the videos were made`,
    remedy: "Train again with another --out.",
    facts: { path: missing },
  });
}

/** What the data plays no part in: the base model, where it runs, and the plan. */
async function settle(job: TrainJob, reporter: Reporter, signal: AbortSignal) {
  reporter.phase("setup", "Opening the base model");
  await checkMachine(job.home, signal);
  const base: BaseModel = openJobBase(job.base, job.home, cudaIsAvailable());
  const placement = choosePlacement(job);
  const profile: BaseProfile = profileOf(base);
  const baseHash = await base.hash();
  stopIfAsked(signal);
  const plan = makePlan(job, { base, baseHash, profile, placement });
  reporter.info(
    `base model ${base.name} on ${placement.device}, ${placement.dtype}, libtorch ${plan.libtorch}`,
  );
  for (const note of plan.notes) reporter.info(note);
  const describeUnseen = describeUnseenBy(base);
  for (const note of describeUnseenPrompts(promptsOf(plan), describeUnseen)) reporter.warn(note);
  reporter.event({ type: "plan", plan: portablePlan(plan, job.source_names) });
  return { base, placement, baseHash, plan, describeUnseen };
}

function promptsOf({ validation }: Plan): Record<string, string> {
  const prompts = validation.prompts.map(({ prompt }, index) => [`validation[${index}].prompt`, prompt]);
  return Object.fromEntries([...prompts, ["validation_negative_prompt", validation.negativePrompt]]);
}

async function prepare(
  job: TrainJob,
  { plan, describeUnseen }: { readonly plan: Plan; readonly describeUnseen: DescribeUnseen },
  folder: JobFolder,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<Dataset> {
  reporter.phase("dataset", "Reading the dataset");
  const dataset = await prepareDataset(
    job.training_data_url,
    { ...plan.sample, ...plan.dataset },
    {
      ...sourcePolicyOf(job),
      workFolder: folder.work,
      signal,
      describeUnseen,
      onProgress: ({ title, done, total }) => reporter.phase("dataset", title, { done, total }),
      log: (level, message) => (level === "warning" ? reporter.warn(message) : reporter.info(message)),
    },
  );
  const report = { ...dataset.report, source: portableSourceName(job.training_data_url, job.source_names) };
  writeJson(folder.report, report);
  const { kept, dropped, samples } = report.totals;
  reporter.info(`dataset: ${counted(kept, "file")} kept, ${dropped} dropped, ${counted(samples, "sample")}`);
  return { ...dataset, report };
}

/** Captions in the order of the samples, each once: what previews show when no prompt was given. */
function captionsFirst(samples: readonly EncodedSample[]): string[] {
  return [...new Set(samples.map((sample) => sample.caption))];
}

/** What must not change between the parts of one training, or it would not be one. */
function identityOf(plan: Plan, dataset: Dataset): Identity {
  const { base, device, dtype, seed, steps, lora, optimizer, objective } = plan;
  const { checkpointBlocks: _, ...target } = objective;
  return {
    base: base.hash,
    dataset: dataset.hash,
    device: device.replace(/:\d+$/, ""),
    dtype,
    seed,
    steps,
    lora,
    optimizer,
    objective: target,
  };
}
