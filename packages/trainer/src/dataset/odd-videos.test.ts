/** Videos as cameras, browsers and old programs write them: other containers, sizes that change, fields, transparency. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  ffmpeg,
  frameNumbers,
  numberedClip,
  rotateClip,
  temporaryFolder,
  testClip,
} from "../media/testing/media.ts";
import { type Examined, examine } from "./samples.ts";
import { datasetOptions } from "./testing/options.ts";
import type { DatasetOptions } from "./types.ts";

const options = datasetOptions({ frames: 25 });

function look(path: string, changes: Partial<DatasetOptions> = {}): Promise<Examined> {
  return examine({ path, name: "clip", kind: "video" }, { ...options, ...changes });
}

async function pixelsOf({ pieces }: Examined): Promise<Uint8Array[]> {
  return Promise.all(pieces.map(({ excerpt }) => excerpt.load()));
}

const lavfi = (source: string) => ["-f", "lavfi", "-i", source];
const lossless = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-pix_fmt", "yuv444p"];

/** A second of a numbered wide clip, then a second of a tall one: red above, green in the middle, blue below. */
function changingClip(folder: string): string {
  numberedClip(join(folder, "wide.mkv"), { frames: 25, fps: 25, width: 96, height: 32 });
  ffmpeg(["-i", join(folder, "wide.mkv"), ...lossless, join(folder, "wide.ts")]);
  const tall =
    "color=green:s=40x120:r=25:d=1,drawbox=w=40:h=40:color=red:t=fill,drawbox=y=80:w=40:h=40:color=blue:t=fill";
  ffmpeg([...lavfi(tall), ...lossless, "-output_ts_offset", "1", join(folder, "tall.ts")]);
  const path = join(folder, "both.ts");
  writeFileSync(path, Buffer.concat(["wide.ts", "tall.ts"].map((name) => readFileSync(join(folder, name)))));
  return path;
}

test("a clip that changes its size on the way is read to its end, each part cropped at its own centre", async () => {
  const found = await look(changingClip(temporaryFolder()));
  expect(found.durationSeconds).toBe(2);
  expect(found.notes).toContainEqual("changes its size on the way: 96x32, 40x120");
  const [wide, tall] = await pixelsOf(found);
  const numbers = frameNumbers(wide ?? new Uint8Array(), 32 * 32 * 3);
  expect(numbers).toEqual(Array.from({ length: 25 }, (_, frame) => frame));
  for (const corner of [0, 32 * 31, 32 * 32 * 24, 32 * 32 * 25 - 1]) {
    const [red = 255, green = 0, blue = 255] = tall?.subarray(corner * 3, corner * 3 + 3) ?? [];
    expect.soft([red < 60, green > 90, blue < 60], `pixel ${corner}`).toEqual([true, true, true]);
  }
});

test("a clip that changes its size and is turned by its container says what to do", async () => {
  const folder = temporaryFolder();
  rotateClip(changingClip(folder), join(folder, "turned.mp4"));
  await expect(look(join(folder, "turned.mp4"))).rejects.toThrow(
    "clip: it changes its size on the way and is turned by its container: convert it to mp4",
  );
});

test("an interlaced clip that changes its size is read to its end, and its combs are noted", async () => {
  const folder = temporaryFolder();
  const fields = ["-vf", "tinterlace=interleave_top,setfield=tff", "-r", "25", "-flags", "+ildct+ilme"];
  for (const [name, size, start] of [
    ["a.ts", "96x64", "0"],
    ["b.ts", "128x96", "1"],
  ] as const) {
    const codec = [...fields, "-c:v", "mpeg2video", "-output_ts_offset", start];
    ffmpeg([...lavfi(`testsrc2=s=${size}:r=50:d=1`), ...codec, join(folder, name)]);
  }
  const path = join(folder, "both.ts");
  writeFileSync(path, Buffer.concat(["a.ts", "b.ts"].map((name) => readFileSync(join(folder, name)))));
  const { durationSeconds = 0, notes, pieces } = await look(path);
  expect(Math.abs(durationSeconds - 2)).toBeLessThanOrEqual(0.081);
  expect(notes).toContainEqual("changes its size on the way: 96x64, 128x96");
  expect(notes).toContainEqual(expect.stringMatching(/^interlaced, and not deinterlaced/));
  expect((await pieces[1]?.excerpt.load())?.length).toBe((pieces[1]?.excerpt.frames ?? 0) * 32 * 32 * 3);
});

/** How much every second row differs from its neighbours, in levels. */
function comb(pixels: Uint8Array, { width, height }: { width: number; height: number }): number {
  const row = width * 3;
  const at = (index: number) => pixels[index] ?? 0;
  let sum = 0;
  for (let y = 1; y < height - 1; y++)
    for (let x = 0; x < row; x++)
      sum += Math.abs(2 * at(y * row + x) - at((y - 1) * row + x) - at((y + 1) * row + x));
  return sum / (height - 2) / row;
}

test.each([
  ["DV", "avi", ["-c:v", "dvvideo", "-pix_fmt", "yuv420p"]],
  ["ProRes without a field order", "avi", ["-c:v", "prores_ks", "-flags", "+ildct"]],
])(
  "%s is deinterlaced, though nothing but its frames says that it is interlaced",
  async (_name, extension, codec) => {
    const folder = temporaryFolder();
    const size = { width: 32, height: 576 };
    // A white bar that moves 16 pixels a field: its edge is a comb where two fields are shown as one frame.
    const bar =
      "color=black:s=720x576:r=50:d=0.6[b];color=white:s=240x400:r=50:d=0.6[w];[b][w]overlay=x=n*16:y=88";
    const clips = {
      fields: ["-vf", "tinterlace=interleave_top,setfield=tff", "-r", "25", ...codec],
      frames: ["-vf", "fps=25,setfield=prog", "-c:v", "ffv1"],
    };
    ffmpeg([...lavfi(bar), ...clips.fields, join(folder, `fields.${extension}`)]);
    ffmpeg([...lavfi(bar), ...clips.frames, join(folder, "frames.mkv")]);
    const combOf = async (name: string) => {
      const [pixels] = await pixelsOf(await look(join(folder, name), { ...size, frames: 9 }));
      const frameBytes = size.width * size.height * 3;
      const frames = Array.from({ length: 9 }, (_, n) =>
        pixels?.subarray(n * frameBytes, (n + 1) * frameBytes),
      );
      return Math.max(...frames.map((frame) => comb(frame ?? new Uint8Array(), size)));
    };
    const [fields, frames] = [await combOf(`fields.${extension}`), await combOf("frames.mkv")];
    // Combed frames are at 178 here.
    expect(fields).toBeLessThan(frames + 0.3);
  },
);

test("the containers of camcorders, discs, phones and older computers are read", async () => {
  const folder = temporaryFolder();
  const mpeg2 = ["-c:v", "mpeg2video", "-q:v", "2"];
  const kinds: Record<string, readonly string[]> = {
    mts: ["-c:v", "libx264", "-f", "mpegts"],
    mpg: mpeg2,
    mxf: mpeg2,
    "3gp": ["-c:v", "libx264"],
    flv: ["-c:v", "flv1"],
    wmv: ["-c:v", "wmv2"],
    ogv: ["-c:v", "libtheora"],
    dv: ["-s", "720x576", "-c:v", "dvvideo", "-pix_fmt", "yuv420p"],
  };
  for (const [kind, codec] of Object.entries(kinds)) {
    const path = join(folder, `a.${kind}`);
    ffmpeg([...lavfi("testsrc2=s=128x96:r=25:d=1"), ...codec, path]);
    const { pieces, notes, durationSeconds = 0 } = await look(path, { frames: 9 });
    expect.soft(Math.abs(durationSeconds - 1), kind).toBeLessThanOrEqual(0.081);
    expect
      .soft(
        notes.filter((note) => /error|cut short/.test(note)),
        kind,
      )
      .toEqual([]);
    expect.soft((await pieces[0]?.excerpt.load())?.length, kind).toBe(9 * 32 * 32 * 3);
  }
});

test("a video of another kind says what to do", async () => {
  const path = join(temporaryFolder(), "a.mp4");
  ffmpeg([...lavfi("testsrc2=s=64x48:r=25:d=1"), "-c:v", "rawvideo", "-f", "nut", path]);
  await expect(look(path)).rejects.toThrow("clip: a kind of file that is not read: convert it to mp4");
});

test.each([
  ["vp9", "libvpx-vp9"],
  ["vp8", "libvpx"],
])("transparency of WebM lies on black: %s", async (_name, codec) => {
  const path = join(temporaryFolder(), "a.webm");
  const source =
    "color=white:s=64x64:r=25:d=0.4,format=yuva420p,geq=lum=235:cb=128:cr=128:a='if(lt(Y,32),255,0)'";
  ffmpeg([...lavfi(source), "-c:v", codec, "-pix_fmt", "yuva420p", "-auto-alt-ref", "0", path]);
  const [pixels] = await pixelsOf(await look(path, { frames: 9 }));
  expect(pixels?.[0]).toBeGreaterThan(245);
  expect(pixels?.[32 * 30 * 3]).toBeLessThan(8);
});

test.each([
  // The same colour in each gamut, computed from the primaries.
  ["bt2020", "bt2020nc", [203, 174, 145]],
  ["smpte432", "bt709", [214, 172, 144]],
  ["bt709", "bt709", [222, 170, 140]],
])("colours of the %s gamut become BT.709's", async (primaries, matrix, stored) => {
  const path = join(temporaryFolder(), "a.mp4");
  const colour = `0x${Buffer.from(stored).toString("hex")}`;
  const toYuv = `format=gbrp,scale=out_color_matrix=${matrix === "bt709" ? "bt709" : "bt2020"},format=yuv444p`;
  const tags = ["-color_primaries", primaries, "-colorspace", matrix, "-color_trc", "bt709"];
  ffmpeg([
    ...lavfi(`color=${colour}:s=64x64:r=25:d=0.4`),
    "-vf",
    toYuv,
    "-c:v",
    "libx264",
    "-qp",
    "0",
    ...tags,
    path,
  ]);
  const [pixels] = await pixelsOf(await look(path, { frames: 9 }));
  for (const [channel, value] of [222, 170, 140].entries())
    expect.soft(Math.abs((pixels?.[channel] ?? 0) - value), `channel ${channel}`).toBeLessThanOrEqual(3);
});

test("samples that are black from beginning to end are noted, dark ones are not", async () => {
  const path = join(temporaryFolder(), "a.mp4");
  const source =
    "color=0x101010:s=64x64:r=25:d=3,drawbox=w=8:h=8:color=0x606060:t=fill,drawbox=enable='lt(n,50)':color=black:t=fill";
  ffmpeg([...lavfi(source), "-c:v", "libx264", path]);
  expect((await look(path)).notes).toEqual([
    "2 of 3 samples black from beginning to end: the first at 0.0 s",
  ]);
});

test("a Matroska file that starts late is not cut short", async () => {
  const path = join(temporaryFolder(), "a.mkv");
  numberedClip(path, { frames: 50, fps: 25, extra: ["-output_ts_offset", "5"] });
  const found = await look(path);
  expect([found.notes, found.durationSeconds]).toEqual([[], 2]);
});

test.each(["mkv", "mp4", "ts"])(
  "of several videos in one file the recording is read, not its preview: %s",
  async (kind) => {
    const path = join(temporaryFolder(), `a.${kind}`);
    const inputs = [...lavfi("color=gray:s=16x16:r=25:d=1"), ...lavfi("color=red:s=64x64:r=25:d=1")];
    const choice = ["-disposition:v:0", "0", "-disposition:v:1", "default"];
    ffmpeg([...inputs, "-map", "0", "-map", "1", "-c:v", "libx264", "-pix_fmt", "yuv420p", ...choice, path]);
    const found = await look(path, { frames: 9 });
    expect([found.width, found.height]).toEqual([64, 64]);
    const [pixels] = await pixelsOf(found);
    expect(pixels?.[0]).toBeGreaterThan(240);
    expect(pixels?.[1]).toBeLessThan(15);
  },
);

test("a clip turned by an odd angle is not said to be damaged", async () => {
  const path = join(temporaryFolder(), "a.mp4");
  testClip(path);
  const bytes = readFileSync(path);
  const matrix = bytes.indexOf("tkhd") + 44;
  for (const [index, value] of [46341, 46341, 0, -46341, 46341].entries())
    bytes.writeInt32BE(value, matrix + index * 4);
  writeFileSync(path, bytes);
  expect((await look(path)).notes.filter((note) => note.startsWith("decoded with errors"))).toEqual([]);
});

/** Frames that show their numbers, 0 to 2399: three grey levels side by side, a hexadecimal digit each. */
function countedClip(path: string, frames: number, first: number, extra: readonly string[]): void {
  const digits = [256, 16, 1].map((unit) => `16*mod(floor((N+${first})/${unit})\\,16)+8`);
  const level = `if(lt(X\\,32)\\,${digits[0]}\\,if(lt(X\\,64)\\,${digits[1]}\\,${digits[2]}))`;
  const draw = `geq=r='${level}':g='${level}':b='${level}'`;
  ffmpeg([
    ...lavfi(`color=black:s=96x32:r=25:d=${frames / 25},format=gbrp,${draw}`),
    ...lossless,
    ...extra,
    path,
  ]);
}

/** The number of a sample's first frame. */
async function firstNumber(sample: Examined["pieces"][number]): Promise<number> {
  const pixels = await sample.excerpt.load();
  const [high = 0, middle = 0, low = 0] = [16, 48, 80].map((x) => (pixels[(16 * 96 + x) * 3] ?? 0) >> 4);
  return high * 256 + middle * 16 + low;
}

test("recordings joined by appending their bytes are read to the end, each sample at its own place", async () => {
  const folder = temporaryFolder();
  const names = [0, 1, 2].map((part) => join(folder, `${part}.ts`));
  for (const [part, name] of names.entries()) countedClip(name, 600, part * 600, ["-g", "50"]);
  const path = join(folder, "joined.ts");
  writeFileSync(path, Buffer.concat(names.map((name) => readFileSync(name))));
  const found = await look(path, { width: 96, frames: 17, frameRate: 5 });
  expect(Math.abs((found.durationSeconds ?? 0) - 72)).toBeLessThanOrEqual(0.6);
  // ffmpeg guesses how long a clock stood still where recordings meet.
  for (const piece of found.pieces.filter((_, index) => index % 6 === 0)) {
    const { startSeconds } = piece.line;
    const distance = Math.abs((await firstNumber(piece)) - startSeconds * 25);
    expect.soft(distance, `${startSeconds} s`).toBeLessThanOrEqual(12);
  }
});

test("a file that claims to be shorter than it is is read to its end", async () => {
  const folder = temporaryFolder();
  const path = join(folder, "a.mkv");
  numberedClip(path, { frames: 60, fps: 10 });
  const bytes = readFileSync(path);
  bytes.writeDoubleBE(300, bytes.indexOf(Buffer.from([0x44, 0x89, 0x88])) + 3);
  writeFileSync(path, bytes);
  const found = await look(path);
  expect(found.durationSeconds).toBe(6);
  expect(found.pieces).toHaveLength(6);
});
