/** The picture from which a validation video starts: from a path, an address or a data URI to pixels of the right size. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppError, type Size } from "@ltx-trainer/contract";
import { fileTypeFromFile } from "file-type";
import { decodeImage, imageFile } from "../dataset/image.ts";
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
    const limits = { ...imageLimits, ...context.limits };
    return await load(source, size, { ...context, limits, workFolder });
  } catch (error) {
    throw error instanceof AppError ? ofValidation(error) : error;
  } finally {
    await rm(workFolder, { recursive: true, force: true });
  }
}

/** What a picture may take: the limits of data sets would let it fill the disk. */
const imageLimits = { downloadBytes: 100 * 2 ** 20, downloadTimeoutMs: 60_000 };

/** Says which field of the input the failure is about: otherwise it would be taken for one of the data. */
function ofValidation(error: AppError): AppError {
  const { code, message, remedy, retryable, facts } = error;
  return new AppError({
    code,
    message,
    remedy,
    retryable,
    facts: { ...facts, field: "validation" },
    cause: error,
  });
}

type Context = Pick<PrepareContext, "limits" | "signal" | "checkAddress" | "nameOf">;

async function load(
  source: string,
  size: Size,
  context: Context & { workFolder: string },
): Promise<Uint8Array> {
  const path = await locateFile(source, context);
  const name = `validation image ${context.nameOf?.(source) ?? sourceName(source)}`;
  const mime = (await fileTypeFromFile(path))?.mime ?? "";
  if (mime !== "" && !mime.startsWith("image/")) {
    throw unreadable(name, `got a file of type ${mime}, expected an image`);
  }
  return decodeImage(imageFile({ path, name }, mime), size);
}
