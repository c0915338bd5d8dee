/** Makes and parses the URLs of files. */
import { randomBytes } from "node:crypto";

export type FileAddress = {
  /** Eight hexadecimal digits. */
  readonly store: string;
  /** 128 random bits and a readable rest. */
  readonly name: string;
};

/** With the random part it stays below the router's 100 characters. */
const longestName = 60;

/** Returns a new URL for a file. Any name of the owner becomes a plain one. */
export function newAddress(fileName: string | undefined): FileAddress {
  return {
    store: randomBytes(4).toString("hex"),
    name: `${randomBytes(16).toString("hex")}_${plainName(fileName ?? "")}`,
  };
}

/** Tells whether it has the form of our URLs. Nothing else is looked up. */
export function isAddress({ store, name }: FileAddress): boolean {
  return /^[0-9a-f]{8}$/.test(store) && /^[0-9a-f]{32}_[\w.-]{1,60}$/.test(name);
}

/** Parses the path of a URL, for any host. */
export function addressIn(url: string): FileAddress | undefined {
  if (!URL.canParse(url)) return undefined;
  const [, store = "", name = ""] = /^\/files\/b\/([^/]+)\/([^/]+)$/.exec(new URL(url).pathname) ?? [];
  return isAddress({ store, name }) ? { store, name } : undefined;
}

/** Returns the plain part of the owner's name. */
export function ownName(name: string): string {
  return name.slice(name.indexOf("_") + 1);
}

/** Keeps letters, digits, dots and dashes: no folders, no leading dots. Keeps the extension of names in other scripts. */
function plainName(name: string): string {
  const last = lastSegment(name);
  const [extension = ""] = /(?<=.)\.[A-Za-z0-9]{1,10}$/.exec(last) ?? [];
  const stem = plain(last.slice(0, last.length - extension.length)).slice(-(longestName - extension.length));
  return `${plain(stem) || "file"}${extension}`;
}

function plain(text: string): string {
  return text.replace(/[^A-Za-z0-9._-]+/g, "_").replace(/^[._-]+/, "");
}

function lastSegment(name: string): string {
  return name.split(/[/\\]/).at(-1) ?? "";
}

/** Limit on the name, in characters. */
const longestOwnName = 200;

/** Returns the owner's name for downloads, without folders and control characters. Undefined when nothing is left. */
export function storedName(name: string | undefined): string | undefined {
  const clean = lastSegment(name ?? "")
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what must not stay
    .replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "")
    .trim();
  const short = [...clean].slice(-longestOwnName).join("");
  return short === "" || short === "." || short === ".." ? undefined : short;
}

/** Builds Content-Disposition with the name in ASCII and as the owner wrote it. Source: RFC 6266, RFC 5987. */
export function fileNameParameters(asciiName: string, fileName: string | null): string {
  const ascii = `filename="${asciiName}"`;
  if (fileName === null || fileName === asciiName) return ascii;
  const encoded = encodeURIComponent(fileName).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `${ascii}; filename*=UTF-8''${encoded}`;
}
