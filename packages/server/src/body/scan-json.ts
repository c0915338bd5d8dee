/**
 * Scans JSON before it is parsed: checks depth and number of values, and finds long data URIs.
 *
 * JSON.parse takes up to a second per MiB, and gigabytes of memory, for text that is all brackets. The scan is one pass,
 * because the text is untrusted.
 */

/** A body that is refused. */
export class BodyRefusal extends Error {
  override readonly name = "BodyRefusal";
  readonly status: 413 | 422;

  constructor(status: 413 | 422, reason: string) {
    super(reason);
    this.status = status;
  }
}

/** The bytes between the quotes of a string: `start` included, `end` excluded. */
export type Span = { readonly start: number; readonly end: number };

const deepest = 100;
/** Shorter data URIs stay in the text: a file would cost more than it saves. */
const shortestCut = 1024;

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c];
const [openList, closeList, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Returns the strings that are long data URIs. Malformed JSON passes: JSON.parse reports it.
 *
 * @param mostValues limit on lists, objects and their members
 * @throws BodyRefusal 422 for too many or too deep values, and for a control character in a string, which a cut would hide
 */
export function scanJson(bytes: Uint8Array, mostValues: number): Span[] {
  const spans: Span[] = [];
  let [depth, values] = [0, 0];
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte === quote) {
      const span = { start: at + 1, end: endOfText(bytes, at + 1) };
      if (span.end - span.start >= shortestCut && isDataUri(bytes, span.start)) spans.push(span);
      at = span.end;
    } else if (byte === comma) values++;
    else if (byte === openList || byte === openObject) {
      values++;
      depth++;
      if (depth > deepest) throw new BodyRefusal(422, `nested deeper than ${deepest} levels`);
    } else if (byte === closeList || byte === closeObject) depth--;
    if (values > mostValues) throw new BodyRefusal(422, `more than ${mostValues} values`);
  }
  return spans;
}

/** Returns the position of the closing quote, or the end of the body. */
function endOfText(bytes: Uint8Array, start: number): number {
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte === quote) return at;
    if (byte === backslash) at++;
    else if (byte < 0x20) throw new BodyRefusal(422, `a control character in a text, at position ${at}`);
  }
  return bytes.length;
}

function isDataUri(bytes: Uint8Array, start: number): boolean {
  return /^data:$/i.test(String.fromCharCode(...bytes.subarray(start, start + "data:".length)));
}
