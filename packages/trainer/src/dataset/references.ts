/**
 * References (IC-LoRA): which stretch of a reference belongs to which sample. Both are cut by the same rules, so a stretch
 * belongs to a sample when it starts at the same time and has as many frames at the same rate.
 */
import type { Examined, Piece } from "./samples.ts";

/**
 * The samples that have their stretch of the reference; `reason` when there is none.
 *
 * @param name of the reference, for reason and notes
 */
export function pairPieces(
  target: Examined,
  reference: Examined,
  name: string,
): Pick<Examined, "pieces" | "reason" | "notes"> {
  const excerpts = new Map(reference.pieces.map(({ line, excerpt }) => [placeOf(line), excerpt]));
  const pieces = target.pieces.flatMap((piece) => {
    const excerpt = excerpts.get(placeOf(piece.line));
    return excerpt === undefined ? [] : [{ ...piece, reference: excerpt }];
  });
  const missing = target.pieces.length - pieces.length;
  if (pieces.length > 0) {
    const short =
      missing === 0
        ? []
        : [`${missing} of ${target.pieces.length} samples left out: the reference is of another length`];
    return { pieces, notes: [`reference: ${name}`, ...short] };
  }
  const found = reference.reason ?? `${lengthOf(reference)}, expected as long as the ${target.kind} itself`;
  return { pieces, notes: [], reason: target.reason ?? `its reference ${name} does not fit: ${found}` };
}

function placeOf({ startSeconds, frames, frameRate }: Piece["line"]): string {
  return `${startSeconds} ${frames} ${frameRate}`;
}

function lengthOf({ kind, durationSeconds }: Examined): string {
  return durationSeconds === undefined ? `an ${kind}` : `a ${kind} of ${durationSeconds.toFixed(2)} s`;
}
