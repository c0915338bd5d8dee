/** Receives files: announced ones, immediate ones, and ones in parts. */
import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import { v7 as uuidv7 } from "uuid";
import type { StorageConfig } from "../config/storage.ts";
import type { Database } from "../db/database.ts";
import { completeFile, insertFiles, type NewFile } from "../db/files/files.ts";
import {
  findUpload,
  forgetParts,
  insertUpload,
  partsOf,
  recordPart,
  type Upload,
  type UploadPart,
} from "../db/files/uploads.ts";
import { persistently } from "../db/persist.ts";
import { WireError } from "../wire/wire-error.ts";
import { type FileAddress, newAddress, storedName } from "./file-names.ts";
import type { FileLifecycle } from "./lifecycle.ts";
import { checkPartList } from "./part-list.ts";
import { Reservations } from "./reservations.ts";
import { tooLarge } from "./stores/allowance.ts";
import type { FileStore, Written } from "./stores/file-store.ts";

export type UploadDeps = {
  readonly db: Database;
  readonly store: FileStore;
  readonly config: StorageConfig;
};

/** The owner's description of a file. */
export type FileDescription = FileLifecycle & {
  readonly userId: string;
  readonly fileName: string | undefined;
  readonly contentType: string;
  /** Request that held it as a data URI. */
  readonly inputOf?: string;
};

type Body = {
  readonly body: Readable /** As announced; undefined when it was not. */;
  readonly length?: number;
};

/** Most parts of one upload. */
export const mostParts = 10_000;

export class Uploads {
  readonly #deps: UploadDeps;
  /** Reservations, for payloads of requests too. */
  readonly reservations: Reservations;
  readonly #underWay = new Map<string, Promise<void>>();

  constructor(deps: UploadDeps) {
    this.#deps = deps;
    this.reservations = new Reservations(deps);
  }

  /** Stores a file from one request. @throws WireError 413, 507 */
  async receive(description: FileDescription, { body, length }: Body): Promise<FileAddress> {
    const { store } = this.#deps;
    const file = newFile(description);
    await this.reservations.during({ userId: description.userId, announcedBytes: length }, async (room) => {
      const written = await store.write(file.id, body, room);
      await room.settle((db) => insertFiles(db, [{ ...file, ...written }]));
    });
    return file;
  }

  /** Announces a file. @throws WireError 413, 507 when there is no space */
  async begin(description: FileDescription): Promise<{ readonly id: string; readonly file: FileAddress }> {
    await this.reservations.check(description.userId, 0);
    const [id, file] = [uuidv7(), newFile(description)];
    await insertUpload(this.#deps.db, id, file, this.#deps.config.uploadSeconds);
    return { id, file };
  }

  /** @throws WireError 404 when there is none, or it has expired */
  async find(id: string): Promise<Upload> {
    const upload = await findUpload(this.#deps.db, id);
    if (upload === undefined) throw new WireError(404, { detail: "Upload not found, or its time is over" });
    return upload;
  }

  /**
   * Receives the bytes of an announced file in one body. Repeating it with the same bytes is a no-op.
   *
   * @throws WireError 409 when the file is complete with other bytes; 413, 507
   */
  async fill({ id }: Upload, { body, length }: Body): Promise<void> {
    return this.#oneAtATime(id, async () => {
      const upload = await this.find(id);
      if (upload.isComplete) {
        if ((await hashOf(body)) !== upload.hash) throw alreadyComplete();
        return;
      }
      await this.reservations.during({ userId: upload.userId, announcedBytes: length }, async (room) => {
        const written = await this.#deps.store.write(upload.fileId, body, room);
        await room.settle((db) => completeFile(db, upload.fileId, written));
      });
    });
  }

  /** Receives one part, numbered from 1. @returns its etag. @throws WireError 400, 409, 413, 507 */
  async part(upload: Upload, number: number, { body, length }: Body): Promise<string> {
    if (!Number.isInteger(number) || number < 1 || number > mostParts) {
      throw WireError.badRequest(`part number: got ${number}, expected 1 to ${mostParts}`);
    }
    if (upload.isComplete) throw alreadyComplete();
    const part = { uploadId: upload.id, number };
    return this.reservations.during({ userId: upload.userId, part, announcedBytes: length }, async (room) => {
      const { sizeBytes, hash } = await this.#deps.store.writePart(upload.id, number, body, room);
      const etag = `"${hash.slice(0, 32)}"`;
      await room.settle((db) => recordPart(db, upload.id, { number, sizeBytes, etag }));
      return etag;
    });
  }

  /**
   * Joins the parts into the file. Idempotent.
   *
   * @param list `{"parts": [{"partNumber", "etag"}]}`, in any order
   * @throws WireError 400 for parts that are missing, empty, too short or not the received ones; 413, 507
   */
  async complete({ id }: Upload, list: unknown): Promise<void> {
    return this.#oneAtATime(id, async () => {
      const upload = await this.find(id);
      if (upload.isComplete) return;
      const { db, store } = this.#deps;
      const parts = checkPartList(list, await partsOf(db, id));
      const written = await this.#assemble(upload, parts);
      // In one transaction, so that the bytes never count twice.
      await persistently(() =>
        db.transaction().execute(async (transaction) => {
          await completeFile(transaction, upload.fileId, written);
          await forgetParts(transaction, id);
        }),
      );
      await store.removeParts(id);
    });
  }

  async #assemble({ id, fileId }: Upload, parts: readonly UploadPart[]): Promise<Written> {
    const { store, config } = this.#deps;
    const bytes = parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    if (bytes > config.maxUploadBytes) throw tooLarge(config.maxUploadBytes)(bytes);
    const numbers = parts.map(({ number }) => number);
    return this.reservations.duringCopy(bytes, () => store.assemble(fileId, id, numbers));
  }

  /** Serializes work per upload: clients that lost a response retry while the first attempt runs. */
  async #oneAtATime(id: string, work: () => Promise<void>): Promise<void> {
    const before = this.#underWay.get(id) ?? Promise.resolve();
    const mine = before.catch(() => {}).then(work);
    this.#underWay.set(id, mine);
    try {
      await mine;
    } finally {
      if (this.#underWay.get(id) === mine) this.#underWay.delete(id);
    }
  }
}

function newFile({ fileName, ...description }: FileDescription): NewFile & FileAddress {
  return {
    ...description,
    ...newAddress(fileName),
    fileName: storedName(fileName) ?? null,
    id: uuidv7(),
    sizeBytes: null,
    origin: "upload",
    requestId: null,
  };
}

async function hashOf(body: Readable): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of body) hash.update(piece);
  return hash.digest("hex");
}

const alreadyComplete = () =>
  new WireError(409, { detail: "The upload is complete; a file does not change. Start another upload." });
