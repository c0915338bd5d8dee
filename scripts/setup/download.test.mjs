import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { download } from "./download.mjs";

const content = randomBytes(300_000);
const sha256 = createHash("sha256").update(content).digest("hex");

/** How the server answers; a test sets it and reads what was asked. */
const behaviour = { cutAfter: Number.POSITIVE_INFINITY, cuts: 0, ranges: true, status: 200, stall: false };
/** @type {(string | undefined)[]} */
let askedRanges = [];
let folder = "";
let url = "";

const server = createServer((request, response) => {
  const range = behaviour.ranges ? request.headers.range : undefined;
  askedRanges.push(request.headers.range);
  const start = range ? Number(/bytes=(\d+)-/.exec(range)?.[1]) : 0;
  if (behaviour.status !== 200) return response.writeHead(behaviour.status).end();
  if (start >= content.length) return response.writeHead(416).end();
  const body = content.subarray(start);
  response.writeHead(range ? 206 : 200, { "content-length": body.length });
  if (behaviour.stall) return response.write(body.subarray(0, 10));
  if (behaviour.cuts <= 0) return response.end(body);
  behaviour.cuts--;
  return response.write(body.subarray(0, behaviour.cutAfter), () => setTimeout(() => response.destroy(), 50));
});

beforeEach(async () => {
  Object.assign(behaviour, {
    cutAfter: Number.POSITIVE_INFINITY,
    cuts: 0,
    ranges: true,
    status: 200,
    stall: false,
  });
  askedRanges = [];
  folder = mkdtempSync(join(tmpdir(), "download-"));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = server.address();
  if (!address || typeof address === "string") throw new Error("the test server has no port");
  url = `http://127.0.0.1:${address.port}/libtorch.zip`;
});

afterEach(async () => {
  rmSync(folder, { recursive: true });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const target = () => join(folder, "deep", "libtorch.zip");
const quick = { sha256, pauseMs: 1 };

test("brings the file, makes its folder, and reports progress up to the whole size", async () => {
  /** @type {[number, number][]} */
  const seen = [];
  await download(url, target(), { ...quick, onProgress: (done, total) => seen.push([done, total]) });
  expect(readFileSync(target()).equals(content)).toBe(true);
  expect(seen.at(-1)).toEqual([content.length, content.length]);
  expect(existsSync(`${target()}.part`)).toBe(false);
});

test("goes on where a cut connection stopped", async () => {
  Object.assign(behaviour, { cutAfter: 100_000, cuts: 2 });
  /** @type {number[]} */
  const totals = [];
  await download(url, target(), { ...quick, onProgress: (_done, total) => totals.push(total) });
  expect(readFileSync(target()).equals(content)).toBe(true);
  expect(askedRanges).toHaveLength(3);
  expect(askedRanges[0]).toBeUndefined();
  expect(askedRanges.slice(1).every((range) => /^bytes=[1-9]\d*-$/.test(range ?? ""))).toBe(true);
  expect(new Set(totals)).toEqual(new Set([content.length]));
});

test("starts over when the server does not serve ranges", async () => {
  Object.assign(behaviour, { cutAfter: 100_000, cuts: 1, ranges: false });
  await download(url, target(), quick);
  expect(readFileSync(target()).equals(content)).toBe(true);
});

test("gives up after the attempts and keeps what it has for the next run", async () => {
  Object.assign(behaviour, { cutAfter: 100_000, cuts: 2 });
  await expect(download(url, target(), { ...quick, attempts: 2 })).rejects.toThrow(
    /cut 2 times.*Run the command again/s,
  );
  await download(url, target(), quick);
  expect(readFileSync(target()).equals(content)).toBe(true);
  expect(askedRanges[2]).toMatch(/^bytes=[1-9]/);
});

test("a connection that goes silent counts as cut", async () => {
  behaviour.stall = true;
  await expect(download(url, target(), { ...quick, attempts: 1, stallMs: 100 })).rejects.toThrow(
    /cut 1 times/,
  );
});

test("a part that is already whole is only checked", async () => {
  await download(url, target(), quick);
  writeFileSync(`${target()}.part`, content);
  await download(url, target(), quick);
  expect(askedRanges).toEqual([undefined, `bytes=${content.length}-`]);
});

test("a wrong hash deletes the file and says both hashes and the way out", async () => {
  const expected = "0".repeat(64);
  const wrong = download(url, target(), { ...quick, sha256: expected });
  await expect(wrong).rejects.toThrow(
    new RegExp(`got sha256 ${sha256}, expected ${expected}.*LIBTORCH`, "s"),
  );
  expect(existsSync(target())).toBe(false);
  expect(existsSync(`${target()}.part`)).toBe(false);
});

test("a refusal is not tried again, trouble on the server's side is", async () => {
  behaviour.status = 404;
  await expect(download(url, target(), { ...quick, attempts: 3 })).rejects.toThrow(
    /got HTTP 404, expected 200/,
  );
  expect(askedRanges).toHaveLength(1);
  behaviour.status = 503;
  await expect(download(url, target(), { ...quick, attempts: 3 })).rejects.toThrow(/cut 3 times.*503/s);
  expect(askedRanges).toHaveLength(4);
});
