/** A decoder that dies or is not there: the file it dies of is dropped or cut, and the others go on. */
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { prepareDataset } from "../../dataset/prepare.ts";
import { datasetOptions } from "../../dataset/testing/options.ts";
import { ffmpeg, numberedClip, temporaryFolder } from "../testing/media.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

const options = datasetOptions({ triggerPhrase: "TOK" });
const prepare = (folder: string) => prepareDataset(folder, options, { workFolder: temporaryFolder() });

/** Puts a script in the place of ffmpeg, which may go on to it as "$FFMPEG". */
function replaceFfmpeg(script: string): void {
  const real = spawnSync("sh", ["-c", "command -v ffmpeg"]).stdout.toString().trim();
  const path = join(temporaryFolder(), "ffmpeg");
  writeFileSync(path, `#!/bin/sh\nFFMPEG='${real}'\n${script}\n`, { mode: 0o755 });
  vi.stubEnv("FFMPEG_PATH", path);
}

test("a decoder that dies of one file leaves the others, and what it had shown until then", async () => {
  const folder = temporaryFolder();
  numberedClip(join(folder, "cut.mkv"), { frames: 27, fps: 25 });
  numberedClip(join(folder, "dead.mkv"), { frames: 18, fps: 25 });
  numberedClip(join(folder, "good.mkv"), { frames: 18, fps: 25 });
  replaceFfmpeg(`case "$*" in
    *dead.mkv*) kill -9 $$ ;;
    *cut.mkv*gray*) "$FFMPEG" "$@" >"$0.out"; head -c ${18 * 32 * 32} "$0.out"; kill -9 $$ ;;
    *) exec "$FFMPEG" "$@" ;;
  esac`);
  const { samples, report } = await prepare(folder);
  expect(samples.map(({ path }) => path)).toEqual(["cut.mkv", "cut.mkv", "good.mkv", "good.mkv"]);
  const [cut, dead] = report.files;
  expect(dead).toMatchObject({ status: "dropped", reason: "ffmpeg was ended by SIGKILL" });
  expect(cut?.notes).toEqual([
    "cut short: 0.7 of 1.1 s can be decoded",
    "decoded with errors: ffmpeg was ended by SIGKILL",
  ]);
});

test("transparency that this ffmpeg cannot read is said", async () => {
  const folder = temporaryFolder();
  const source = "color=white:s=64x64:r=25:d=0.4,format=yuva420p";
  const alpha = ["-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"];
  ffmpeg(["-f", "lavfi", "-i", source, ...alpha, join(folder, "a.webm")]);
  replaceFfmpeg(`case "$*" in *-decoders*) exit 0 ;; *) exec "$FFMPEG" "$@" ;; esac`);
  const { report } = await prepare(folder);
  expect(report.files[0]?.notes).toContain("its transparency cannot be read: this ffmpeg has no libvpx");
});

test("a file that is removed after it was read ends the training, and is not left out as damaged", async () => {
  const folder = temporaryFolder();
  numberedClip(join(folder, "a.mkv"), { frames: 18, fps: 25 });
  const { samples } = await prepare(folder);
  rmSync(join(folder, "a.mkv"));
  await expect(samples[0]?.load()).rejects.toMatchObject({
    code: "file_unreadable",
    message: "a.mkv: it was removed while the training was reading the dataset",
  });
});
