/** Signs URLs with a secret that all servers on one database share. */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Database } from "../db/database.ts";
import { persistently } from "../db/persist.ts";
import { fileUrl, type PublicUrl } from "../wire/public-urls.ts";

/** Same as on the hosted service. */
export const longestSignatureSeconds = 7 * 24 * 3600;

type FileAddress = { readonly store: string; readonly name: string };

export class Signer {
  readonly #secret: Buffer;

  constructor(secret: Buffer) {
    this.#secret = secret;
  }

  /** Opens the signer with the secret of this database, which is created at first use. */
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

  /** Identifies the database of the secret, without revealing it. */
  get databaseId(): string {
    return this.#sign("database");
  }

  /** Returns a URL that allows reading a file for this many seconds. */
  signedUrl(publicUrl: PublicUrl, file: FileAddress, seconds: number): string {
    const expires = String(Math.floor(Date.now() / 1000 + seconds));
    return `${fileUrl(publicUrl, file)}?expires=${expires}&signature=${this.#sign("file", file.store, file.name, expires)}`;
  }

  /** Tells whether a query allows reading the file now. */
  allows(file: FileAddress, query: { readonly expires?: unknown; readonly signature?: unknown }): boolean {
    const { expires, signature } = query;
    if (typeof expires !== "string" || !/^\d{1,12}$/.test(expires)) return false;
    return (
      Number(expires) * 1000 > Date.now() &&
      equal(this.#sign("file", file.store, file.name, expires), signature)
    );
  }

  /** Returns the token in an upload URL: it allows filling this upload only. */
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
