/** Resolves URLs of our own files in a request's input. They are read from the store, never fetched. */
import { AppError } from "@ltx-trainer/contract";
import type { Database } from "../db/database.ts";
import { findFile } from "../db/files/files.ts";
import { falHosts, type PublicUrl } from "../wire/public-urls.ts";
import { addressIn } from "./file-names.ts";
import { decisionFor } from "./lifecycle.ts";
import type { Signer } from "./signer.ts";
import type { FileStore } from "./stores/file-store.ts";

export type InputFileDeps = {
  readonly db: Database;
  readonly store: FileStore;
  readonly signer: Signer;
  /** Public URLs of the service: as the client reached it, and as configured. */
  readonly publicUrls: readonly (PublicUrl | undefined)[];
  readonly userId: string;
  /** For files that must be copied to this machine. */
  readonly folder: string;
};

/**
 * Returns a path on this machine for a URL of our store, for any host: names cannot be guessed, so a known one is ours.
 * Undefined for other URLs.
 *
 * @throws AppError `source_not_found` when it is ours and the file does not exist, or the user may not read it
 */
export async function storedPath(url: string, deps: InputFileDeps): Promise<string | undefined> {
  const address = addressIn(url);
  if (address === undefined) return undefined;
  const file = await findFile(deps.db, address);
  if (file === undefined) {
    if (isOurs(url, deps)) throw notFound(url);
    return undefined;
  }
  const query = Object.fromEntries(new URL(url).searchParams);
  if (!deps.signer.allows(file, query) && decisionFor(file, deps.userId) !== "allow") throw notFound(url);
  return deps.store.locate(file.id, deps.folder);
}

function isOurs(url: string, { publicUrls }: InputFileDeps): boolean {
  const { origin, host } = new URL(url);
  return Object.hasOwn(falHosts, host) || publicUrls.some((known) => known !== undefined && known === origin);
}

function notFound(url: string): AppError {
  const { origin, pathname } = new URL(url);
  return new AppError({
    code: "source_not_found",
    message: `${origin}${pathname}: there is no such file in this server's storage, or it has expired`,
    remedy: "Upload it again.",
  });
}
