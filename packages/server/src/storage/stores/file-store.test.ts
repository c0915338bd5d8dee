/** What every file store has to do, shown on each there is: the disk, and a bucket of a real server that speaks S3. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { v7 as uuidv7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startBucket, type TestBucket } from "../../testing/bucket.ts";
import { FileClient, hashOfAnswer, put, sha256 } from "../../testing/file-client.ts";
import { TestService } from "../../testing/service.ts";
import { WireError } from "../../wire/wire-error.ts";
import { unlimited } from "./allowance.ts";
import { DiskStore } from "./disk-store.ts";
import type { Allowance, FileStore } from "./file-store.ts";
import { S3Store } from "./s3-store.ts";

const folder = mkdtempSync(join(tmpdir(), "ltx-store-"));
const bucket = "ltx-files";
let server: TestBucket;
let endpoint = "";

beforeAll(async () => {
  server = await startBucket(bucket, join(folder, "s3"));
  endpoint = server.endpoint;
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const kinds: [string, () => Promise<FileStore>][] = [
  ["on the disk", async () => new DiskStore(mkdtempSync(join(folder, "disk-")))],
  [
    "in a bucket",
    () => S3Store.open({ bucket, endpoint, region: "us-east-1", prefix: randomBytes(4).toString("hex") }),
  ],
];

const streamOf = (...pieces: Uint8Array[]) => Readable.from(pieces.map((piece) => Buffer.from(piece)));
const atMost = (bytes: number): Allowance => ({ bytes, refusal: (got) => new WireError(413, { got }) });

async function bytesOf(stream: Readable): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function entriesOf(store: FileStore): Promise<string[]> {
  const entries: string[] = [];
  for await (const { id, kind } of store.list()) entries.push(`${kind} ${id}`);
  return entries.toSorted();
}

describe.each(kinds)("%s", (_where, open) => {
  let store: FileStore;
  beforeAll(async () => {
    store = await open();
  });

  test.each([0, 1, 100_000, 40 * 2 ** 20])(
    "%d bytes are written and read, whole and in part",
    async (size) => {
      const [id, content] = [uuidv7(), randomBytes(size)];
      const half = Math.floor(size / 2);
      const written = await store.write(
        id,
        streamOf(content.subarray(0, half), content.subarray(half)),
        atMost(size),
      );
      expect(written).toEqual({ sizeBytes: size, hash: sha256(content) });
      expect(sha256(await bytesOf(await store.read(id)))).toBe(sha256(content));
      if (size > 10) {
        const part = await bytesOf(await store.read(id, { first: half - 3, last: half + 3 }));
        expect(part).toEqual(content.subarray(half - 3, half + 4));
      }
      const path = await store.locate(id, join(folder, "located"));
      expect(sha256(readFileSync(path))).toBe(sha256(content));
      await store.remove(id);
      await store.remove(id);
      await expect(store.read(id)).rejects.toThrow();
    },
  );

  test("what is larger than allowed, or breaks off, leaves nothing", async () => {
    const before = await entriesOf(store);
    const large = Array.from({ length: 20 }, () => randomBytes(2 ** 20));
    await expect(store.write(uuidv7(), streamOf(...large), atMost(19 * 2 ** 20))).rejects.toMatchObject({
      status: 413,
      body: { got: 20 * 2 ** 20 },
    });
    const broken = Readable.from(
      (async function* () {
        yield Buffer.from("half");
        throw new Error("cut");
      })(),
    );
    await expect(store.write(uuidv7(), broken, unlimited)).rejects.toThrow("cut");
    expect(await entriesOf(store)).toEqual(before);
  });

  test("parts are joined in the order given, a repeated one counts as it came last", async () => {
    const [id, uploadId] = [uuidv7(), uuidv7()];
    const pieces = ["one", "two", "three"].map((text) => Buffer.from(text));
    for (const number of [3, 1, 2]) {
      await store.writePart(uploadId, number, streamOf(pieces[number - 1] as Buffer), unlimited);
    }
    await store.writePart(uploadId, 2, streamOf(Buffer.from("TWO")), unlimited);
    const joined = Buffer.from("oneTWOthree");
    const expected = { sizeBytes: joined.length, hash: sha256(joined) };
    expect(await store.assemble(id, uploadId, [1, 2, 3])).toEqual(expected);
    // A server may die after joining: the parts are still there to do it again.
    expect(await store.assemble(id, uploadId, [1, 2, 3])).toEqual(expected);
    expect(await entriesOf(store)).toEqual([`file ${id}`, `upload ${uploadId}`]);
    await store.removeParts(uploadId);
    await store.removeParts(uploadId);
    expect(await entriesOf(store)).toEqual([`file ${id}`]);
    expect((await bytesOf(await store.read(id))).toString()).toBe("oneTWOthree");
    await store.remove(id);
  });

  test("a file of this machine is taken over and stays where it is", async () => {
    const [id, path] = [uuidv7(), join(folder, "made-here")];
    writeFileSync(path, "made here");
    expect(await store.adopt(id, path)).toBe(9);
    expect((await bytesOf(await store.read(id))).toString()).toBe("made here");
    await store.remove(id);
    expect(readFileSync(path, "utf8")).toBe("made here");
  });

  test("it belongs to the database that asked first", async () => {
    expect(await store.belongsTo("one")).toBe(true);
    expect(await store.belongsTo("one")).toBe(true);
    expect(await store.belongsTo("two")).toBe(false);
  });
});

test("a whole service keeps its files in the bucket", async () => {
  const service = await TestService.start({
    LTX_TRAINER_DEVICES: "",
    S3_BUCKET: bucket,
    S3_ENDPOINT: endpoint,
    S3_PREFIX: "service/files-of-it",
  });
  try {
    const client = new FileClient(service);
    const { upload_url, file_url } = await client.initiate({}, {}, "initiate-multipart");
    const { origin, pathname, search } = new URL(upload_url);
    const pieces = [randomBytes(300_000), randomBytes(1234)];
    const parts: unknown[] = [];
    for (const [index, piece] of pieces.entries()) {
      parts.push(await (await put(`${origin}${pathname}/${index + 1}${search}`, piece)).json());
    }
    const body = JSON.stringify({ parts });
    expect((await fetch(`${origin}${pathname}/complete${search}`, { method: "POST", body })).status).toBe(
      200,
    );
    const content = Buffer.concat(pieces);
    expect(await hashOfAnswer(await fetch(file_url))).toBe(sha256(content));
    const part = await fetch(file_url, { headers: { range: "bytes=299990-300009" } });
    expect(part.status).toBe(206);
    expect(Buffer.from(await part.arrayBuffer())).toEqual(content.subarray(299_990, 300_010));
    expect(existsSync(join(service.home, "files"))).toBe(false);
    expect(Object.keys(service.config.trainerEnvironment)).not.toContain("AWS_SECRET_ACCESS_KEY");
  } finally {
    await service.end();
  }
});

test("a bucket that is not there is said at the start", async () => {
  const config = { bucket: "nowhere", endpoint, region: "us-east-1", prefix: "" };
  await expect(S3Store.open(config)).rejects.toMatchObject({
    code: "invalid_options",
    message: expect.stringMatching(/S3_BUCKET: got nowhere/),
  });
});

test("a bucket whose connections are dead without an end is an error, and works again when it answers", async () => {
  const target = new URL(endpoint);
  let isDead = false;
  const between = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on("data", (bytes) => isDead || to.write(bytes));
      from.on("error", () => to.destroy()).on("close", () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => between.listen(0, "127.0.0.1", resolve));
  const { port } = between.address() as AddressInfo;
  const through = `http://127.0.0.1:${port}`;
  const config = { bucket, endpoint: through, region: "us-east-1", prefix: "dead" };
  const store = await S3Store.open(config, { connect: 5_000, silence: 2_000, check: 5_000 });
  const id = uuidv7();
  await store.write(id, streamOf(Buffer.from("bytes")), unlimited);
  isDead = true;
  await Promise.all([
    expect(store.check()).rejects.toThrow(),
    expect(store.read(id)).rejects.toThrow(/inactivity/),
    expect(store.write(uuidv7(), streamOf(Buffer.from("more")), unlimited)).rejects.toThrow(/inactivity/),
  ]);
  isDead = false;
  await store.check();
  expect(await bytesOf(await store.read(id))).toEqual(Buffer.from("bytes"));
  between.close();
});
