/**
 * Reserves space for uploads within the file size limit, the user's quota and the disk. Uploads in progress count.
 */
import { v7 as uuidv7 } from "uuid";
import type { StorageConfig } from "../config/storage.ts";
import type { Database } from "../db/database.ts";
import { prolongReservations, releaseBytes, reserveBytes, usedBytes } from "../db/files/reservations.ts";
import { persistently } from "../db/persist.ts";
import { diskFull, overQuota, type Refusal, tooLarge } from "./stores/allowance.ts";
import type { Allowance, FileStore } from "./stores/file-store.ts";

export type ReservationDeps = {
  readonly db: Database;
  readonly store: FileStore;
  readonly config: Pick<StorageConfig, "maxUploadBytes" | "userQuotaBytes" | "diskReserveBytes">;
};

export type Coming = {
  readonly userId: string;
  readonly part?: { readonly uploadId: string; readonly number: number };
  /** Length of the body, if announced. */
  readonly announcedBytes?: number | undefined;
};

/** Bytes per reservation for a body of unknown length. */
const stepBytes = 8 * 2 ** 20;
/** Well within the lifetime of a reservation. */
const prolongMs = 15_000;

export class Reservations {
  readonly deps: ReservationDeps;
  readonly #open = new Set<Reservation>();
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: ReservationDeps) {
    this.deps = deps;
  }

  /**
   * Runs `receive` with a reservation, and ends the reservation in any case.
   *
   * @throws WireError 413 or 507 without enough space
   */
  async during<Result>(coming: Coming, receive: (room: Reservation) => Promise<Result>): Promise<Result> {
    const room = new Reservation(this, coming);
    this.#open.add(room);
    this.#timer ??= setInterval(() => void this.#prolong(), prolongMs).unref();
    try {
      await room.extend(coming.announcedBytes ?? 0);
      return await receive(room);
    } finally {
      this.#open.delete(room);
      if (this.#open.size === 0) {
        clearInterval(this.#timer);
        this.#timer = undefined;
      }
      await room.release();
    }
  }

  /** Reserves disk space only, for bytes that already count towards the quota. @throws WireError 507 */
  async duringCopy<Result>(bytes: number, copy: () => Promise<Result>): Promise<Result> {
    const room = new Reservation(this, { userId: "" });
    await this.checkDisk(room, bytes);
    room.bytes = bytes;
    this.#open.add(room);
    try {
      return await copy();
    } finally {
      this.#open.delete(room);
    }
  }

  /** Checks that this many more bytes would fit now. @throws WireError 413, 507 */
  async check(userId: string, bytes: number): Promise<void> {
    await this.checkDisk(new Reservation(this, { userId }), bytes);
    await this.checkQuota(userId, bytes);
  }

  /** @throws WireError 413 when this many more bytes exceed the user's quota */
  async checkQuota(userId: string, bytes: number): Promise<void> {
    const quota = this.deps.config.userQuotaBytes;
    if (quota === undefined) return;
    const left = quota - (await persistently(() => usedBytes(this.deps.db, userId)));
    if (bytes > left) throw overQuota(quota, left)(bytes);
  }

  /**
   * Counts what this server has reserved and not received. Other servers on the same disk are not counted. The disk reserve
   * covers them.
   *
   * @throws WireError 507
   */
  async checkDisk(room: Reservation, bytes: number): Promise<void> {
    const free = await this.deps.store.freeBytes();
    if (free === undefined) return;
    const others = [...this.#open].filter((other) => other !== room);
    const promised = others.reduce((sum, { bytes: reserved, seen }) => sum + Math.max(0, reserved - seen), 0);
    if (bytes - room.seen > free - this.deps.config.diskReserveBytes - promised) throw diskFull();
  }

  async #prolong(): Promise<void> {
    const ids = [...this.#open].filter(({ isStored }) => isStored).map(({ id }) => id);
    // A reservation that expires no longer counts. Its bytes count once they are stored.
    if (ids.length > 0) await prolongReservations(this.deps.db, ids).catch(() => {});
  }
}

/** The reservation of one body. */
export class Reservation implements Allowance {
  readonly id = uuidv7();
  /** Reserved so far. */
  bytes = 0;
  /** Received so far. */
  seen = 0;
  /** Whether it has a row in the database. */
  isStored = false;
  refusal: Refusal;
  readonly #all: Reservations;
  readonly #coming: Coming;

  constructor(all: Reservations, coming: Coming) {
    this.#all = all;
    this.#coming = coming;
    this.refusal = tooLarge(all.deps.config.maxUploadBytes);
  }

  note(bytes: number): void {
    this.seen = bytes;
  }

  /** Extends the reservation to this many bytes in all. @throws WireError 413, 507 */
  async extend(bytes: number): Promise<void> {
    if (bytes > this.#all.deps.config.maxUploadBytes) throw this.refusal(bytes);
    // Reserves ahead to save statements, or exactly what is needed when that does not fit.
    const ahead = Math.min(bytes + stepBytes, this.#all.deps.config.maxUploadBytes);
    if (this.#coming.announcedBytes === undefined && (await this.#tryReserve(ahead))) return;
    await this.#reserve(bytes);
  }

  /** Ends it in the transaction of `record`. */
  async settle(record: (db: Database) => Promise<unknown>): Promise<void> {
    const { db } = this.#all.deps;
    await persistently(() =>
      db.transaction().execute(async (transaction) => {
        await record(transaction);
        if (this.isStored) await releaseBytes(transaction, this.id);
      }),
    );
    this.isStored = false;
  }

  /** Ends it without a result. Best effort: it also expires by itself. */
  async release(): Promise<void> {
    if (this.isStored) await releaseBytes(this.#all.deps.db, this.id).catch(() => {});
  }

  async #tryReserve(bytes: number): Promise<boolean> {
    try {
      await this.#reserve(bytes);
      return true;
    } catch {
      return false;
    }
  }

  async #reserve(bytes: number): Promise<void> {
    const { db, config } = this.#all.deps;
    await this.#all.checkDisk(this, bytes);
    const { userId, part } = this.#coming;
    if (config.userQuotaBytes !== undefined || part !== undefined) {
      const wanted = { id: this.id, userId, bytes, ...(part === undefined ? {} : { part }) };
      const limits = { userBytes: config.userQuotaBytes, uploadBytes: config.maxUploadBytes };
      const over = await reserveBytes(db, wanted, limits);
      if (over?.limit === "upload") throw this.refusal(config.maxUploadBytes - over.left + bytes);
      if (over !== undefined) throw overQuota(config.userQuotaBytes ?? 0, over.left)(bytes);
      this.isStored = true;
    }
    this.bytes = bytes;
  }
}
