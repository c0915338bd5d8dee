/** Addresses that speak for themselves: signed with a secret that all servers on one database share. */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Database } from "../db/database.ts";
import { persistently } from "../db/persist.ts";
import { fileUrl, type PublicUrl } from "../wire/public-urls.ts";

/** As long as the hosted service lets a signed address live. */
export const longestSignatureSeconds = 7 * 24 * 3600;

type FileAddress = { readonly store: string; readonly name: string };

export class Signer {
  readonly #secret: Buffer;

  constructor(secret: Buffer) {
    this.#secret = secret;
  }

  /** With the secret of this database, made at its first use. */
  static async open(db: Database): Promise<Signer> {
    const name = "file-signing";
    const insert = db
      .insertInto("secrets")
      .values({ name, value: randomBytes(32) })
      .onConflict((conflict) => conflict.column("name").doNothing());
    await persistently(() => insert.execute());
    const query = db.selectFrom("secrets").select("value").where("name", "=", name);
    const { value } = await persistently(() => query.executeTakeFirstOrThrow());
    return new Signer(value);
  }

  /** Names the database that the secret is from, without giving anything away. */
  get databaseId(): string {
    return this.#sign("database");
  }

  /** The address of a file that lets whoever has it read it for so many seconds. */
  signedUrl(publicUrl: PublicUrl, file: FileAddress, seconds: number): string {
    const expires = String(Math.floor(Date.now() / 1000 + seconds));
    return `${fileUrl(publicUrl, file)}?expires=${expires}&signature=${this.#sign("file", file.store, file.name, expires)}`;
  }

  /** Whether a query lets its bearer read the file now. */
  allows(file: FileAddress, query: { readonly expires?: unknown; readonly signature?: unknown }): boolean {
    const { expires, signature } = query;
    if (typeof expires !== "string" || !/^\d{1,12}$/.test(expires)) return false;
    return (
      Number(expires) * 1000 > Date.now() &&
      equal(this.#sign("file", file.store, file.name, expires), signature)
    );
  }

  /** What an address for uploading carries: the right to fill this upload, and nothing else. */
  uploadToken(uploadId: string): string {
    return this.#sign("upload", uploadId);
  }

  isUploadToken(uploadId: string, token: unknown): boolean {
    return equal(this.uploadToken(uploadId), token);
  }

  #sign(...words: readonly string[]): string {
    return createHmac("sha256", this.#secret).update(words.join("\n")).digest("hex");
  }
}

function equal(expected: string, given: unknown): boolean {
  if (typeof given !== "string") return false;
  const [a, b] = [Buffer.from(expected), Buffer.from(given)];
  return a.length === b.length && timingSafeEqual(a, b);
}
