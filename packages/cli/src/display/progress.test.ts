/** Job events as text. */
import type { JobEvent } from "@ltx-trainer/contract";
import { expect, test } from "vitest";
import type { Console } from "./console.ts";
import { formatBytes, formatDuration, formatSeconds, ProgressView, planLines } from "./progress.ts";

function record(isLive: boolean) {
  const lines: string[] = [];
  const console: Console = {
    isLive,
    say: (line) => lines.push(`say ${line}`),
    live: (line) => lines.push(`live ${line}`),
    result: () => {},
  };
  return { console, lines };
}

const step = (number: number, loss: number | null = 0.5): JobEvent => ({
  type: "progress",
  step: number,
  total: 100,
  loss,
  lr: 0.0002,
  secondsPerStep: 0.042,
  etaSeconds: 200,
  memoryBytes: 812e6,
});

test("on a terminal every step renews the line", () => {
  const { console, lines } = record(true);
  const view = new ProgressView(console);
  for (const number of [1, 2, 50]) view.show(step(number));
  expect(lines).toHaveLength(3);
  expect(lines[2]).toBe(
    "live [##########----------] 50/100  loss 0.5000  lr 2.00e-4  42 ms/step  ETA 3 min 20 s  812 MB",
  );
});

test("elsewhere a line comes now and then, and always for the first and the last step", () => {
  const { console, lines } = record(false);
  let now = 0;
  const view = new ProgressView(console, () => now);
  for (let number = 1; number <= 100; number++) {
    now += 1000;
    view.show(step(number));
  }
  const steps = lines.map((line) => Number(/ (\d+)\/100/.exec(line)?.[1]));
  expect(steps).toEqual([1, 11, 21, 31, 41, 51, 61, 71, 81, 91, 100]);
});

test("what is being waited for is the last work that was begun", () => {
  const view = new ProgressView(record(false).console);
  expect(view.current).toBe("the trainer to start");
  view.show({ type: "phase", phase: "cache", title: "Encoding clips", done: 3, total: 12 });
  view.show({ type: "log", level: "info", message: "a note" });
  expect(view.current).toBe("encoding clips, 3 of 12 done");
  view.show({ type: "phase", phase: "dataset", title: "Downloading", done: 1.5e6, total: 3e6 });
  expect(view.current).toBe("downloading, 1.5 MB of 3.0 MB done");
  view.show(step(7));
  expect(view.current).toBe("training, step 8 of 100");
});

test("a phase is named once, and its progress follows", () => {
  const { console, lines } = record(true);
  const view = new ProgressView(console);
  view.show({ type: "phase", phase: "cache", title: "Encoding clips" });
  view.show({ type: "phase", phase: "cache", title: "Encoding clips", done: 1, total: 4 });
  view.show({ type: "phase", phase: "dataset", title: "Downloading", done: 1.5e6, total: 3e6 });
  view.show({ type: "phase", phase: "dataset", title: "Downloading", done: 2e6, total: 0 });
  expect(lines).toEqual([
    "say Encoding clips",
    "live [#####---------------] 1/4  Encoding clips",
    "say Downloading",
    "live [##########----------] 1.5 MB of 3.0 MB  Downloading",
  ]);
});

test("a loss that is no number is said so", () => {
  const { console, lines } = record(true);
  new ProgressView(console).show(step(3, null));
  expect(lines[0]).toContain("loss not finite");
});

test("the plan is one line a part, without what is empty", () => {
  expect(
    planLines({
      steps: 4,
      sample: { width: 64, frameRate: 25, note: null },
      notes: [],
      seed: 0,
      why: ["a b", "c d"],
    }),
  ).toEqual([
    "Plan:",
    "  steps          4",
    "  sample         width 64, frame rate 25",
    "  seed           0",
    "  why            a b",
    "                 c d",
  ]);
  expect(planLines({})).toEqual([]);
});

test("sizes and times read well", () => {
  expect([0, 999, 1500, 812e6, 1.5e9, 139e9, 3e15].map(formatBytes)).toEqual([
    "0 bytes",
    "999 bytes",
    "1.5 kB",
    "812 MB",
    "1.5 GB",
    "139 GB",
    "3000 TB",
  ]);
  expect([0.042, 0.42, 12.34].map(formatSeconds)).toEqual(["42 ms", "0.42 s", "12.3 s"]);
  expect([0, 59.4, 200, 7500].map(formatDuration)).toEqual(["0 s", "59 s", "3 min 20 s", "2 h 5 min"]);
});
