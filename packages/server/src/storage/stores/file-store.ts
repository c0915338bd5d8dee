/**
 * Where the bytes of files are kept: what the service needs of it. Ids are our own; no name from outside reaches a store.
 *
 * Whatever a method acknowledges survives a power cut.
 */
import type { Readable } from "node:stream";
import type { WireError } from "../../wire/wire-error.ts";

export type Written = {
  readonly sizeBytes: number;
  /** sha256, hexadecimal. */
  readonly hash: string;
};

/** How many bytes somebody may still store. */
export type Allowance = {
  /** Bytes that may arrive before `extend` has to be called. */
  readonly bytes: number;
  /** The answer to a body of so many bytes or more. */
  readonly refusal: (bytes: number) => WireError;
  /** Asks for room for so many bytes in all. @throws WireError when there is none */
  readonly extend?: (bytes: number) => Promise<void>;
  /** Called with the bytes received so far. */
  readonly note?: (bytes: number) => void;
};

/** First and last byte, both included. */
export type ByteRange = { readonly first: number; readonly last: number };

/** Something in the store: a file, whole or half written, or the parts of an upload. */
export type StoreEntry = { readonly id: string; readonly kind: "file" | "upload" };

export interface FileStore {
  /** Takes over a file of this machine, which stays where it is. @returns its size in bytes */
  adopt(id: string, source: string): Promise<number>;
  /**
   * Writes a stream, at constant memory. The file appears whole or not at all.
   *
   * @throws WireError when it is larger than allowed or the disk is full
   */
  write(id: string, body: Readable, allowance: Allowance): Promise<Written>;
  /** Writes a part of an upload, from 1; a part that comes again replaces the earlier one. @throws as `write` */
  writePart(uploadId: string, part: number, body: Readable, allowance: Allowance): Promise<Written>;
  /** Joins parts in the order given. The parts stay until `removeParts`. */
  assemble(id: string, uploadId: string, parts: readonly number[]): Promise<Written>;
  /** The bytes, or a range of them. @throws when there are none */
  read(id: string, range?: ByteRange): Promise<Readable>;
  /** A path on this machine where a trainer can read the file; in `folder` when it has to be brought there. */
  locate(id: string, folder: string): Promise<string>;
  /** Removes the bytes; quiet when there are none. */
  remove(id: string): Promise<void>;
  removeParts(uploadId: string): Promise<void>;
  /** Everything there is, also what was left half written. */
  list(): AsyncIterable<StoreEntry>;
  /** Whether the store is that of this database; the first one that asks owns it. */
  belongsTo(owner: string): Promise<boolean>;
  /** Whether it can be used now. @throws when it cannot */
  check(): Promise<void>;
  /** Bytes that still fit; undefined when there is no telling. */
  freeBytes(): Promise<number | undefined>;
}
