/**
 * Names of zip entries as their makers saw them. Zip stores bytes, and only newer programs say that they are UTF-8: all others
 * write in the encoding of their system. One archive has one, so that all its names are read together.
 */
import { decodeNames, mixesAlphabets, withoutControls } from "../text-encoding.ts";

type Named = {
  readonly rawFilename: Uint8Array;
  /** As read by zip.js: as UTF-8 where that is said or possible, else as CP437. */
  readonly filename: string;
  readonly filenameUTF8: boolean;
  /** Bit 11: the name is said to be UTF-8. */
  readonly bitFlag?: { readonly languageEncodingFlag: boolean };
  readonly extraFieldUnicodePath?: unknown;
};

/**
 * The names in the order of the entries, with `/` between folders. A backslash separates folders, too, but not where it
 * is the second byte of a character: half of the ideographs that end in 0x5C are in everyday use.
 */
export function readNames(entries: readonly Named[]): string[] {
  const legacy = entries.filter((entry) => !isSure(entry));
  const decoded = decodeNames(
    legacy.map(({ rawFilename }) => rawFilename),
    legacy.map(({ filename }) => filename),
  );
  const names = new Map(legacy.map((entry, index) => [entry, decoded[index] as string]));
  return entries.map((entry) => cleanPath(names.get(entry) ?? entry.filename));
}

function isSure({ filename, filenameUTF8, bitFlag, extraFieldUnicodePath }: Named): boolean {
  if (bitFlag?.languageEncodingFlag || extraFieldUnicodePath !== undefined) return true;
  return filenameUTF8 && !mixesAlphabets(filename);
}

function cleanPath(name: string): string {
  const path = withoutControls(name.replaceAll("\\", "/")).replace(/^(\.?\/)+/, "");
  return path === "" ? "(no name)" : path;
}
