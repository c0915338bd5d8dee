/** Files by their address: ranges, permissions, signatures, and paths that lead nowhere. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createKey } from "../../access/keys.ts";
import { openDatabase } from "../../db/database.ts";
import { FileClient, type Headers, textOf } from "../../testing/file-client.ts";
import { silent } from "../../testing/postgres.ts";
import { TestService } from "../../testing/service.ts";

let service: TestService;
let client: FileClient;
let stranger = "";

beforeAll(async () => {
  service = await TestService.start({ LTX_TRAINER_DEVICES: "", DISK_RESERVE_BYTES: "0" });
  client = new FileClient(service);
  const db = openDatabase(service.databaseAddress, { connections: 1, log: silent });
  const { key } = await createKey(db, { name: "stranger", userId: "stranger", scope: "api" });
  stranger = `Key ${key}`;
  await db.destroy();
});
afterAll(() => service.end());

describe("reading", () => {
  let url = "";
  beforeAll(async () => {
    url = await client.upload("0123456789");
  });

  test.each([
    ["bytes=0-3", 206, "0123", "bytes 0-3/10"],
    ["bytes=7-", 206, "789", "bytes 7-9/10"],
    ["bytes=-2", 206, "89", "bytes 8-9/10"],
    ["bytes=0-0,5-6", 200, "0123456789", null],
  ])("range %s", async (range, status, text, contentRange) => {
    const response = await fetch(url, { headers: { range } });
    expect(response.status).toBe(status);
    expect(response.headers.get("content-range")).toBe(contentRange);
    expect(response.headers.get("content-length")).toBe(String(text.length));
    expect(await response.text()).toBe(text);
  });

  test("a range behind the end is 416 and says the size", async () => {
    const response = await fetch(url, { headers: { range: "bytes=10-" } });
    expect(response.status).toBe(416);
    expect(response.headers.get("content-range")).toBe("bytes */10");
    expect(await response.json()).toMatchObject({ detail: expect.stringMatching(/within 10 bytes/) });
  });

  test("HEAD says the same without the bytes; the etag saves reading again", async () => {
    const head = await fetch(url, { method: "HEAD" });
    expect(head.status).toBe(200);
    expect(head.headers.get("content-length")).toBe("10");
    expect(head.headers.get("accept-ranges")).toBe("bytes");
    const etag = head.headers.get("etag") ?? "";
    expect(etag).toMatch(/^"[^"]+"$/);
    expect((await fetch(url, { headers: { "if-none-match": etag } })).status).toBe(304);
    expect((await fetch(url, { headers: { "if-range": etag, range: "bytes=1-1" } })).status).toBe(206);
    expect((await fetch(url, { headers: { "if-range": '"other"', range: "bytes=1-1" } })).status).toBe(200);
  });

  test("pages of any origin may read and upload; nothing in a file may run", async () => {
    const page = await client.upload("<script>alert(1)</script>", {
      "content-type": "text/html",
      "x-fal-file-name": "x.html",
    });
    const { headers } = await fetch(page);
    expect(headers.get("access-control-allow-origin")).toBe("*");
    expect(headers.get("content-disposition")).toBe('attachment; filename="x.html"');
    expect(headers.get("content-security-policy")).toMatch(/sandbox/);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    const { upload_url } = await client.initiate();
    const asked = await fetch(upload_url, {
      method: "OPTIONS",
      headers: { "access-control-request-method": "PUT", "access-control-request-headers": "content-type" },
    });
    expect(asked.status).toBe(204);
    expect(asked.headers.get("access-control-allow-methods")).toContain("PUT");
    expect(asked.headers.get("access-control-allow-headers")).toBe("content-type");
  });

  test.each([
    "/files/b/00000000/nothing",
    "/files/b/0000000/..%2F..%2Fpostgres%2Fpostgresql.conf",
    "/files/b/%2e%2e/%2e%2e%2ffiles",
    "/files/b/..%5C..%5C/x",
    "/files/b/00000000/%00",
    `/files/b/00000000/${"a".repeat(32)}_${"b".repeat(67)}`,
    "/files/b/00000000/'%20or%201=1",
    `/files/b/00000000/${"0".repeat(32)}_..`,
  ])("%s is not found", async (path) => {
    const response = await fetch(service.url + path);
    expect(response.status).toBe(404);
    expect(await response.text()).not.toMatch(/postgres|\/tmp/);
  });

  test.each([
    ["../../etc/passwd", "passwd"],
    ["..\\..\\boot.ini", "boot.ini"],
    ["....", "file"],
    [".htaccess", "htaccess"],
    ['a b\u00e9 "c".zip', "a_b_c_.zip"],
    [`${"x".repeat(500)}.zip`, `${"x".repeat(56)}.zip`],
    ["", "file"],
  ])("a file called %j gets a plain name", async (name, plain) => {
    const { file_url } = await client.initiate({ file_name: name });
    expect(new URL(file_url).pathname).toMatch(new RegExp(`/[0-9a-f]{32}_${plain.replaceAll(".", "\\.")}$`));
  });
});

describe("who may read", () => {
  const withAcl = (acl: unknown) =>
    client.upload("secret", { "x-fal-object-lifecycle-preference": JSON.stringify({ initial_acl: acl }) });
  const statusFor = async (url: string, authorization?: string) =>
    (await fetch(url, authorization === undefined ? {} : { headers: { authorization } })).status;

  test("forbid is 403 and hide 404, but never to the owner, and rules go first", async () => {
    const forbidden = await withAcl({ default: "forbid", rules: [{ user: "stranger", decision: "allow" }] });
    expect(await statusFor(forbidden)).toBe(403);
    expect(await statusFor(forbidden, "Key wrong:wrong")).toBe(403);
    expect(await statusFor(forbidden, stranger)).toBe(200);
    expect(await statusFor(forbidden, service.authorization)).toBe(200);
    expect(await statusFor(forbidden, await client.token())).toBe(200);
    const hidden = await withAcl({ default: "hide" });
    expect(await statusFor(hidden)).toBe(404);
    expect(await statusFor(hidden, stranger)).toBe(404);
    expect(await statusFor(hidden, service.authorization)).toBe(200);
    const open = await withAcl({ default: "allow", rules: [{ user: "stranger", decision: "hide" }] });
    expect(await statusFor(open)).toBe(200);
    expect(await statusFor(open, stranger)).toBe(404);
  });

  test("its owner signs an address that works for a while, for this file and unchanged", async () => {
    const url = await withAcl({ default: "forbid" });
    const sign = (body: unknown, headers: Headers = {}) =>
      service.call("POST", `${new URL(url).pathname}/sign`, { body, headers });
    const { body } = await sign({ duration: 60, scope: ["read"] });
    const signed = (body as { url: string }).url;
    expect(await textOf(signed)).toBe("secret");
    const other = await withAcl({ default: "forbid" });
    expect(await statusFor(other + new URL(signed).search)).toBe(403);
    expect(await statusFor(signed.replace(/expires=\d+/, "expires=99999999999"))).toBe(403);
    expect(await statusFor(`${signed}0`)).toBe(403);
    expect((await sign({}, { authorization: stranger })).status).toBe(404);
    expect((await sign({ duration: 8 * 86_400 })).status).toBe(400);
    expect((await sign({ scope: ["write"] })).status).toBe(400);
    const { body: brief } = await sign({ duration: 1 });
    await expect.poll(() => statusFor((brief as { url: string }).url), { timeout: 120_000 }).toBe(403);
  });

  test.each([
    ["{", /expected a JSON object/],
    ['{"expiration_duration_seconds":"soon"}', /expiration_duration_seconds/],
    ['{"expiration_duration_seconds":-1}', /expiration_duration_seconds/],
    ['{"initial_acl":{"default":"maybe"}}', /initial_acl.default/],
  ])("lifecycle %s is a bad request", async (value, message) => {
    const answer = await service.call("POST", "/rest/storage/upload/initiate", {
      body: {},
      headers: { "x-fal-object-lifecycle": value },
    });
    expect(answer).toMatchObject({ status: 400, body: { detail: expect.stringMatching(message) } });
  });
});
