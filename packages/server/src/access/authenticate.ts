/** Authenticates a request by its key or token. */
import { LRUCache } from "lru-cache";
import type { Logger } from "pino";
import type { Database } from "../db/database.ts";
import { SharedReads } from "../wire/shared-reads.ts";
import { WireError } from "../wire/wire-error.ts";
import type { Caller } from "./caller.ts";
import { recordKeyUse, verifyKey } from "./keys.ts";
import { allowsApp, type TokenHolder, verifyToken } from "./tokens.ts";

/** Longest time that a revoked key or token still works. */
const credentialsAgeMs = 2_000;
/** Precision of the time of a key's last use. */
const useNotedMs = 60_000;

/** The parts of an HTTP request that identify its caller. */
export type Credentials = {
  readonly headers: { readonly authorization?: string | undefined };
  readonly query: unknown;
};

/** Returns the `Authorization` of a request. Browsers that stream pass a token in the query instead. */
export function authorizationOf({ headers, query }: Credentials): string | undefined {
  const { fal_jwt_token: token } = query as { fal_jwt_token?: unknown };
  return headers.authorization || (typeof token === "string" ? `Bearer ${token}` : undefined);
}

export class Authenticator {
  readonly #db: Database;
  readonly #log: Logger;
  readonly #keys: SharedReads<Caller | undefined>;
  readonly #tokens: SharedReads<TokenHolder | undefined>;
  readonly #usesNoted = new LRUCache<string, true>({ max: 10_000, ttl: useNotedMs });

  constructor(db: Database, log: Logger) {
    this.#db = db;
    this.#log = log;
    const maxAgeMs = credentialsAgeMs;
    this.#keys = new SharedReads({ maxAgeMs, read: (key) => verifyKey(db, key) });
    this.#tokens = new SharedReads({ maxAgeMs, read: (token) => verifyToken(db, "app", token) });
  }

  /**
   * Returns the caller of an endpoint, by key or token.
   *
   * @throws WireError 401 without either, 403 for a token for other endpoints
   */
  async caller(authorization: string | undefined, endpoint: string): Promise<Caller> {
    const { scheme, credentials } = parse(authorization, `application "${endpoint}"`);
    if (scheme !== "bearer") return this.#holderOf(scheme, credentials);
    const holder = await this.#tokens.get(credentials);
    if (holder === undefined) throw refusal(401, "bearer: unable to decode issuer");
    if (allowsApp(holder.allowedApps, endpoint)) return holder.caller;
    const apps = holder.allowedApps?.join(", ");
    throw refusal(403, `Cannot access application "${endpoint}". The token is for ${apps}.`);
  }

  /**
   * Returns the holder of a key, for routes that accept no token.
   *
   * @param what names the resource in the error: `tokens`
   * @throws WireError 401 without a key, 403 with a token
   */
  async keyHolder(authorization: string | undefined, what: string): Promise<Caller> {
    const { scheme, credentials } = parse(authorization, what);
    if (scheme === "bearer") throw refusal(403, `Cannot access ${what} with a token. Send a key.`);
    return this.#holderOf(scheme, credentials);
  }

  /**
   * Returns the holder of a key of scope `admin`.
   *
   * @throws WireError 401 without a key, 403 for another scope
   */
  async administrator(authorization: string | undefined, what: string): Promise<Caller> {
    const caller = await this.keyHolder(authorization, what);
    if (caller.scope === "admin") return caller;
    throw refusal(
      403,
      `Cannot access ${what}. The key has scope "${caller.scope}", expected "admin": ltx-trainer keys create --scope admin`,
    );
  }

  async #holderOf(scheme: string, credentials: string): Promise<Caller> {
    const caller = scheme === "key" ? await this.#keys.get(credentials) : undefined;
    if (caller === undefined) throw refusal(401, "invalid key credentials");
    if (caller.keyId !== null) this.#recordUse(caller.keyId);
    return caller;
  }

  /** Best effort: not awaited, and a failure is only logged. */
  #recordUse(keyId: string): void {
    if (this.#usesNoted.has(keyId)) return;
    this.#usesNoted.set(keyId, true);
    recordKeyUse(this.#db, keyId).catch((error: unknown) =>
      this.#log.warn({ err: error }, "keys: last use not recorded"),
    );
  }
}

/** @throws WireError 401 without an `Authorization` */
function parse(authorization: string | undefined, what: string) {
  if (authorization === undefined || authorization === "") {
    throw refusal(401, `Cannot access ${what}. Authentication is required: send a key.`);
  }
  const [, scheme = "", credentials = ""] = /^(\S+)\s+(.*)$/s.exec(authorization) ?? [];
  return { scheme: scheme.toLowerCase(), credentials: credentials.trim() };
}

function refusal(status: 401 | 403, detail: string): WireError {
  return new WireError(status, { detail });
}
