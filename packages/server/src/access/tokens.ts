/**
 * Short-lived tokens for programs that should not hold a key: `app` tokens call endpoints, `cdn` tokens upload files.
 *
 * Tokens are random and stored as a hash, like the secrets of keys. Revoking a key revokes the tokens made with it.
 */
import { createHash, randomBytes } from "node:crypto";
import type { Database } from "../db/database.ts";
import { deleteExpiredTokens, findToken, insertToken } from "../db/tokens.ts";
import type { Caller } from "./caller.ts";

export type TokenKind = "app" | "cdn";

export type NewToken = {
  readonly kind: TokenKind;
  /** The user that the token acts for. */
  readonly caller: Caller;
  readonly lifetimeSeconds: number;
  /** Endpoints that it may call, as `owner/alias` or `alias`. Null: all. */
  readonly allowedApps: readonly string[] | null;
};

/** A new token. It is shown once. */
export type IssuedToken = { readonly token: string; readonly expiresAt: Date };

/** The caller behind a token, and its endpoints. Never an administrator, whatever the scope of the key. */
export type TokenHolder = { readonly caller: Caller; readonly allowedApps: readonly string[] | null };

/** Creates a token. */
export async function issueToken(db: Database, wanted: NewToken): Promise<IssuedToken> {
  const { kind, caller, lifetimeSeconds, allowedApps } = wanted;
  const token = randomBytes(32).toString("base64url");
  await deleteExpiredTokens(db);
  const expiresAt = await insertToken(db, {
    hash: hashOf(token),
    kind,
    userId: caller.userId,
    keyId: caller.keyId,
    lifetimeSeconds,
    allowedApps,
  });
  return { token, expiresAt };
}

/** Returns the holder of a token. Undefined: not of this kind, expired, or its key was revoked. */
export async function verifyToken(
  db: Database,
  kind: TokenKind,
  token: string,
): Promise<TokenHolder | undefined> {
  // Looked up by its hash, so timing reveals nothing about the token.
  const row = await findToken(db, kind, hashOf(token));
  if (row === undefined) return undefined;
  const { userId, keyId, allowedApps } = row;
  return { caller: { userId, keyId, scope: "api" }, allowedApps };
}

/** Whether a token may call an endpoint. Clients send the full name or the alias alone. */
export function allowsApp(allowedApps: readonly string[] | null, endpoint: string): boolean {
  const alias = endpoint.split("/")[1];
  return allowedApps === null || allowedApps.some((app) => app === endpoint || app === alias);
}

function hashOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
