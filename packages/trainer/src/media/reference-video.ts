/** The video that a sample follows (IC-LoRA): from a path, an address or a data URI to pixels of the right shape. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileKind } from "../dataset/media-kinds.ts";
import { locateFile } from "../dataset/open.ts";
import { unreadable } from "../dataset/probe.ts";
import { examine } from "../dataset/samples.ts";
import { type SourcePolicy, sourceName } from "../dataset/source-policy.ts";
import type { VideoShape } from "../plan.ts";

/**
 * The first frames of the video as `[f, h, w, 3]`, sRGB, cut to the shape and the frame rate as a training sample is.
 *
 * @param options.autoScale show the whole video in that many frames instead
 * @throws AppError `source_not_found`, `download_failed`, `media_unreadable`, the last also when it is too short
 */
export async function loadReferenceVideo(
  source: string,
  shape: VideoShape,
  options: SourcePolicy & { readonly autoScale: boolean },
): Promise<Uint8Array> {
  const workFolder = await mkdtemp(join(tmpdir(), "ltx-trainer-reference-"));
  const name = `reference video ${options.nameOf?.(source) ?? sourceName(source)}`;
  try {
    const path = await locateFile(source, { ...options, workFolder });
    const kind = fileKind(path) === "image" ? "image" : "video";
    const { autoScale } = options;
    const cut = { ...shape, autoScale, triggerPhrase: "", useAllFootage: false, mixedShapes: false };
    const found = await examine({ path, name, kind }, cut);
    const excerpt = found.pieces[0]?.excerpt;
    if (excerpt === undefined) throw unreadable(name, found.reason ?? "no frames in it");
    if (excerpt.frames !== shape.frames)
      throw unreadable(name, `got an image, expected a video of at least ${shape.frames} frames`);
    return await excerpt.load();
  } finally {
    await rm(workFolder, { recursive: true, force: true });
  }
}
