/** Sentences about the whole dataset. */
import type { ReportFile } from "@ltx-trainer/contract";
import { expect, test } from "vitest";
import { makeReport } from "./report.ts";

function file(path: string, width: number, height: number): ReportFile {
  const sample = {
    id: path,
    frames: 9,
    width: 64,
    height: 64,
    frameRate: 25,
    startSeconds: 0,
    durationSeconds: 1,
  };
  const told = { caption: "words", captionSource: "text file" } as const;
  return { path, status: "kept", kind: "video", sizeBytes: 1, width, height, ...told, samples: [sample] };
}

test("much that is cropped away is said once, with the worst of all", () => {
  const files = [file("a.mp4", 1920, 1080), file("b.mp4", 1080, 1920), file("c.mp4", 70, 64)];
  const wide = makeReport("clips", "", [...files, file("d.mp4", 2400, 1000), file("e.mp4", 64, 64)]);
  expect(wide.warnings).toEqual([
    "3 of 5 media files lose more than a fifth of the picture to the crop, most of all d.mp4 (58 %): it is 2400x1000, " +
      "the samples are 64x64. Choose the aspect ratio that fits them.",
  ]);
});

test("one of a thing is not many", () => {
  const alone = { ...file("a.mp4", 1920, 1080), caption: "", captionSource: "file name" } as const;
  const broken: ReportFile = {
    path: "b.mp4",
    status: "dropped",
    kind: "video",
    sizeBytes: 1,
    samples: [],
    reason: "x",
  };
  expect(makeReport("clips", "", [alone, broken]).warnings).toEqual([
    "1 of 2 media files cannot be used: see the reason.",
    expect.stringMatching(/^1 of 1 media file has no caption; /),
    expect.stringMatching(/^1 of them trains without any words/),
    expect.stringMatching(/^1 of 1 media file loses more than a fifth/),
    expect.stringMatching(/^Only 1 sample: /),
  ]);
});
