/** Uploads over HTTP, in every client's way: whole, in parts, too large, broken off. */
import { createHash, randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createKey } from "../../access/keys.ts";
import { openDatabase } from "../../db/database.ts";
import { FileClient, hashOfAnswer, type Initiated, put, sha256, textOf } from "../../testing/file-client.ts";
import { silent } from "../../testing/postgres.ts";
import { TestService } from "../../testing/service.ts";

let service: TestService;
let client: FileClient;
let stranger = "";

beforeAll(async () => {
  service = await TestService.start({
    LTX_TRAINER_DEVICES: "",
    MAX_UPLOAD_BYTES: String(24 * 2 ** 20),
    DISK_RESERVE_BYTES: "0",
  });
  client = new FileClient(service);
  const db = openDatabase(service.databaseAddress, { connections: 1, log: silent });
  const { key } = await createKey(db, { name: "stranger", userId: "stranger", scope: "api" });
  stranger = `Key ${key}`;
  await db.destroy();
});
afterAll(() => service.end());

/** The files in the store's folders, half-written ones included. */
const stored = () =>
  ["files", "parts"].flatMap((folder) =>
    readdirSync(join(service.home, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => name),
  );

describe("the JavaScript client's way", () => {
  test("an announced file is uploaded without a key and read back, with type and name", async () => {
    const { upload_url, file_url } = await client.initiate({
      content_type: "application/zip",
      file_name: "my clips.zip",
    });
    expect(file_url).toMatch(new RegExp(`^${service.url}/files/b/[0-9a-f]{8}/[0-9a-f]{32}_my_clips\\.zip$`));
    expect((await fetch(file_url)).status).toBe(404);
    const bytes = randomBytes(3_000_000);
    expect((await put(upload_url, bytes, { "content-type": "application/zip" })).status).toBe(200);
    const response = await fetch(file_url);
    expect(response.headers.get("content-type")).toBe("application/zip");
    expect(response.headers.get("content-length")).toBe("3000000");
    expect(response.headers.get("content-disposition")).toBe(
      `attachment; filename="my_clips.zip"; filename*=UTF-8''my%20clips.zip`,
    );
    expect(await hashOfAnswer(response)).toBe(sha256(bytes));
  });

  test("the same again is no error, another content is: a file never changes", async () => {
    const { upload_url, file_url } = await client.initiate();
    expect((await put(upload_url, "one")).status).toBe(200);
    expect((await put(upload_url, "one")).status).toBe(200);
    expect((await put(upload_url, "two")).status).toBe(409);
    expect(await textOf(file_url)).toBe("one");
  });

  test("parts without a content type, joined in order", async () => {
    const { upload_url, file_url } = await client.initiate(
      { file_name: "big.bin" },
      {},
      "initiate-multipart",
    );
    const { origin, pathname, search } = new URL(upload_url);
    const pieces = [randomBytes(2 ** 20), randomBytes(2 ** 20), randomBytes(12_345)];
    const parts: unknown[] = [];
    for (const [index, piece] of pieces.entries()) {
      const response = await put(`${origin}${pathname}/${index + 1}${search}`, piece);
      expect(response.status).toBe(200);
      const part = (await response.json()) as { partNumber: number; etag: string };
      expect(part).toEqual({ partNumber: index + 1, etag: response.headers.get("etag") });
      parts.push(part);
    }
    const complete = () =>
      fetch(`${origin}${pathname}/complete${search}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ parts }),
      });
    expect((await Promise.all([complete(), complete()])).map(({ status }) => status)).toEqual([200, 200]);
    expect((await complete()).status).toBe(200);
    expect(await hashOfAnswer(await fetch(file_url))).toBe(sha256(Buffer.concat(pieces)));
    expect(readdirSync(join(service.home, "parts"))).toEqual([]);
    expect((await put(`${origin}${pathname}/2${search}`, "late")).status).toBe(409);
  });

  test.each([
    ["映画.zip", "file.zip", "%E6%98%A0%E7%94%BB.zip"],
    ["データ/クリップ 1.mp4", "1.mp4", "%E3%82%AF%E3%83%AA%E3%83%83%E3%83%97%201.mp4"],
    ["it's (1)*.txt", "it_s_1_.txt", "it%27s%20%281%29%2A.txt"],
  ])(
    "a name of other letters, %s, keeps its extension, and itself for the download",
    async (name, ascii, encoded) => {
      const { upload_url, file_url } = await client.initiate({ file_name: name });
      expect(file_url.endsWith(`_${ascii}`)).toBe(true);
      await put(upload_url, "x");
      const disposition = (await fetch(file_url)).headers.get("content-disposition");
      expect(disposition).toBe(`attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`);
      const sent = Buffer.from(name.split("/").at(-1) ?? "").toString("latin1");
      const url = await client.upload("x", { "x-fal-file-name": sent, "content-type": "application/zip" });
      expect((await fetch(url)).headers.get("content-disposition")).toBe(disposition);
    },
  );

  test.each(["?token=", "?token=0000", ""])("an address with %j as its right is refused", async (search) => {
    const { upload_url } = await client.initiate();
    const { origin, pathname } = new URL(upload_url);
    for (const path of [pathname, `${pathname}/1`]) {
      expect((await put(`${origin}${path}${search}`, "x")).status).toBe(403);
    }
  });

  test("the right to one upload is none to another", async () => {
    const [one, other] = [
      new URL((await client.initiate()).upload_url),
      new URL((await client.initiate()).upload_url),
    ];
    expect((await put(`${one.origin}${one.pathname}${other.search}`, "x")).status).toBe(403);
  });

  test("without a key nothing is announced", async () => {
    const answer = await service.call("POST", "/rest/storage/upload/initiate", {
      headers: { authorization: "" },
    });
    expect(answer.status).toBe(401);
  });

  test.each([
    [{ file_name: 7 }, "", /file_name/],
    [[], "", /object/],
    [{}, "?storage_type=floppy", /Invalid storage type/],
  ])("%j%s is a bad request", async (body, query, message) => {
    const answer = await service.call("POST", `/rest/storage/upload/initiate${query}`, { body });
    expect(answer).toMatchObject({ status: 400, body: { detail: expect.stringMatching(message) } });
  });
});

describe("the Python client's way", () => {
  test("a token in the client's terms", async () => {
    const { body } = await service.call("POST", "/rest/storage/auth/token", {
      body: { expiration_seconds: 60 },
    });
    expect(body).toEqual({
      token: expect.stringMatching(/^[\w-]{43}$/),
      token_type: "Bearer",
      base_url: service.url,
      expires_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$/),
    });
    const endsAt = Date.parse((body as { expires_at: string }).expires_at);
    expect(endsAt - Date.now()).toBeGreaterThan(0);
    expect(endsAt - Date.now()).toBeLessThanOrEqual(60_000);
  });

  test("a file at once", async () => {
    const url = await client.upload("hello", { "content-type": "text/plain" });
    expect(await textOf(url)).toBe("hello");
  });

  test("parts that come at the same time and are listed in any order", async () => {
    const authorization = await client.token();
    const begun = await fetch(`${service.url}/files/upload/multipart`, {
      method: "POST",
      headers: { authorization, "content-type": "video/mp4", "x-fal-file-name": "clip.mp4" },
    });
    const { access_url, uploadId } = (await begun.json()) as { access_url: string; uploadId: string };
    const pieces = [1, 2, 3, 4].map((n) => randomBytes(n < 4 ? 100_000 : 7));
    const parts = await Promise.all(
      pieces.map(async (piece, index) => {
        const response = await put(`${access_url}/multipart/${uploadId}/${index + 1}`, piece, {
          authorization,
        });
        return { partNumber: index + 1, etag: response.headers.get("etag") };
      }),
    );
    const complete = (list: unknown) =>
      fetch(`${access_url}/multipart/${uploadId}/complete`, {
        method: "POST",
        headers: { authorization, "content-type": "application/json" },
        body: JSON.stringify({ parts: list }),
      });
    const short = await complete(parts.slice(0, 3));
    expect(short.status).toBe(400);
    expect(await short.json()).toMatchObject({
      detail: expect.stringMatching(/3 parts, but 4 were uploaded/),
    });
    expect((await complete(parts.toReversed())).status).toBe(200);
    const response = await fetch(access_url);
    expect(response.headers.get("content-type")).toBe("video/mp4");
    expect(await hashOfAnswer(response)).toBe(sha256(Buffer.concat(pieces)));
  });

  test("empty parts, as its upload of large bytes sends them, are said and not stored", async () => {
    const authorization = await client.token();
    const begun = await fetch(`${service.url}/files/upload/multipart`, {
      method: "POST",
      headers: { authorization },
    });
    const { access_url, uploadId } = (await begun.json()) as { access_url: string; uploadId: string };
    const parts = [];
    for (const [index, piece] of ["0123456789", "", ""].entries()) {
      const response = await put(`${access_url}/multipart/${uploadId}/${index + 1}`, piece, {
        authorization,
      });
      parts.push({ partNumber: index + 1, etag: response.headers.get("etag") });
    }
    const response = await fetch(`${access_url}/multipart/${uploadId}/complete`, {
      method: "POST",
      headers: { authorization },
      body: JSON.stringify({ parts }),
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      detail: expect.stringMatching(/part 2 has 0 bytes, expected 10/),
    });
    expect((await fetch(access_url)).status).toBe(404);
  });

  test("an upload of somebody else's is not found, a wrong token is no caller", async () => {
    const begun = await fetch(`${service.url}/files/upload/multipart`, {
      method: "POST",
      headers: { authorization: await client.token() },
    });
    const { access_url, uploadId } = (await begun.json()) as { access_url: string; uploadId: string };
    const part = `${access_url}/multipart/${uploadId}/1`;
    expect((await put(part, "x", { authorization: stranger })).status).toBe(404);
    expect((await put(part, "x", { authorization: "Bearer nonsense" })).status).toBe(401);
    expect((await put(part, "x")).status).toBe(401);
    for (const number of ["0", "10001", "-1", "1e3", "x"]) {
      const answer = await put(`${access_url}/multipart/${uploadId}/${number}`, "x", {
        authorization: service.authorization,
      });
      expect(answer.status, number).toBe(400);
    }
  });
});

describe("limits", () => {
  test("too large is 413, whether it was announced or not, and nothing stays behind", async () => {
    const before = stored().length;
    const tooMuch = Buffer.alloc(25 * 2 ** 20);
    const { upload_url } = await client.initiate();
    const announced = await put(upload_url, tooMuch);
    expect(announced.status).toBe(413);
    expect(await announced.json()).toMatchObject({ detail: expect.stringMatching(/at most 25165824/) });
    const stream = new ReadableStream({
      pull(controller) {
        controller.enqueue(new Uint8Array(2 ** 20));
        if ((this as { sent?: number }).sent === 24) controller.close();
        (this as { sent?: number }).sent = ((this as { sent?: number }).sent ?? 0) + 1;
      },
    });
    const chunked = await fetch(upload_url, { method: "PUT", body: stream, duplex: "half" } as RequestInit);
    expect(chunked.status).toBe(413);
    const parts = new URL((await client.initiate({}, {}, "initiate-multipart")).upload_url);
    const part = (n: number) =>
      put(`${parts.origin}${parts.pathname}/${n}${parts.search}`, tooMuch.subarray(0, 13 * 2 ** 20));
    expect((await part(1)).status).toBe(200);
    expect((await part(1)).status).toBe(200);
    expect((await part(2)).status).toBe(413);
    expect(stored().filter((name) => name.endsWith(".tmp"))).toEqual([]);
    expect(stored().length).toBe(before + 1);
  });

  test("a body that breaks off leaves nothing, and the upload can be tried again", async () => {
    const { upload_url, file_url } = await client.initiate();
    await new Promise<void>((done) => {
      const sending = httpRequest(upload_url, { method: "PUT", headers: { "content-length": "1000" } });
      sending.on("error", () => done());
      sending.write("half of it", () => setTimeout(() => sending.destroy(), 100));
      sending.on("close", () => done());
    });
    await expect
      .poll(() => stored().filter((name) => name.endsWith(".tmp")), { timeout: 120_000 })
      .toEqual([]);
    expect((await fetch(file_url)).status).toBe(404);
    expect((await put(upload_url, "all of it")).status).toBe(200);
    expect(await textOf(file_url)).toBe("all of it");
  });
});

test("200 MiB pass through without being held in memory", async () => {
  const roomy = await TestService.start({ LTX_TRAINER_DEVICES: "", DISK_RESERVE_BYTES: "0" });
  try {
    const { body } = await roomy.call("POST", "/rest/storage/upload/initiate", { body: {} });
    const { upload_url, file_url } = body as Initiated;
    const piece = randomBytes(2 ** 20);
    const count = 200;
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    // Client and server share this process: what either of them holds is seen.
    const watch = () => {
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    };
    await new Promise<void>((done, failed) => {
      const sending = httpRequest(upload_url, { method: "PUT" }, (response) => {
        response.resume();
        response.on("end", () => (response.statusCode === 200 ? done() : failed(response.statusCode)));
      });
      sending.on("error", failed);
      pipeline(
        Readable.from(
          (function* () {
            for (let sent = 0; sent < count; sent++) {
              watch();
              yield piece;
            }
          })(),
        ),
        sending,
      ).catch(failed);
    });
    const hash = createHash("sha256");
    for await (const bytes of (await fetch(file_url)).body ?? []) {
      watch();
      hash.update(bytes);
    }
    const expected = createHash("sha256");
    for (let sent = 0; sent < count; sent++) expected.update(piece);
    expect(hash.digest("hex")).toBe(expected.digest("hex"));
    // Twice what garbage was seen to wait for its collector, half of what came.
    expect(most).toBeLessThan(100 * 2 ** 20);
  } finally {
    await roomy.end();
  }
}, 120_000);
