/** Addresses of files: what we make, and what of others' names goes into them. */
import { randomBytes } from "node:crypto";

export type FileAddress = {
  /** Eight hexadecimal digits. */
  readonly store: string;
  /** 128 random bits and a readable rest: too long to be guessed. */
  readonly name: string;
};

/** With the random part it stays below the router's 100 characters. */
const longestName = 60;

/** A new address for a file that its owner calls so; whatever that is, the result is a plain name. */
export function newAddress(fileName: string | undefined): FileAddress {
  return {
    store: randomBytes(4).toString("hex"),
    name: `${randomBytes(16).toString("hex")}_${plainName(fileName ?? "")}`,
  };
}

/** Whether it can be an address of ours at all: nothing else is looked up. */
export function isAddress({ store, name }: FileAddress): boolean {
  return /^[0-9a-f]{8}$/.test(store) && /^[0-9a-f]{32}_[\w.-]{1,60}$/.test(name);
}

/** The address that a URL's path has, whatever its host. */
export function addressIn(url: string): FileAddress | undefined {
  if (!URL.canParse(url)) return undefined;
  const [, store = "", name = ""] = /^\/files\/b\/([^/]+)\/([^/]+)$/.exec(new URL(url).pathname) ?? [];
  return isAddress({ store, name }) ? { store, name } : undefined;
}

/** The name that its owner gave it, as far as it was plain. */
export function ownName(name: string): string {
  return name.slice(name.indexOf("_") + 1);
}

/** Letters, digits, dots, dashes: no folders, no dots in front, the extension kept. */
function plainName(name: string): string {
  const last = name.split(/[/\\]/).at(-1) ?? "";
  const plain = last.replace(/[^A-Za-z0-9._-]+/g, "_").replace(/^[._-]+/, "");
  return plain === "" ? "file" : plain.slice(-longestName).replace(/^[._-]+/, "") || "file";
}
