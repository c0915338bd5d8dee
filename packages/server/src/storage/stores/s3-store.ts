/**
 * File store in a bucket: Amazon S3 or a compatible server, shared by any number of servers.
 *
 * The SDK is an optional dependency and is loaded when a bucket is configured. It finds the credentials: environment, profile,
 * or the machine's role.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { AppError } from "@ltx-trainer/contract";
import type { S3StoreConfig } from "../../config/storage.ts";
import { unlimited } from "./allowance.ts";
import type { Allowance, ByteRange, FileStore, StoreEntry, Written } from "./file-store.ts";
import { measure } from "./measure.ts";

type Sdk = typeof import("@aws-sdk/client-s3") & Pick<typeof import("@aws-sdk/lib-storage"), "Upload">;

/** S3 takes ten thousand parts: 160 GB. Two are in memory at a time. */
const pieceBytes = 16 * 2 ** 20;
const piecesAtOnce = 2;

/**
 * Timeouts in milliseconds, because the SDK has none. A connection may be dead without being closed, for example after a power
 * cut of the other machine.
 */
export type S3Patience = {
  readonly connect: number;
  /** Without a byte in either direction. A client that pauses its download is silent too. */
  readonly silence: number;
  /** For the check at startup. */
  readonly check: number;
};
const patience: S3Patience = { connect: 10_000, silence: 300_000, check: 15_000 };

export class S3Store implements FileStore {
  readonly #sdk: Sdk;
  readonly #client: InstanceType<Sdk["S3Client"]>;
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #checkMs: number;

  private constructor(sdk: Sdk, config: S3StoreConfig, { connect, silence, check }: S3Patience) {
    this.#sdk = sdk;
    this.#checkMs = check;
    this.#bucket = config.bucket;
    this.#prefix = config.prefix === "" ? "" : `${config.prefix}/`;
    this.#client = new sdk.S3Client({
      ...(config.endpoint === undefined ? {} : { endpoint: config.endpoint, forcePathStyle: true }),
      region: config.region,
      // Compatible servers do not support the newer checksums.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      requestHandler: { connectionTimeout: connect, socketTimeout: silence },
    });
  }

  /**
   * Opens the bucket.
   *
   * @throws AppError when the SDK is not installed, or the bucket cannot be reached
   */
  static async open(config: S3StoreConfig, times = patience): Promise<S3Store> {
    const store = new S3Store(await loadSdk(), config, times);
    try {
      await store.check();
      return store;
    } catch (cause) {
      throw new AppError({
        code: "invalid_options",
        message: `S3_BUCKET: got ${config.bucket}, expected a usable bucket: ${(cause as Error).name}`,
        remedy:
          "Check S3_BUCKET, S3_ENDPOINT, S3_REGION and the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY).",
        cause,
      });
    }
  }

  async adopt(id: string, source: string): Promise<number> {
    return (await this.#put(this.#fileKey(id), createReadStream(source), unlimited)).sizeBytes;
  }

  write(id: string, body: Readable, allowance: Allowance): Promise<Written> {
    return this.#put(this.#fileKey(id), body, allowance);
  }

  writePart(uploadId: string, part: number, body: Readable, allowance: Allowance): Promise<Written> {
    return this.#put(this.#partKey(uploadId, part), body, allowance);
  }

  /** Joins through this server: S3 joins only parts of 5 MiB and more, and clients choose the size. */
  assemble(id: string, uploadId: string, parts: readonly number[]): Promise<Written> {
    const keys = parts.map((part) => this.#partKey(uploadId, part));
    return this.#put(this.#fileKey(id), Readable.from(this.#joined(keys), { objectMode: false }), unlimited);
  }

  read(id: string, range?: ByteRange): Promise<Readable> {
    return this.#get(this.#fileKey(id), range);
  }

  /** Downloads the file once. */
  async locate(id: string, folder: string): Promise<string> {
    const path = join(folder, id);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await pipeline(await this.read(id), createWriteStream(`${path}.tmp`, { mode: 0o600 }));
    await rename(`${path}.tmp`, path);
    return path;
  }

  async remove(id: string): Promise<void> {
    await this.#delete(this.#fileKey(id));
  }

  async removeParts(uploadId: string): Promise<void> {
    for await (const key of this.#keys(`${this.#prefix}parts/${uploadId}/`)) await this.#delete(key);
  }

  async *list(): AsyncIterable<StoreEntry> {
    const kinds = { parts: "upload", files: "file" } as const;
    for (const [folder, kind] of Object.entries(kinds)) {
      const start = `${this.#prefix}${folder}/`;
      let last = "";
      for await (const key of this.#keys(start)) {
        const [id = ""] = key.slice(start.length).split("/");
        if (id !== last) yield { id, kind };
        last = id;
      }
    }
  }

  async check(): Promise<void> {
    const command = new this.#sdk.HeadBucketCommand({ Bucket: this.#bucket });
    await this.#client.send(command, { abortSignal: AbortSignal.timeout(this.#checkMs) });
  }

  async belongsTo(owner: string): Promise<boolean> {
    const key = `${this.#prefix}owner`;
    try {
      return (await textOf(await this.#get(key))) === owner;
    } catch (error) {
      if ((error as Error).name !== "NoSuchKey") throw error;
    }
    await this.#client.send(new this.#sdk.PutObjectCommand({ Bucket: this.#bucket, Key: key, Body: owner }));
    return true;
  }

  /** A bucket has no limit. */
  async freeBytes(): Promise<undefined> {
    return undefined;
  }

  #fileKey(id: string): string {
    return `${this.#prefix}files/${id}`;
  }

  #partKey(uploadId: string, part: number): string {
    return `${this.#prefix}parts/${uploadId}/${part}`;
  }

  /** The key appears only when all bytes have arrived. */
  async #put(key: string, body: Readable, allowance: Allowance): Promise<Written> {
    const { stream, written } = measure(allowance);
    const sent = new PassThrough();
    const upload = new this.#sdk.Upload({
      client: this.#client,
      params: { Bucket: this.#bucket, Key: key, Body: sent },
      partSize: pieceBytes,
      queueSize: piecesAtOnce,
    });
    const uploading = upload.done();
    try {
      await Promise.all([pipeline(body, stream, sent), uploading]);
    } catch (error) {
      await upload.abort().catch(() => {});
      await uploading.catch(() => {});
      throw error;
    }
    return written();
  }

  async #get(key: string, range?: ByteRange): Promise<Readable> {
    const { Body: body } = await this.#client.send(
      new this.#sdk.GetObjectCommand({
        Bucket: this.#bucket,
        Key: key,
        ...(range === undefined ? {} : { Range: `bytes=${range.first}-${range.last}` }),
      }),
    );
    return body as Readable;
  }

  async *#joined(keys: readonly string[]): AsyncGenerator<Buffer> {
    for (const key of keys) yield* await this.#get(key);
  }

  async #delete(key: string): Promise<void> {
    await this.#client.send(new this.#sdk.DeleteObjectCommand({ Bucket: this.#bucket, Key: key }));
  }

  async *#keys(prefix: string): AsyncGenerator<string> {
    let next: string | undefined;
    do {
      const page = await this.#client.send(
        new this.#sdk.ListObjectsV2Command({
          Bucket: this.#bucket,
          Prefix: prefix,
          ...(next === undefined ? {} : { ContinuationToken: next }),
        }),
      );
      for (const { Key: key } of page.Contents ?? []) if (key !== undefined) yield key;
      next = page.NextContinuationToken;
    } while (next !== undefined);
  }
}

async function loadSdk(): Promise<Sdk> {
  try {
    const [client, { Upload }] = await Promise.all([
      import("@aws-sdk/client-s3"),
      import("@aws-sdk/lib-storage"),
    ]);
    return { ...client, Upload };
  } catch (cause) {
    throw new AppError({
      code: "invalid_options",
      message: "S3_BUCKET: set, but the AWS SDK is not installed",
      remedy: "npm install --workspace packages/server @aws-sdk/client-s3 @aws-sdk/lib-storage",
      cause,
    });
  }
}

async function textOf(stream: Readable): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString("utf8");
}
