/** Counts and hashes bytes on their way into a store, and stops at the end of the allowance. */
import { createHash } from "node:crypto";
import { Transform } from "node:stream";
import type { Allowance, Written } from "./file-store.ts";

export type Measure = {
  readonly stream: Transform;
  /** Call it at the end of the stream. */
  readonly written: () => Written;
};

/** Returns a stream that passes bytes within the allowance, and fails with the allowance's error above it. */
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
