/** From a request's headers to its caller, or to the answer that it has none. */
import type { Database } from "../db/database.ts";
import { SharedReads } from "../queue/shared-reads.ts";
import { WireError } from "../queue/wire-error.ts";
import type { Caller } from "./caller.ts";
import { verifyKey } from "./keys.ts";

/** A revoked key works for so long at most. */
const keyAgeMs = 2_000;

export class Authenticator {
  private readonly keys: SharedReads<Caller | undefined>;

  constructor(db: Database) {
    this.keys = new SharedReads({ maxAgeMs: keyAgeMs, read: (key) => verifyKey(db, key) });
  }

  /**
   * @param endpoint named in the answer to a caller without a key
   * @throws WireError 401
   */
  async caller(authorization: string | undefined, endpoint: string): Promise<Caller> {
    if (authorization === undefined || authorization === "") {
      throw unauthorized(`Cannot access application "${endpoint}". Authentication is required: send a key.`);
    }
    const [, scheme = "", credentials = ""] = /^(\S+)\s+(.*)$/s.exec(authorization) ?? [];
    if (/^bearer$/i.test(scheme)) throw unauthorized("bearer: unable to decode issuer");
    const caller = /^key$/i.test(scheme) ? await this.keys.get(credentials.trim()) : undefined;
    if (caller === undefined) throw unauthorized("invalid key credentials");
    return caller;
  }
}

function unauthorized(detail: string): WireError {
  return new WireError(401, { detail });
}
