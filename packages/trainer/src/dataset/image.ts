/**
 * Still images and picture animations (GIF, WebP): as people see them, in sRGB, cut to size.
 *
 * EXIF rotation is applied, colour profiles are converted to sRGB, transparency lies on black. Shrinking is bicubic and
 * antialiased. HEIC is decoded by libheif (sharp's build has no HEVC), which applies the file's own rotation but not its
 * colour profile: wide-gamut phone photos lose a little saturation.
 *
 * Shapes: pixels are `[h, w, 3]` or `[f, h, w, 3]`, one byte each.
 */
import { readFile } from "node:fs/promises";
import type { Size } from "@ltx-trainer/contract";
import decodeHeic from "heic-decode";
import sharp, { type Sharp } from "sharp";
import { unreadable } from "./probe.ts";

/** `isHeic` by content: phones and web sites give HEIC the names of other formats. */
export type ImageFile = { readonly path: string; readonly name: string; readonly isHeic: boolean };

export type ImageInfo = Size & {
  /** How long each picture stays, in milliseconds; one entry for a still image. */
  readonly delaysMs: readonly number[];
};

/** Pictures above this many pixels are refused: 268 megapixels, 800 MB as RGB. */
const maxPixels = 16_384 * 16_384;
const options = { limitInputPixels: maxPixels, failOn: "error" } as const;

/** What browsers show for GIFs that ask for less than 20 ms. */
const defaultDelayMs = 100;

/**
 * Reads the head of an image file.
 *
 * @throws AppError `media_unreadable` when it is no image
 */
export async function probeImage(file: ImageFile): Promise<ImageInfo> {
  return explained(file, async () => {
    if (file.isHeic) {
      const { width, height } = await heicPixels(file);
      return { width, height, delaysMs: [0] };
    }
    const { pages = 1, delay, autoOrient, format } = await sharp(file.path, options).metadata();
    const isAnimation = pages > 1 && (format === "gif" || format === "webp");
    const delaysMs = Array.from({ length: isAnimation ? pages : 1 }, (_, page) => delayOf(delay?.[page]));
    return { width: autoOrient.width, height: autoOrient.height, delaysMs };
  });
}

function delayOf(milliseconds: number | undefined): number {
  return milliseconds === undefined || milliseconds < 20 ? defaultDelayMs : milliseconds;
}

/**
 * The image, scaled to cover the size and cropped at the centre; of an animation the first picture.
 *
 * @throws AppError `media_unreadable`
 */
export async function decodeImage(file: ImageFile, size: Size): Promise<Uint8Array> {
  return explained(file, async () => {
    const image = file.isHeic ? await openHeic(file) : sharp(file.path, options);
    return rgb(cover(image.autoOrient(), size), size.width * size.height * 3);
  });
}

/** Pictures decoded at once: a GIF can only be read from its start, so one at a time would be quadratic. */
const pagesAtOnce = 16;

/**
 * Pictures of an animation, each scaled to cover the size and cropped at the centre.
 *
 * @param pages which pictures, never going back; repeats are allowed
 * @throws AppError `media_unreadable`
 */
export async function decodePages(
  file: ImageFile,
  info: ImageInfo,
  size: Size,
  pages: readonly number[],
): Promise<Uint8Array> {
  return explained(file, async () => {
    const frameBytes = size.width * size.height * 3;
    const result = new Uint8Array(pages.length * frameBytes);
    let chunk = await readPages(file, info, pages[0] ?? 0);
    let shown = -1;
    let pixels = new Uint8Array(0);
    for (const [index, page] of pages.entries()) {
      if (page >= chunk.first + pagesAtOnce) chunk = await readPages(file, info, page);
      if (page !== shown) {
        const start = (page - chunk.first) * chunk.pageBytes;
        const stored = chunk.data.subarray(start, start + chunk.pageBytes);
        const picture = sharp(stored, { raw: { width: info.width, height: info.height, channels: 3 } });
        pixels = await rgb(cover(picture, size), frameBytes);
        shown = page;
      }
      result.set(pixels, index * frameBytes);
    }
    return result;
  });
}

async function readPages(file: ImageFile, info: ImageInfo, first: number) {
  const pages = Math.min(pagesAtOnce, info.delaysMs.length - first);
  const pageBytes = info.width * info.height * 3;
  const opened = sharp(file.path, { ...options, page: first, pages });
  const data = await rgb(plainRgb(opened), pages * pageBytes);
  return { first, pageBytes, data };
}

/**
 * Which picture is on screen in the middle of each frame.
 *
 * @param rate frames per second
 */
export function pagesOnScreen(
  delaysMs: readonly number[],
  rate: number,
  frames: number,
  start = 0,
): number[] {
  let page = 0;
  let endMs = delaysMs[0] ?? 0;
  return Array.from({ length: frames }, (_, frame) => {
    const atMs = ((start + frame + 0.5) * 1000) / rate;
    while (atMs >= endMs && page < delaysMs.length - 1) {
      page++;
      endMs += delaysMs[page] ?? 0;
    }
    return page;
  });
}

function cover(image: Sharp, { width, height }: Size): Sharp {
  return plainRgb(image).resize(width, height, { fit: "cover", position: "centre", kernel: "cubic" });
}

function plainRgb(image: Sharp): Sharp {
  return image.flatten({ background: "#000000" }).toColourspace("srgb").removeAlpha();
}

async function rgb(image: Sharp, expectedBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const { data } = await image.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
  if (data.length !== expectedBytes) {
    throw new Error(`decoded to ${data.length} bytes, expected ${expectedBytes}`);
  }
  return new Uint8Array(data);
}

async function openHeic(file: ImageFile): Promise<Sharp> {
  const { data, width, height } = await heicPixels(file);
  return sharp(data, { raw: { width, height, channels: 4 } });
}

async function heicPixels(file: ImageFile) {
  return decodeHeic({ buffer: await readFile(file.path) });
}

/** Decoders throw all kinds of errors; what they say becomes the reason for dropping the file. */
async function explained<T>(file: ImageFile, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const reason =
      text
        .replace(/^Input file /, "it ")
        .replaceAll(file.path, file.name)
        .split("\n")[0] ?? "";
    throw unreadable(file.name, `the image cannot be decoded: ${reason}`, error);
  }
}
