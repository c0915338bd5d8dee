/**
 * Signs webhooks: ED25519 over request, user, time and the hash of the body.
 *
 * The key is created once and stored in the database, so that every server signs with it and receivers may cache the public key.
 *
 * Source: fal.ai/docs/documentation/model-apis/inference/webhooks, "Verifying your webhook".
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from "node:crypto";
import type { Database } from "../db/database.ts";
import { persistently } from "../db/persist.ts";

const secretName = "webhook-signing-key";

/** Returns the private key of this installation, and creates it if there is none. */
export async function signingKey(db: Database): Promise<KeyObject> {
  const fresh = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "der" });
  const insert = db
    .insertInto("secrets")
    .values({ name: secretName, value: fresh })
    .onConflict((conflict) => conflict.column("name").doNothing());
  const query = db.selectFrom("secrets").select("value").where("name", "=", secretName);
  await persistently(() => insert.execute());
  const { value } = await persistently(() => query.executeTakeFirstOrThrow());
  return createPrivateKey({ key: value, type: "pkcs8", format: "der" });
}

export type Signed = {
  readonly requestId: string;
  readonly userId: string;
  /** Time of sending, in seconds since 1970. Receivers refuse webhooks older than five minutes. */
  readonly timestamp: number;
  /** The exact bytes that are sent. */
  readonly body: string;
};

/** Returns the four headers that a receiver checks. */
export function signatureHeaders(key: KeyObject, signed: Signed): Readonly<Record<string, string>> {
  const { requestId, userId, timestamp, body } = signed;
  const hash = createHash("sha256").update(body).digest("hex");
  const message = [requestId, userId, String(timestamp), hash].join("\n");
  return {
    "x-fal-webhook-request-id": requestId,
    "x-fal-webhook-user-id": userId,
    "x-fal-webhook-timestamp": String(timestamp),
    "x-fal-webhook-signature": sign(null, Buffer.from(message), key).toString("hex"),
  };
}

/** A public key in the form that receivers fetch. */
export type PublicKey = {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  readonly alg: "EdDSA";
  readonly use: "sig";
  /** By RFC 7638. */
  readonly kid: string;
  readonly x: string;
};

/**
 * Returns the public key.
 *
 * `x` is padded, unlike in RFC 8037: the documented Python verifier decodes it with `urlsafe_b64decode`, which requires padding.
 */
export function publicKey(key: KeyObject): PublicKey {
  const { x = "" } = createPublicKey(key).export({ format: "jwk" });
  const thumbprint = createHash("sha256").update(JSON.stringify({ crv: "Ed25519", kty: "OKP", x }));
  const kid = thumbprint.digest("base64url");
  const padded = x.padEnd(Math.ceil(x.length / 4) * 4, "=");
  return { kty: "OKP", crv: "Ed25519", alg: "EdDSA", use: "sig", kid, x: padded };
}
