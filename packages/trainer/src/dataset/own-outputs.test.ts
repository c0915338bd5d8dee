/** What earlier trainings wrote into a dataset's folder takes no part. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { outputNames } from "../job-folder.ts";
import { numberedClip, temporaryFolder } from "../media/testing/media.ts";
import { splitOutputs } from "./own-outputs.ts";
import { prepareDataset } from "./prepare.ts";
import { datasetOptions } from "./testing/options.ts";

const split = (...paths: string[]) => {
  const { own, data } = splitOutputs(paths.map((path) => ({ path })));
  return { own: own.map(({ path }) => path), data: data.map(({ path }) => path) };
};

test("a finished training's files are known, the user's beside them are data", () => {
  const outputs = [
    ...outputNames.files.map((name) => `my-lora/${name}`),
    ...["my-lora/samples/final-lora-on-1.mp4", "my-lora/checkpoints/step-000004/state.json"],
  ];
  const data = ["a.mp4", "a.txt", "my-lora/holiday.mp4", "my-lora/more/b.mp4", "validation.mp4"];
  expect(split(...outputs, ...data)).toEqual({ own: outputs, data });
});

test("a plan.json alone makes no folder ours", () => {
  const data = ["plan.json", "samples/a.mp4", "validation.mp4", "checkpoints/b.mp4"];
  expect(split(...data)).toEqual({ own: [], data });
});

test("a dataset is the same before and after a training wrote into its folder", async () => {
  const data = temporaryFolder();
  numberedClip(join(data, "a.mkv"), { frames: 9, fps: 25 });
  const options = datasetOptions();
  const context = { workFolder: join(temporaryFolder(), "work") };
  const before = await prepareDataset(data, options, context);
  mkdirSync(join(data, "my-lora", "samples"), { recursive: true });
  for (const name of ["plan.json", "config.json"]) writeFileSync(join(data, "my-lora", name), "{}");
  for (const name of ["validation.mp4", "samples/final-lora-on-1.mp4"]) {
    cpSync(join(data, "a.mkv"), join(data, "my-lora", name));
  }
  const after = await prepareDataset(data, options, context);
  expect(after.hash).toBe(before.hash);
  expect(after.report.files.find(({ path }) => path === "my-lora/validation.mp4")).toMatchObject({
    status: "ignored",
    reason: "written by a training",
  });
});
