/**
 * Interface of the stores for the bytes of files. Ids are our own. Names of clients never reach a store.
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

/** The bytes that a caller may still store. */
export type Allowance = {
  /** Bytes that may arrive before `extend` must be called. */
  readonly bytes: number;
  /** The error for a body of this many bytes or more. */
  readonly refusal: (bytes: number) => WireError;
  /** Extends the allowance to this many bytes in all. @throws WireError without enough space */
  readonly extend?: (bytes: number) => Promise<void>;
  /** Called with the bytes received so far. */
  readonly note?: (bytes: number) => void;
};

/** First and last byte, both inclusive. */
export type ByteRange = { readonly first: number; readonly last: number };

/** An entry of the store: a file, complete or partial, or the parts of an upload. */
export type StoreEntry = { readonly id: string; readonly kind: "file" | "upload" };

export interface FileStore {
  /** Stores a file of this machine, which also stays where it is. @returns its size in bytes */
  adopt(id: string, source: string): Promise<number>;
  /**
   * Writes a stream, at constant memory. The file appears whole or not at all.
   *
   * @throws WireError when it is larger than allowed or the disk is full
   */
  write(id: string, body: Readable, allowance: Allowance): Promise<Written>;
  /** Writes a part of an upload, numbered from 1. A repeated part replaces the earlier one. @throws as `write` */
  writePart(uploadId: string, part: number, body: Readable, allowance: Allowance): Promise<Written>;
  /** Joins parts in the order given. The parts stay until `removeParts`. */
  assemble(id: string, uploadId: string, parts: readonly number[]): Promise<Written>;
  /** Reads the bytes, or a range of them. @throws for an unknown id */
  read(id: string, range?: ByteRange): Promise<Readable>;
  /** Returns a path where a trainer can read the file. It is in `folder` when it must be downloaded. */
  locate(id: string, folder: string): Promise<string>;
  /** Deletes the bytes. A no-op for an unknown id. */
  remove(id: string): Promise<void>;
  removeParts(uploadId: string): Promise<void>;
  /** Lists all entries, partial ones too. */
  list(): AsyncIterable<StoreEntry>;
  /** Tells whether the store belongs to this database. The first caller owns it. */
  belongsTo(owner: string): Promise<boolean>;
  /** Checks that it can be used now. @throws when it cannot */
  check(): Promise<void>;
  /** Returns the free bytes. Undefined when unknown. */
  freeBytes(): Promise<number | undefined>;
}
