/** Which addresses a server's trainings may fetch from, and what sources are called where people and strangers read. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadFirstFrame } from "../sampling/first-frame.ts";
import { openSource } from "./open.ts";
import { portableSourceName, refuseSpecialAddress, sourceName, sourcePolicyOf } from "./policy.ts";

let visits = 0;
const server = createServer((_request, response) => {
  visits++;
  response.end("here");
});
let port = 0;
let workFolder = "";

beforeAll(async () => {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  port = (server.address() as AddressInfo).port;
  workFolder = mkdtempSync(join(tmpdir(), "ltx-policy-"));
});
afterAll(() => {
  server.close();
  rmSync(workFolder, { recursive: true, force: true });
});

test.each(["127.0.0.1", "10.0.0.1", "168.63.129.16", "::8.8.8.8", "64:ff9b::808:808", "localhost", ""])(
  "%s is refused, without a word on what it is",
  (address) => {
    expect(() => refuseSpecialAddress(address)).toThrow(
      "the address leads into a private network or one for a special purpose, expected one that is public",
    );
  },
);

test.each(["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"])("%s is let through", (address) => {
  expect(() => refuseSpecialAddress(address)).not.toThrow();
});

test("under the public policy neither dataset nor validation image reach this machine, however it is written", async () => {
  const policy = sourcePolicyOf({ address_policy: "public" });
  const hosts = [
    "127.0.0.1",
    "localhost",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "2130706433",
    "0x7f.1",
    "0",
    "127.1",
  ];
  for (const host of hosts) {
    const url = `http://${host}:${port}/a.zip`;
    await expect(openSource(url, { ...policy, workFolder })).rejects.toMatchObject({
      code: "address_not_allowed",
    });
    await expect(loadFirstFrame(url, { width: 32, height: 32 }, policy)).rejects.toMatchObject({
      code: "address_not_allowed",
    });
  }
  expect(visits).toBe(0);
});

test("a redirect is followed only to where the check lets it", async () => {
  const jump = createServer((_request, response) => {
    response.writeHead(302, { location: `http://127.0.0.2:${port}/a.zip` }).end();
  });
  await new Promise<void>((done) => jump.listen(0, "127.0.0.1", done));
  const seen: string[] = [];
  const checkAddress = (address: string) => {
    seen.push(address);
    if (address !== "127.0.0.1") refuseSpecialAddress(address);
  };
  const url = `http://127.0.0.1:${(jump.address() as AddressInfo).port}/`;
  await expect(openSource(url, { workFolder, checkAddress })).rejects.toMatchObject({
    code: "address_not_allowed",
  });
  jump.close();
  expect(seen).toEqual(["127.0.0.1", "127.0.0.2"]);
});

test("without it the command line fetches from everywhere", async () => {
  const source = openSource(`http://127.0.0.1:${port}/a.zip`, { ...sourcePolicyOf({}), workFolder });
  await expect(source).rejects.toMatchObject({ code: "not_a_zip" });
  expect(visits).toBe(1);
});

test("a validation image may not be as large as a data set", async () => {
  const large = createServer((_request, response) => {
    response.writeHead(200, { "content-length": 100 * 2 ** 20 + 1 }).write("x");
  });
  await new Promise<void>((done) => large.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${(large.address() as AddressInfo).port}/a.png`;
  await expect(loadFirstFrame(url, { width: 32, height: 32 })).rejects.toMatchObject({
    code: "download_too_large",
    facts: { maxBytes: 100 * 2 ** 20, field: "validation" },
  });
  large.closeAllConnections();
  large.close();
});

test("names hold no data, no signature and, where they leave the machine, no folder", () => {
  const names = { "/store/ab/0193": "http://here/files/b/0a1b2c3d/clip.zip" };
  expect(sourceName("data:video/mp4;base64,AAAA")).toBe("data URI");
  expect(sourceName("https://me:secret@host:8443/a.zip?signature=s#x")).toBe("https://host:8443/a.zip");
  expect(sourceName("https://me:s3/cret@host:99999/a.zip?signature=s")).toBe("https://host:99999/a.zip");
  expect(sourceName("ftp://me:secret@host/a.zip?signature=s")).toBe("ftp://host/a.zip");
  expect(sourceName("/home/me/a.zip")).toBe("/home/me/a.zip");
  expect(sourceName("/home/me/what?#@.zip")).toBe("/home/me/what?#@.zip");
  expect(sourceName("/store/ab/0193", names)).toBe("http://here/files/b/0a1b2c3d/clip.zip");
  expect(portableSourceName("/home/me/a.zip")).toBe("a.zip");
  expect(portableSourceName("https://host/a/b.zip?x=1")).toBe("https://host/a/b.zip");
  expect(portableSourceName("/store/ab/0193", names)).toBe("http://here/files/b/0a1b2c3d/clip.zip");
});
