/**
 * Splits a body into small JSON and the files that it held as data URIs.
 *
 * Runs in this thread or in another one, which `large-bodies.ts` decides. It imports little, so that a thread starts fast.
 */
import { isUtf8 } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { parseDataUri } from "@ltx-trainer/host/data-uri";
import { type FilePattern, type FilePlace, filesIn } from "../wire/files-in.ts";
import { BodyRefusal, type Span, scanJson } from "./scan-json.ts";

export type InlineFile = {
  readonly place: FilePlace;
  readonly contentType: string;
  /** Undefined for a data URI that cannot be read. */
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
  /** sha256 of the data URI as sent, in hexadecimal. */
  readonly digest: string;
};

export type JsonBody = {
  /** The body as sent, with a short text in place of each data URI that became a file. Empty without a body. */
  readonly text: string;
  /** The parsed text. Undefined for an empty body. */
  readonly value: unknown;
  readonly files: readonly InlineFile[];
};

/** Files per body. No route accepts more. */
const mostFiles = 100;

export type JsonLimits = {
  /** Limit without the data URIs that become files. */
  readonly mostBytes: number;
  /** Limit on lists, objects and their members. */
  readonly mostValues: number;
  /** Where data URIs become files. */
  readonly files: readonly FilePattern[];
};

/** Reads a body. @throws BodyRefusal */
export function readJson(bytes: Uint8Array, { mostBytes, mostValues, files }: JsonLimits): JsonBody {
  if (bytes.length === 0) return { text: "", value: undefined, files: [] };
  if (!isUtf8(bytes)) throw new BodyRefusal(422, "the body is not UTF-8");
  const spans = scanJson(bytes, mostValues).slice(0, mostFiles);
  const places = placesOf(bytes, spans, { mostBytes, files });
  const placed = spans.flatMap((span, index) => {
    const place = places[index];
    return place === undefined ? [] : [{ span, place, ...fileAt(bytes, span) }];
  });
  const cuts = placed.map(({ span, contentType }) => ({
    ...span,
    words: `data:${contentType};base64,... (${span.end - span.start} characters)`,
  }));
  const text = textWithout(bytes, cuts, mostBytes);
  return { text, value: parse(text), files: placed.map(({ span: _span, ...file }) => file) };
}

type Cut = Span & { readonly words: string };

/** @throws BodyRefusal 413 */
function textWithout(bytes: Uint8Array, cuts: readonly Cut[], mostBytes: number): string {
  const size = cuts.reduce((left, { start, end }) => left - (end - start), bytes.length);
  if (size > mostBytes) {
    throw new BodyRefusal(
      413,
      `got ${size} bytes beside training data and images, expected at most ${mostBytes}`,
    );
  }
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (const { start, end, words } of cuts) {
    pieces.push(bytes.subarray(from, start), Buffer.from(words));
    from = end;
  }
  pieces.push(bytes.subarray(from));
  return new TextDecoder("utf-8").decode(Buffer.concat(pieces));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new BodyRefusal(422, (error as SyntaxError).message);
  }
}

/** Returns the place of each span. Undefined where the input takes no file. */
function placesOf(
  bytes: Uint8Array,
  spans: readonly Span[],
  { mostBytes, files }: Pick<JsonLimits, "mostBytes" | "files">,
): (FilePlace | undefined)[] {
  if (spans.length === 0) return [];
  const mark = `data:,${randomBytes(16).toString("hex")}.`;
  const value = parseMarked(bytes, spans, mark, mostBytes);
  const found = new Map(filesIn(value, files).map(({ place, value: inner }) => [inner, place]));
  return spans.map((_span, index) => found.get(mark + index));
}

function parseMarked(bytes: Uint8Array, spans: readonly Span[], mark: string, mostBytes: number): unknown {
  const cuts = spans.map((span, index) => ({ ...span, words: mark + index }));
  const text = textWithout(bytes, cuts, mostBytes);
  try {
    return JSON.parse(text);
  } catch {
    // Parse without the random marks, so that the error message is reproducible.
    parse(text.replaceAll(mark, "data:,"));
    return undefined;
  }
}

function fileAt(bytes: Uint8Array, { start, end }: Span): Omit<InlineFile, "place"> {
  const written = bytes.subarray(start, end);
  const uri = withoutEscapes(written);
  const parsed = uri && parseDataUri(uri);
  return {
    contentType: parsed?.contentType ?? "application/octet-stream",
    bytes: parsed?.bytes,
    digest: createHash("sha256").update(written).digest("hex"),
  };
}

const backslash = 0x5c;
const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

/** Unescapes a JSON string. Undefined when it escapes characters that no data URI has. @throws BodyRefusal 422 */
function withoutEscapes(written: Uint8Array): Uint8Array | undefined {
  let from = written.indexOf(backslash);
  if (from === -1) return written;
  const bytes = new Uint8Array(written.length);
  bytes.set(written.subarray(0, from));
  let [length, isPlain] = [from, true];
  for (; from < written.length; from++) {
    const byte = written[from] as number;
    if (byte !== backslash) {
      bytes[length++] = byte;
      continue;
    }
    const letter = String.fromCharCode(written[++from] ?? 0);
    const code = letter === "u" ? codeOf(written, from + 1) : escapes[letter]?.charCodeAt(0);
    if (code === undefined) throw new BodyRefusal(422, "an escape in a string that JSON does not have");
    if (letter === "u") from += 4;
    isPlain &&= code < 0x80;
    bytes[length++] = code;
  }
  return isPlain ? bytes.subarray(0, length) : undefined;
}

function codeOf(written: Uint8Array, at: number): number | undefined {
  const digits = String.fromCharCode(...written.subarray(at, at + 4));
  return /^[0-9a-f]{4}$/i.test(digits) ? Number.parseInt(digits, 16) : undefined;
}
