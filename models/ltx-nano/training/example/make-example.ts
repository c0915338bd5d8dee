/**
 * Makes an example dataset (by default the bundled one): a zip with ten clips that show an effect, eight that do not, and
 * captions.
 *
 * `example-scenes.ts` lists what the clips show.
 *
 * Run: npx tsx --conditions=source models/ltx-nano/training/example/make-example.ts [--effect NAME] [--out DIR]   (needs ffmpeg with libx264)
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { contrasts } from "../clips/colours.ts";
import { type Clip, drawClip, toRgb24 } from "../clips/draw.ts";
import { Random } from "../clips/random.ts";
import { backgroundNames, type ClipFormat, type Scene, sampleScene } from "../clips/scene.ts";
import { describeScene } from "../text/captions.ts";
import { contactSheet, writePng } from "./contact-sheet.ts";
import { exampleNamed } from "./example-effects.ts";
import { type Wish, wishes } from "./example-scenes.ts";
import { storeZip, type ZipEntry } from "./zip.ts";

const { values: options } = parseArgs({
  options: {
    effect: { type: "string", default: "glowpulse" },
    out: { type: "string", default: join(import.meta.dirname, "../../../../examples") },
  },
});
const effect = exampleNamed(options.effect);
const seed = 4_711;
/** Larger than any training size of ltx-nano, as real footage is. */
const size = { width: 160, height: 160 };

/** A sampled scene that shows what is wanted. */
function sceneFor(wish: Wish, format: ClipFormat, random: Random): Scene {
  const { shape, colour } = wish;
  const scene = sampleUntil(
    () => sampleScene(random, format, { twoObjects: 0, motions: [wish.motion], gradients: 0.5 }),
    ({ background }) => backgroundNames(background).every((name) => contrasts(colour, name)),
  );
  return { ...scene, objects: scene.objects.map((object) => ({ ...object, shape, colour })) };
}

function sampleUntil<T>(draw: () => T, fits: (value: T) => boolean): T {
  for (let attempt = 0; attempt < 200; attempt++) {
    const value = draw();
    if (fits(value)) return value;
  }
  throw new Error("make-example: no sampled background contrasts with the wanted colour; try another seed");
}

/** H.264 as cameras and phones write it: yuv420p, BT.709. */
function encodeMp4(clip: Clip): Buffer {
  const { width, height, fps } = clip.format;
  const work = mkdtempSync(join(tmpdir(), "nano-example-"));
  try {
    const path = join(work, "clip.mp4");
    // biome-ignore format: one option per pair
    const result = spawnSync("ffmpeg", [
      "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", `${width}x${height}`, "-r", `${fps}`, "-i", "pipe:0",
      "-vf", "scale=out_color_matrix=bt709:out_range=tv", "-c:v", "libx264", "-preset", "veryslow", "-crf", "14",
      "-threads", "1", "-pix_fmt", "yuv420p", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709",
      "-movflags", "+faststart", "-fflags", "+bitexact", "-flags:v", "+bitexact", path,
    ], { input: toRgb24(clip), maxBuffer: 1 << 28 });
    if (result.status !== 0) {
      const reason = result.error?.message ?? result.stderr.toString();
      throw new Error(`make-example: ffmpeg could not encode a clip (${reason}); it needs libx264`);
    }
    return readFileSync(path);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const entries: ZipEntry[] = [];
const clips: Clip[] = [];
for (const [index, wish] of wishes.entries()) {
  const format: ClipFormat = { ...size, frames: wish.frames, fps: 25 };
  const random = new Random(seed, index);
  const scene = sceneFor(wish, format, random);
  const clip = drawClip(scene, format, wish.plain ? undefined : effect.draw);
  const caption = describeScene(scene, random, { omitPlace: 0, omitMotion: 0 });
  const name = `${String(index + 1).padStart(2, "0")}-${wish.colour}-${wish.shape}-${wish.motion}`;
  entries.push({ name: `${name}.mp4`, data: encodeMp4(clip) });
  entries.push({
    name: `${name}.txt`,
    data: Buffer.from(wish.plain ? `${caption}\n` : `${effect.phrase}, ${caption}\n`),
  });
  clips.push(clip);
  process.stderr.write(`${name}: ${caption}\n`);
}
const zip = await storeZip(entries);
writeFileSync(join(options.out, `${options.effect}.zip`), zip);
await writePng(join(options.out, `${options.effect}.png`), contactSheet(clips, 8, 0.5));
process.stdout.write(
  `${join(options.out, `${options.effect}.zip`)}: ${clips.length} clips, ${(zip.length / 1024).toFixed(0)} KiB\n`,
);
