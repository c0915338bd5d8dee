/**
 * Short-lived tokens, for programs that should not hold a key: `app` tokens call endpoints, `cdn` tokens upload files.
 *
 * Random and long, kept as a hash like the secrets of keys. A token ends with the key that it was made with.
 */
import { createHash, randomBytes } from "node:crypto";
import type { Database } from "../db/database.ts";
import { deleteExpiredTokens, findToken, insertToken } from "../db/tokens.ts";
import type { Caller } from "./caller.ts";

export type TokenKind = "app" | "cdn";

export type NewToken = {
  readonly kind: TokenKind;
  /** Whom the token speaks for. */
  readonly caller: Caller;
  readonly lifetimeSeconds: number;
  /** Endpoints that it may call, as `owner/alias` or `alias`; null for all. */
  readonly allowedApps: readonly string[] | null;
};

/** A token as it is shown, once. */
export type IssuedToken = { readonly token: string; readonly expiresAt: Date };

/** Whom a token speaks for, and where. Never an administrator, whatever the key may do. */
export type TokenHolder = { readonly caller: Caller; readonly allowedApps: readonly string[] | null };

/** Makes a token. */
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

/** Who holds this token, or undefined when it is none of this kind, has run out, or its key was revoked. */
export async function verifyToken(
  db: Database,
  kind: TokenKind,
  token: string,
): Promise<TokenHolder | undefined> {
  // Looked up by its hash: how long that takes says nothing about the token.
  const row = await findToken(db, kind, hashOf(token));
  if (row === undefined) return undefined;
  const { userId, keyId, allowedApps } = row;
  return { caller: { userId, keyId, scope: "api" }, allowedApps };
}

/** Whether a token may call an endpoint. Clients name it in full, or by its alias alone. */
export function allowsApp(allowedApps: readonly string[] | null, endpoint: string): boolean {
  const alias = endpoint.split("/")[1];
  return allowedApps === null || allowedApps.some((app) => app === endpoint || app === alias);
}

function hashOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
