/** The picture from which a validation video starts: from a path, an address or a data URI to pixels of the right size. */
import { tmpdir } from "node:os";
import { AppError, type Size } from "@ltx-trainer/contract";
import { fileTypeFromFile } from "file-type";
import type { PrepareContext } from "../dataset/types.ts";
import { withTemporaryFolder } from "../files/temporary-folder.ts";
import { unreadable } from "../media/ffmpeg/probe.ts";
import { decodeImage, imageFile } from "../media/image.ts";
import { locateFile } from "../source/open.ts";
import { sourceName } from "../source/policy.ts";

/** One picture; a dataset's limits would let it fill the disk. */
const limits = { downloadBytes: 100 * 2 ** 20, downloadTimeoutMs: 60_000 };

/**
 * The image as `[h, w, 3]`, sRGB, scaled to cover the size and cropped at the centre.
 *
 * @throws AppError `source_not_found`, `download_failed`, `media_unreadable`
 */
export async function loadFirstFrame(source: string, size: Size, context: Context = {}): Promise<Uint8Array> {
  const { scratch = tmpdir() } = context;
  return withTemporaryFolder(scratch, async (workFolder) => {
    try {
      return await load(source, size, { ...context, limits: { ...limits, ...context.limits }, workFolder });
    } catch (error) {
      throw error instanceof AppError ? ofValidation(error) : error;
    }
  });
}

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

type Context = Pick<PrepareContext, "limits" | "signal" | "checkAddress" | "nameOf"> & {
  /** Where a download is put until it is decoded. Default: the system's temporary folder. */
  readonly scratch?: string | undefined;
};

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
