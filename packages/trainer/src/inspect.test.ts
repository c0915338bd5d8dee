/** The pre-flight report says what a training would say: of the plan, of the files, and of captions. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InspectJob, type JobEvent } from "@ltx-trainer/contract";
import sharp from "sharp";
import { expect, onTestFinished, test } from "vitest";
import { inspectDataset } from "./inspect.ts";
import { Reporter } from "./process/events.ts";

test("notes of the plan and about captions are in the log, those about captions in the report, too", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ltx-inspect-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  await sharp({ create: { width: 40, height: 40, channels: 3, background: "#3060a0" } })
    .png()
    .toFile(join(folder, "a.png"));
  writeFileSync(join(folder, "a.txt"), "a pattern ".repeat(300));
  const base = fileURLToPath(new URL("../../../fixtures/folder/tiny", import.meta.url));
  const events: JobEvent[] = [];
  const job = InspectJob.parse({ training_data_url: folder, base, home: folder, number_of_frames: 30 });
  const reporter = new Reporter((event) => events.push(event));
  const { report } = await inspectDataset(job, reporter, new AbortController().signal);
  const cut = expect.stringMatching(/caption: \d+ tokens, and tiny reads \d+: it does not see "/);
  expect(report.files.find(({ path }) => path === "a.png")?.notes).toContainEqual(cut);
  const said = events.flatMap((event) => ("message" in event ? [event.message] : []));
  expect(said).toEqual(
    expect.arrayContaining([
      "number_of_frames: 30 became 25, the nearest 8k + 1 not above it",
      expect.stringContaining("split_input_into_scenes: not implemented yet"),
      cut,
    ]),
  );
});

test("nothing but events is on stdout, whatever a decoder prints", () => {
  const folder = mkdtempSync(join(tmpdir(), "ltx-inspect-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  // libheif prints what it thinks of a picture that is cut short.
  writeFileSync(
    join(folder, "a.heic"),
    Buffer.from("\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\x01\0meta", "latin1"),
  );
  const job = join(folder, "job.json");
  writeFileSync(job, JSON.stringify({ training_data_url: folder, home: folder }));
  const root = fileURLToPath(new URL("../../..", import.meta.url));
  const program = fileURLToPath(new URL("main.ts", import.meta.url));
  const flags = ["--conditions=source", "--import", "tsx", program, "inspect", job];
  const { stdout, stderr } = spawnSync(process.execPath, flags, { cwd: root, encoding: "utf8" });
  const lines = stdout.trim().split("\n");
  expect(lines.filter((line) => !line.startsWith('{"type":'))).toEqual([]);
  expect(lines.at(-1)).toContain("no_usable_media");
  expect(stderr).toContain("Could not parse HEIF file");
});
