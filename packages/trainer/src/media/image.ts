/**
 * Still images and picture animations (GIF, WebP): as people see them, in sRGB, cut to size.
 *
 * EXIF rotation is applied, colour profiles are converted to sRGB, transparency lies on black. Shrinking is bicubic and
 * antialiased. HEIC is decoded by libheif (sharp's build has no HEVC), which applies the file's own rotation but not its
 * colour profile: wide-gamut phone photos lose a little saturation. BMP, which sharp's build lacks too, is decoded by ffmpeg.
 *
 * Shapes: pixels are `[h, w, 3]` or `[f, h, w, 3]`, one byte each.
 */
import { open, readFile } from "node:fs/promises";
import { AppError, type Size } from "@ltx-trainer/contract";
import decodeHeic from "heic-decode";
import { type Sharp, sharp } from "./fenced-sharp.ts";
import { firstComplaint, inputArguments, runTool } from "./ffmpeg/ffmpeg.ts";
import { unreadable } from "./ffmpeg/probe.ts";
import { isCameraRaw } from "./media-kinds.ts";

/** `decoder` by content: phones and web sites give HEIC the names of other formats. */
export type ImageFile = {
  readonly path: string;
  readonly name: string;
  readonly decoder: "sharp" | "heic" | "bmp";
};

const sharpTypes = /^image\/(jpeg|a?png|webp|gif|tiff|avif)$/;

/**
 * The image with the decoder it needs.
 *
 * @param mime what its contents are; "" when they are not recognised
 * @throws AppError `media_unreadable` when it is of a kind that is not read
 */
export function imageFile(file: { readonly path: string; readonly name: string }, mime: string): ImageFile {
  const { path, name } = file;
  // Raw photos are TIFF files whose first picture is a thumbnail.
  const isRaw = isCameraRaw(name) && mime === "image/tiff";
  if (/^image\/hei[cf]/.test(mime)) return { path, name, decoder: "heic" };
  if (mime === "image/bmp") return { path, name, decoder: "bmp" };
  if (mime !== "" && (isRaw || !sharpTypes.test(mime))) throw unreadable(name, notRead(mime));
  return { path, name, decoder: "sharp" };
}

function notRead(mime: string): string {
  return `no image of a kind that is read${mime === "" ? "" : ` (${mime})`}: save it as PNG or JPEG`;
}

export type ImageInfo = Size & {
  /** Pictures in the file, of which the first is used unless it is an animation. */
  readonly pages: number;
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
    if (file.decoder === "heic") {
      const { width, height } = await heicPixels(file);
      return { width, height, pages: 1, delaysMs: [0] };
    }
    if (file.decoder === "bmp") {
      const { width, height } = await (await openBmp(file)).metadata();
      return { width, height, pages: 1, delaysMs: [0] };
    }
    const { pages = 1, delay, autoOrient, format } = await sharp(file.path, options).metadata();
    const isAnimation = pages > 1 && (format === "gif" || format === "webp");
    const delaysMs = Array.from({ length: isAnimation ? pages : 1 }, (_, page) => delayOf(delay?.[page]));
    return { width: autoOrient.width, height: autoOrient.height, pages, delaysMs };
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
    const image = await openers[file.decoder](file);
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

const openers = {
  sharp: async (file: ImageFile) => sharp(file.path, options),
  heic: openHeic,
  bmp: openBmp,
} as const;

async function openBmp(file: ImageFile): Promise<Sharp> {
  const pieces: Uint8Array[] = [];
  const asPng = ["-frames:v", "1", "-c:v", "png", "-compression_level", "1", "-f", "image2pipe", "pipe:1"];
  const result = await runTool(
    "ffmpeg",
    ["-nostdin", "-f", "bmp_pipe", ...inputArguments(file.path), ...asPng],
    {
      what: file.name,
      timeoutMs: 120_000,
      onOutput: (piece) => pieces.push(piece),
    },
  );
  if (pieces.length === 0) throw new Error(firstComplaint(result.errors) || "not one pixel can be decoded");
  return sharp(Buffer.concat(pieces), options);
}

/** Pictures in an animated PNG, which has their number in front of the first one; undefined when it is not found there. */
export async function countApngPictures(path: string): Promise<number | undefined> {
  const handle = await open(path, "r");
  try {
    const head = Buffer.alloc(65_536);
    const { bytesRead } = await handle.read(head, 0, head.length, 0);
    const at = head.subarray(0, bytesRead).indexOf("acTL", 0, "latin1");
    return at < 0 || at + 8 > bytesRead ? undefined : head.readUInt32BE(at + 4);
  } finally {
    await handle.close();
  }
}

async function heicPixels(file: ImageFile) {
  return decodeHeic({ buffer: await readFile(file.path) });
}

/** Decoders throw all kinds of errors; what they say becomes the reason for dropping the file. */
async function explained<T>(file: ImageFile, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AppError) throw error;
    const text = error instanceof Error ? error.message : String(error);
    const reason =
      text
        .replace(/^Input file /, "it ")
        .replaceAll(file.path, file.name)
        .split("\n")[0] ?? "";
    if (/unsupported image format/.test(reason)) throw unreadable(file.name, notRead(""), error);
    throw unreadable(file.name, `the image cannot be decoded: ${reason}`, error);
  }
}
