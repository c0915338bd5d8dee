/**
 * Reads a diffusers or transformers `config.json` field by field. The error for an invalid file names the field.
 *
 * Unknown fields are ignored, as in the reference. A field that we need must be present or have a default.
 */
import { readFileSync } from "node:fs";

/** An invalid configuration. The message names the file, the field, the value and what was expected. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly where: string;

  constructor(where: string, got: string, expected: string, remedy?: string) {
    super(`${where}: got ${got}, expected ${expected}${remedy === undefined ? "" : `. ${remedy}`}`);
    this.where = where;
  }
}

/** The fields of one JSON object, each checked when it is read. */
export class ConfigFields {
  readonly where: string;
  readonly #values: Readonly<Record<string, unknown>>;

  /** @throws ConfigError when `json` is not an object */
  constructor(json: unknown, where: string) {
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      throw new ConfigError(where, show(json), "a JSON object");
    }
    this.where = where;
    this.#values = json as Record<string, unknown>;
  }

  /** Reads a JSON file. @throws ConfigError when it is missing, not JSON or not an object */
  static fromFile(path: string): ConfigFields {
    return new ConfigFields(readJson(path), path);
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined && this.#values[name] !== null;
  }

  /** The unchecked value of the file. */
  raw(name: string): unknown {
    return this.#values[name];
  }

  number(name: string, fallback?: number): number {
    return this.#read(name, fallback, "a finite number", (v): v is number => Number.isFinite(v));
  }

  /** A whole number of at least 1. */
  count(name: string, fallback?: number): number {
    return this.#read(name, fallback, "a whole number of at least 1", isCount);
  }

  boolean(name: string, fallback?: boolean): boolean {
    return this.#read(name, fallback, "true or false", (v): v is boolean => typeof v === "boolean");
  }

  string(name: string, fallback?: string): string {
    return this.#read(name, fallback, "a string", (v): v is string => typeof v === "string");
  }

  counts(name: string, fallback?: readonly number[], least = 1): readonly number[] {
    const expected = `a list of whole numbers of at least ${least}`;
    return this.#read(name, fallback, expected, (v): v is readonly number[] => {
      return Array.isArray(v) && v.every((item) => Number.isInteger(item) && item >= least);
    });
  }

  booleans(name: string, fallback?: readonly boolean[]): readonly boolean[] {
    return this.#read(name, fallback, "a list of true and false", (v): v is readonly boolean[] => {
      return Array.isArray(v) && v.every((item) => typeof item === "boolean");
    });
  }

  strings(name: string, fallback?: readonly string[]): readonly string[] {
    return this.#read(name, fallback, "a list of strings", (v): v is readonly string[] => {
      return Array.isArray(v) && v.every((item) => typeof item === "string");
    });
  }

  /** One of a closed set. Any other value would silently change the mathematics. */
  oneOf<const T extends string | number | boolean | null>(
    name: string,
    allowed: readonly T[],
    fallback?: NoInfer<T>,
  ): T {
    const expected = allowed.map((value) => JSON.stringify(value)).join(" or ");
    return this.#read(name, fallback, expected, (v): v is T => allowed.includes(v as T));
  }

  #read<T>(name: string, fallback: T | undefined, expected: string, accepts: (v: unknown) => v is T): T {
    const value = this.#values[name];
    if (accepts(value)) return value;
    if (fallback !== undefined && (value === undefined || value === null)) return fallback;
    throw new ConfigError(`${this.where}, ${name}`, show(value), expected);
  }
}

/** Parses a JSON file. @throws ConfigError when it is missing or not JSON */
export function readJson(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const error = new ConfigError(path, "no readable file", "a JSON file");
    throw Object.assign(error, { cause });
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    const error = new ConfigError(path, "text that is not JSON", "a JSON file");
    throw Object.assign(error, { cause });
  }
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1;
}

function show(value: unknown): string {
  return value === undefined ? "nothing" : JSON.stringify(value);
}
