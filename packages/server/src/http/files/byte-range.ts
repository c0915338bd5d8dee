/** Parses the Range header. Source: RFC 9110, section 14. */
import type { ByteRange } from "../../storage/stores/file-store.ts";

/**
 * Returns the requested bytes. Undefined means the whole file: no header, another unit, several ranges (which a server may
 * ignore), or an invalid header. "none" means a range after the end: 416.
 */
export function parseRange(header: string | undefined, sizeBytes: number): ByteRange | "none" | undefined {
  const [, from = "", to = ""] = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/i.exec(header ?? "") ?? [];
  if (from === "" && to === "") return undefined;
  const end = sizeBytes - 1;
  if (from === "") {
    const length = Number(to);
    return length === 0 || sizeBytes === 0 ? "none" : { first: Math.max(0, sizeBytes - length), last: end };
  }
  const first = Number(from);
  const last = to === "" ? end : Math.min(Number(to), end);
  if (to !== "" && Number(to) < first) return undefined;
  return first > end ? "none" : { first, last };
}
