/** Job schemas and named sizes. */
import { expect, test } from "vitest";
import { GenerateJob, GenerateOptions, TrainJob } from "./jobs.ts";

test("a training job says where its output and data folders are", () => {
  expect(TrainJob.safeParse({ training_data_url: "x" }).error?.issues.map((issue) => issue.path)).toEqual([
    ["out"],
    ["home"],
  ]);
  expect(TrainJob.parse({ training_data_url: "x", out: "o", home: "h" })).toMatchObject({
    resume: false,
    seed: 42,
  });
});

test("a bad checkpoint stops a training unless its job says otherwise", () => {
  const job = { training_data_url: "x", out: "o", home: "h" };
  expect(TrainJob.parse(job).on_bad_checkpoint).toBe("stop");
  expect(TrainJob.parse({ ...job, on_bad_checkpoint: "restart" }).on_bad_checkpoint).toBe("restart");
});

test("what a LoRA may decide has no default of its own", () => {
  const job = GenerateJob.parse({ prompt: "a", out: "v.mp4", home: "h" });
  for (const field of [
    "negative_prompt",
    "resolution",
    "number_of_frames",
    "frame_rate",
    "steps",
    "base",
  ] as const)
    expect(job[field], field).toBeUndefined();
  expect(job.overwrite).toBe(false);
  expect(GenerateJob.safeParse({ prompt: "a", home: "h" }).error?.issues).toMatchObject([{ path: ["out"] }]);
});

test("width and height come together", () => {
  expect(GenerateOptions.safeParse({ prompt: "a", width: 64, height: 64 }).success).toBe(true);
  expect(GenerateOptions.safeParse({ prompt: "a", width: 64 }).error?.issues).toMatchObject([
    { path: ["height"] },
  ]);
});

test("a first frame needs frames after it", () => {
  const ask = { prompt: "a", image: "a.png" };
  expect(GenerateOptions.safeParse({ ...ask, number_of_frames: 8 }).error?.issues).toMatchObject([
    {
      path: ["number_of_frames"],
      message: expect.stringContaining("got 8, expected at least 9 with an image"),
    },
  ]);
  for (const number_of_frames of [9, undefined]) {
    expect(GenerateOptions.safeParse({ ...ask, number_of_frames }).success).toBe(true);
  }
});
