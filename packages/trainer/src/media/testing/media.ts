/**
 * Small real media for tests, made on the spot: clips by ffmpeg from raw frames, zips by zip.js.
 *
 * A numbered clip shows its frame number as its grey level, losslessly, so that a test can see which frame it got.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlobWriter, configure, Uint8ArrayReader, ZipWriter } from "@zip.js/zip.js";
import { onTestFinished } from "vitest";

configure({ useWebWorkers: false });

/** A folder that goes away after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "ltx-dataset-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs ffmpeg with the arguments; its complaints become the error. */
export function ffmpeg(args: readonly string[], input?: Uint8Array): void {
  const result = spawnSync("ffmpeg", ["-v", "error", "-y", ...args], { input, maxBuffer: 1 << 28 });
  if (result.error) throw result.error;
  if (result.status !== 0) throw new Error(`ffmpeg ${args.join(" ")}: ${result.stderr}`);
}

/** How many grey levels lie between two frames of a numbered clip; 4 leaves room for 64 frames. */
const greyStep = 4;

type Numbered = {
  readonly frames: number;
  readonly fps: number;
  readonly width?: number;
  readonly height?: number;
  /** Put before the output, such as `-vf setpts=...`. */
  readonly extra?: readonly string[];
};

/** A lossless clip (.mkv) whose frame n is grey of level n * `greyStep`. */
export function numberedClip(
  path: string,
  { frames, fps, width = 32, height = 32, extra = [] }: Numbered,
): void {
  const pixels = new Uint8Array(frames * width * height * 3);
  for (let frame = 0; frame < frames; frame++) {
    pixels.fill(frame * greyStep, frame * width * height * 3, (frame + 1) * width * height * 3);
  }
  const raw = [
    "-f",
    "rawvideo",
    "-pix_fmt",
    "rgb24",
    "-s",
    `${width}x${height}`,
    "-r",
    String(fps),
    "-i",
    "pipe:0",
  ];
  ffmpeg([...raw, ...extra, "-c:v", "ffv1", "-pix_fmt", "bgr0", path], pixels);
}

/** Which frame of a numbered clip each decoded frame shows. */
export function frameNumbers(pixels: Uint8Array, frameBytes: number): number[] {
  return Array.from({ length: pixels.length / frameBytes }, (_, frame) => {
    return Math.round((pixels[frame * frameBytes] ?? 0) / greyStep);
  });
}

type TestClip = {
  readonly seconds?: number;
  readonly fps?: number;
  readonly size?: string;
  /** lavfi source; default a moving test picture. */
  readonly source?: string;
  readonly extra?: readonly string[];
};

/** An H.264 clip of a moving test picture. */
export function testClip(
  path: string,
  { seconds = 1, fps = 25, size = "64x48", source, extra = [] }: TestClip = {},
): void {
  const lavfi = source ?? `testsrc2=s=${size}:r=${fps}:d=${seconds}`;
  ffmpeg([
    "-f",
    "lavfi",
    "-i",
    lavfi,
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-pix_fmt",
    "yuv420p",
    ...extra,
    path,
  ]);
}

/** Copies a clip with a display rotation of 90 degrees; the way to say so changed in ffmpeg 6. */
export function rotateClip(from: string, to: string): void {
  const version = spawnSync("ffmpeg", ["-version"]).stdout.toString();
  const major = Number(/version n?(\d+)/.exec(version)?.[1] ?? 7);
  const turned =
    major >= 6
      ? ["-display_rotation:v:0", "90", "-i", from, "-c", "copy", to]
      : ["-i", from, "-c", "copy", "-metadata:s:v:0", "rotate=90", to];
  ffmpeg(turned);
}

export type ZipContent = Readonly<Record<string, string | Uint8Array>>;

/** Writes a zip; names are stored as they are. */
export async function makeZip(
  path: string,
  content: ZipContent,
  options: { password?: string } = {},
): Promise<void> {
  const writer = new ZipWriter(new BlobWriter(), { ...options, keepOrder: true });
  for (const [name, data] of Object.entries(content)) {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : Uint8Array.from(data);
    await writer.add(name, new Uint8ArrayReader(bytes), { useWebWorkers: false });
  }
  writeFileSync(path, new Uint8Array(await (await writer.close()).arrayBuffer()));
}
