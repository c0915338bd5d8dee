/** Checks a client's list of parts against the received ones. */
import { z } from "zod";
import type { UploadPart } from "../db/files/uploads.ts";
import { parseWire } from "../wire/parse-wire.ts";
import { WireError } from "../wire/wire-error.ts";

const Body = z.object({
  parts: z.array(z.object({ partNumber: z.int().min(1), etag: z.string().max(300) })).min(1),
});

/**
 * Returns the parts to join, in order. All parts but the last must be as long as the first, because other lengths mean lost
 * bytes. (The Python client's `upload` of bytes above 100 MiB sends every part after the first empty.)
 *
 * @throws WireError 400 naming the problem
 */
export function checkPartList(list: unknown, stored: readonly UploadPart[]): readonly UploadPart[] {
  const { parts: given } = parseWire(Body, list);
  const listed = given.toSorted((a, b) => a.partNumber - b.partNumber);
  const came = new Map(stored.map((part) => [part.number, part]));
  const parts = listed.map(({ partNumber, etag }, index) => {
    if (partNumber !== index + 1) {
      throw refused(`got part ${partNumber} where part ${index + 1} was expected: each once, without a gap`);
    }
    const part = came.get(partNumber);
    if (part === undefined) throw refused(`part ${partNumber} was not uploaded`);
    if (bare(part.etag) !== bare(etag)) {
      throw refused(`part ${partNumber}: got etag ${etag}, expected ${part.etag}; upload the part again`);
    }
    return part;
  });
  if (came.size > parts.length) {
    throw refused(`got a list of ${parts.length} parts, but ${came.size} were uploaded`);
  }
  refuseShortParts(parts);
  return parts;
}

function refuseShortParts(parts: readonly UploadPart[]): void {
  const size = parts[0]?.sizeBytes ?? 0;
  for (const [index, { number, sizeBytes }] of parts.entries()) {
    const isLast = index === parts.length - 1;
    const fits = isLast ? sizeBytes <= size && (sizeBytes > 0 || index === 0) : sizeBytes === size;
    if (!fits) {
      throw refused(
        `part ${number} has ${sizeBytes} bytes, expected ${isLast ? `1 to ${size}` : size} as part 1; the file would be damaged`,
      );
    }
  }
}

/** Normalizes etags: clients send them with or without quotes, and some proxies mark them as weak. */
function bare(etag: string): string {
  return etag.replace(/^W\//, "").replace(/^"|"$/g, "");
}

function refused(reason: string): WireError {
  return WireError.badRequest(`parts: ${reason}`);
}
