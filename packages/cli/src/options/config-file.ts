/**
 * Options from a JSON file: one written by hand, or the `config.json` of a finished training, whose `input` they are.
 *
 * A key that is no option is an error, not a warning: a misspelt option would otherwise cost hours of a training with
 * its default. Keys that begin with `_` or `$` are comments.
 */
import { readFileSync } from "node:fs";
import { AppError, isRecord, type parseOptions, unknownKeys } from "@ltx-trainer/contract";

type Options = Readonly<Record<string, unknown>>;
type Schema = Parameters<typeof parseOptions>[0];

export type ConfigFile = {
  readonly options: Options;
  /** Keys that were left out, with where they stand; only of a finished training's configuration. */
  readonly ignored: readonly string[];
};

/**
 * The options of a file, as `--config` takes it.
 *
 * @param schema of the command: what it does not know is unknown
 * @throws AppError `invalid_options` when it is no JSON object, or holds keys that are no options
 */
export function readConfig(path: string, schema: Schema): ConfigFile {
  const value = parse(path);
  if (isRecord(value.input) && isRecord(value.plan)) {
    // Another version may have written it: what this one does not know is said, and the rest applies.
    const ignored = unknownKeys(schema, value.input);
    return { options: value.input, ignored: ignored.map((key) => `input.${key}`) };
  }
  const options = Object.fromEntries(Object.entries(value).filter(([key]) => !/^[_$]/.test(key)));
  const unknown = unknownKeys(schema, options);
  if (unknown.length === 0) return { options, ignored: [] };
  const known = Object.keys((schema as { shape?: Options }).shape ?? {});
  const hints = unknown.flatMap((key) => {
    const meant = closest(key, known);
    return meant === undefined ? [] : [`"${key}" is probably ${meant}.`];
  });
  throw refused(path, `got ${unknown.map((key) => `"${key}"`).join(", ")}, which no option is called`, [
    ...hints,
    "Options are called as in `ltx-trainer train --help`, with _ for -: number_of_steps.",
  ]);
}

function parse(path: string): Options {
  let value: unknown;
  try {
    const bytes = readFileSync(path);
    if (isUtf16(bytes)) throw new TypeError("the text is UTF-16, expected UTF-8");
    // Windows editors write a byte order mark, which JSON does not allow.
    value = JSON.parse(bytes.toString("utf8").replace(/^\uFEFF/, ""));
  } catch (cause) {
    throw refused(path, (cause as Error).message, [], cause);
  }
  if (!isRecord(value)) throw refused(path, "got something else than an object", []);
  return value;
}

function isUtf16([first, second]: Uint8Array): boolean {
  return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
}

/** The option a key was probably meant to be: equal but for dashes and capitals, or one or two letters off. */
function closest(key: string, known: readonly string[]): string | undefined {
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, "");
  const ranked = known.map((name) => ({ name, distance: editDistance(plain(key), plain(name)) }));
  const [best] = ranked.toSorted((a, b) => a.distance - b.distance);
  return best !== undefined && best.distance <= 2 ? best.name : undefined;
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      const replaced = (row[j] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

function refused(path: string, what: string, remedies: readonly string[], cause?: unknown): AppError {
  return new AppError({
    code: "invalid_options",
    message: `--config: ${path}: ${what}; expected a JSON file such as { "rank": 32 }, or the config.json of a training`,
    remedy: remedies.length === 0 ? undefined : remedies.join(" "),
    facts: { path },
    cause,
  });
}
