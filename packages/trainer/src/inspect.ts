/**
 * The pre-flight report: what a training would make of a dataset, without loading a model's weights.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { InspectJob, InspectOutputs } from "@ltx-trainer/contract";
import { cudaIsAvailable } from "@ltx-trainer/torch";
import { prepareDataset } from "./dataset/prepare.ts";
import { openJobBase, profileOf } from "./models/base-models.ts";
import { choosePlacement } from "./models/device.ts";
import { describeUnseenBy } from "./models/unseen-text.ts";
import { makePlan } from "./plan.ts";
import { portablePlan } from "./portable.ts";
import type { Reporter } from "./process/events.ts";

export async function inspectDataset(
  job: InspectJob,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<InspectOutputs> {
  const base = openJobBase(job.base, job.home, cudaIsAvailable());
  const plan = makePlan(job, {
    base,
    baseHash: await base.hash(),
    profile: profileOf(base),
    placement: choosePlacement(job),
  });
  for (const note of plan.notes) reporter.info(note);
  const workFolder = mkdtempSync(join(tmpdir(), "ltx-trainer-inspect-"));
  try {
    const options = { ...plan.sample, ...plan.dataset };
    const dataset = await prepareDataset(job.training_data_url, options, {
      workFolder,
      signal,
      describeUnseen: describeUnseenBy(base),
      onProgress: ({ title, done, total }) => reporter.phase("dataset", title, { done, total }),
      log: (level, message) => (level === "warning" ? reporter.warn(message) : reporter.info(message)),
    });
    return { report: dataset.report, plan: portablePlan(plan, {}) };
  } finally {
    rmSync(workFolder, { recursive: true, force: true });
  }
}
