/** Counting and hashing bytes on their way into a store, and stopping them where the allowance ends. */
import { createHash } from "node:crypto";
import { Transform } from "node:stream";
import type { Allowance, Written } from "./file-store.ts";

export type Measure = {
  readonly stream: Transform;
  /** To be asked when everything has passed. */
  readonly written: () => Written;
};

/** A stream that passes bytes on as long as they are allowed. Fails with the refusal of the first that is not. */
export function measure(allowance: Allowance): Measure {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  const admit = async () => {
    if (allowance.extend === undefined) throw allowance.refusal(sizeBytes);
    await allowance.extend(sizeBytes);
  };
  const stream = new Transform({
    transform(piece: Buffer, _encoding, done) {
      sizeBytes += piece.length;
      const pass = () => {
        allowance.note?.(sizeBytes);
        hash.update(piece);
        done(null, piece);
      };
      if (sizeBytes <= allowance.bytes) pass();
      else admit().then(pass, done);
    },
  });
  return { stream, written: () => ({ sizeBytes, hash: hash.digest("hex") }) };
}
