/**
 * Seeds for everything random, as functions of what they are for.
 *
 * A step's randomness depends on the job's seed and the step's number, never on what was drawn before: a resumed
 * training has nothing to restore, and no order of work can change a result.
 */
import { createHash } from "node:crypto";

/** A 64-bit seed from any list of words and numbers. */
export function seedFor(...parts: readonly (string | number)[]): bigint {
  const digest = createHash("sha256").update(JSON.stringify(parts)).digest();
  return digest.readBigUInt64LE();
}
