/** Authenticates callers of file routes: by key, by token, or not at all. */
import type { Authenticator } from "../access/authenticate.ts";
import type { Caller } from "../access/caller.ts";
import { verifyToken } from "../access/tokens.ts";
import type { Database } from "../db/database.ts";
import { WireError } from "../wire/wire-error.ts";

export class FileAccess {
  readonly #db: Database;
  readonly #authenticator: Authenticator;

  constructor(db: Database, authenticator: Authenticator) {
    this.#db = db;
    this.#authenticator = authenticator;
  }

  /** Returns the caller, by token or key. @throws WireError 401 */
  async caller(authorization: string | undefined): Promise<Caller> {
    const [, token] = /^bearer\s+(\S+)\s*$/i.exec(authorization ?? "") ?? [];
    if (token === undefined) return this.#authenticator.keyHolder(authorization, "storage");
    const caller = (await verifyToken(this.#db, "cdn", token))?.caller;
    if (caller === undefined) throw new WireError(401, { detail: "invalid or expired token" });
    return caller;
  }

  /** Returns the caller, by key only. @throws WireError 401, 403 for a token */
  keyHolder(authorization: string | undefined, what: string): Promise<Caller> {
    return this.#authenticator.keyHolder(authorization, what);
  }

  /** Returns the caller, or undefined. Invalid credentials count as none. */
  async callerIfAny(authorization: string | undefined): Promise<Caller | undefined> {
    if (authorization === undefined || authorization === "") return undefined;
    try {
      return await this.caller(authorization);
    } catch (error) {
      if (error instanceof WireError) return undefined;
      throw error;
    }
  }
}
