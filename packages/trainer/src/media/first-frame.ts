/** The picture from which a validation video starts: from a path, an address or a data URI to pixels of the right size. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Size } from "@ltx-trainer/contract";
import { fileTypeFromFile } from "file-type";
import { decodeImage } from "../dataset/image.ts";
import { locateFile } from "../dataset/open.ts";
import { unreadable } from "../dataset/probe.ts";
import { sourceName } from "../dataset/source-policy.ts";
import type { PrepareContext } from "../dataset/types.ts";

/**
 * The image as `[h, w, 3]`, sRGB, scaled to cover the size and cropped at the centre.
 *
 * @throws AppError `source_not_found`, `download_failed`, `media_unreadable`
 */
export async function loadFirstFrame(source: string, size: Size, context: Context = {}): Promise<Uint8Array> {
  const workFolder = await mkdtemp(join(tmpdir(), "ltx-trainer-image-"));
  try {
    return await load(source, size, { ...context, workFolder });
  } finally {
    await rm(workFolder, { recursive: true, force: true });
  }
}

type Context = Pick<PrepareContext, "limits" | "signal" | "checkAddress" | "nameOf">;

async function load(
  source: string,
  size: Size,
  context: Context & { workFolder: string },
): Promise<Uint8Array> {
  const path = await locateFile(source, context);
  const name = `validation image (${context.nameOf?.(source) ?? sourceName(source)})`;
  const mime = (await fileTypeFromFile(path))?.mime ?? "";
  if (mime !== "" && !mime.startsWith("image/")) {
    throw unreadable(name, `got a file of type ${mime}, expected an image`);
  }
  return decodeImage({ path, name, isHeic: /^image\/hei[cf]/.test(mime) }, size);
}
