import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Metrics } from "./metrics.ts";

const folder = mkdtempSync(join(tmpdir(), "metrics-"));
afterAll(() => rmSync(folder, { recursive: true }));

const result = (sigma: number, loss: number) => ({ sigma, loss, learningRate: 1e-4, gradNorm: 1 });
const cost = { seconds: 0.1, memoryBytes: 100 };
const lines = (path: string) =>
  readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

test("each line has the mean loss of every noise level seen lately", () => {
  const path = join(folder, "bins.jsonl");
  const metrics = new Metrics(path, 0);
  metrics.add(1, result(0.1, 1), cost);
  metrics.add(2, result(0.15, 3), cost);
  metrics.add(3, result(0.95, 5), cost);
  expect(lines(path).at(-1).loss_by_sigma).toEqual([2, null, null, null, 5]);
});

test("a resumed training drops the steps it will take again, and half a line", () => {
  const path = join(folder, "resume.jsonl");
  const before = new Metrics(path, 0);
  for (let step = 1; step <= 5; step++) before.add(step, result(0.5, step), cost);
  appendFileSync(path, '{"step":6,"lo');
  const after = new Metrics(path, 3);
  after.add(4, result(0.5, 40), cost);
  expect(lines(path).map((line) => [line.step, line.loss])).toEqual([
    [1, 1],
    [2, 2],
    [3, 3],
    [4, 40],
  ]);
  expect(lines(path).at(-1).loss_by_sigma[2]).toBe(11.5);
});

test("a folder that was removed meanwhile is made again", () => {
  const path = join(folder, "removed", "metrics.jsonl");
  mkdirSync(dirname(path));
  const metrics = new Metrics(path, 0);
  rmSync(dirname(path), { recursive: true });
  metrics.add(1, result(0.5, 2), cost);
  expect(lines(path).map((line) => line.step)).toEqual([1]);
});
