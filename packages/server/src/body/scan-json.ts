/**
 * One look over JSON before it is parsed: how deep and how many its values are, and where its long data URIs stand.
 *
 * JSON.parse takes up to a second per MiB for text that is all brackets, and memory by the gigabyte. Byte by byte, without
 * going back: the text is a stranger's.
 */

/** A body that is not read further. */
export class BodyRefusal extends Error {
  override readonly name = "BodyRefusal";
  readonly status: 413 | 422;

  constructor(status: 413 | 422, reason: string) {
    super(reason);
    this.status = status;
  }
}

/** What stands between the quotes of a text, from `start` to before `end`. */
export type Span = { readonly start: number; readonly end: number };

const deepest = 100;
/** Shorter ones stay where they are: a file would cost more than it saves. */
const shortestCut = 1024;

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c];
const [openList, closeList, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * The texts that are long data URIs. JSON that is malformed is none of our business: JSON.parse says what is wrong with it.
 *
 * @param mostValues lists, objects, and what is in them
 * @throws BodyRefusal 422 for values too deep, too many, or with a control character in a text, which a cut would hide
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

/** Where the quote is that ends a text, or the end of everything. */
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
