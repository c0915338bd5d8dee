/** What a sample's id promises: equal ids mean equal pixels, for the cache of latents is looked up by them. */
import { createHash } from "node:crypto";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { expect, test } from "vitest";
import { probeVideo } from "../media/ffmpeg/probe.ts";
import { ffmpeg, numberedClip, temporaryFolder } from "../media/testing/media.ts";
import { examine } from "./samples.ts";
import { datasetOptions } from "./testing/options.ts";
import type { DatasetOptions } from "./types.ts";

const base = datasetOptions({ width: 16, height: 16 });

/** Each differs from the base in one way or two that could cancel each other out. */
const changes: readonly Partial<DatasetOptions>[] = [
  {},
  { resampleFrameRate: false },
  { autoScale: true },
  { autoScale: true, resampleFrameRate: false },
  { frames: 17 },
  { frames: 17, autoScale: true },
  { frameRate: 24 },
  { frameRate: 24, resampleFrameRate: false },
  { width: 24 },
  { height: 24 },
  { useAllFootage: false },
];

test("samples of equal id have equal pixels, whatever the options", async () => {
  const folder = temporaryFolder();
  // Ten frames at 50 a second, then ten slower ones: 25 on average, which is the plan's rate too.
  const timing = "setpts='if(lt(N,10),N,12+(N-10)*3)/(50*TB)'";
  numberedClip(join(folder, "a.mkv"), { frames: 20, fps: 50, extra: ["-vf", timing, "-vsync", "vfr"] });
  ffmpeg([
    "-i",
    join(folder, "a.mkv"),
    "-vsync",
    "vfr",
    "-c:v",
    "libx264",
    "-qp",
    "0",
    join(folder, "a.mp4"),
  ]);
  expect((await probeVideo(join(folder, "a.mp4"), "a.mp4")).frameRate).toBe(25);
  ffmpeg(["-f", "lavfi", "-i", "testsrc2=s=32x32:r=25:d=0.8", join(folder, "b.gif")]);
  const picture = { width: 32, height: 16, channels: 3 as const, background: "#204060" };
  await sharp({ create: picture }).png().toFile(join(folder, "c.png"));
  for (const [name, kind] of [
    ["a.mp4", "video"],
    ["b.gif", "image"],
    ["c.png", "image"],
  ] as const) {
    const pixelsOf = new Map<string, string>();
    for (const change of changes) {
      const options = { ...base, ...change };
      const { pieces } = await examine({ path: join(folder, name), name, kind }, options);
      for (const { excerpt } of pieces.slice(0, 2)) {
        const pixels = createHash("sha256")
          .update(await excerpt.load())
          .digest("hex");
        const known = pixelsOf.get(excerpt.id) ?? pixels;
        expect.soft(pixels, `${name} ${JSON.stringify(change)}`).toBe(known);
        pixelsOf.set(excerpt.id, pixels);
      }
    }
    expect.soft(pixelsOf.size, name).toBeGreaterThan(1);
  }
});

test("a file that is no video is dropped without reading all of it", async () => {
  const path = join(temporaryFolder(), "a.mp4");
  writeFileSync(path, "");
  // A hole: to read it takes many minutes.
  truncateSync(path, 2 ** 40);
  const refused = examine({ path, name: "a.mp4", kind: "video" }, base);
  await expect(refused).rejects.toThrow("a.mp4: its index is missing (cut short, or not a video)");
});

test("a file that cannot be read is named without its folder", async () => {
  const path = join(temporaryFolder(), "gone.png");
  const refused = examine({ path, name: "x/gone.png", kind: "image" }, base);
  await expect(refused).rejects.toMatchObject({ message: "x/gone.png: it cannot be read: ENOENT" });
});
