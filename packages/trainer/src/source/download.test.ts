/** Downloads: what is tried again, what stops them, and what is told about their addresses. */
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { AppError } from "@ltx-trainer/contract";
import { expect, onTestFinished, test } from "vitest";
import { makeZip, temporaryFolder } from "../media/testing/media.ts";
import { download } from "./download.ts";
import { openSource } from "./open.ts";

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A port that was free a moment ago. */
async function unusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

const quick = { maxBytes: 1000, timeoutMs: 5000, retryDelaysMs: [1, 1] };

test("a fault that passes is tried again", async () => {
  const path = join(temporaryFolder(), "a");
  let tries = 0;
  const base = await serve((_request, response) => {
    tries++;
    if (tries === 1) response.writeHead(503).end();
    else if (tries === 2)
      response.writeHead(200, { "content-length": "9" }).write("half", () => response.destroy());
    else response.end("all of it");
  });
  await download(`${base}/a`, path, quick);
  expect([tries, readFileSync(path, "utf8")]).toEqual([3, "all of it"]);
});

test.each([
  [404, "got status 404 Not Found, expected 200", "There is nothing at this address", false],
  [403, "got status 403 Forbidden, expected 200", "needs a permission", false],
  [500, "got status 500", undefined, true],
  [206, "got status 206 Partial Content, expected 200", undefined, true],
])("status %i is explained", async (status, message, remedy, retryable) => {
  const base = await serve((_request, response) => response.writeHead(status).end("no"));
  const failed = download(`${base}/a.zip`, join(temporaryFolder(), "a"), quick);
  await expect(failed).rejects.toMatchObject({
    code: "download_failed",
    message: expect.stringContaining(message),
    ...(remedy === undefined ? {} : { remedy: expect.stringContaining(remedy) }),
    retryable,
    facts: { status },
  });
});

test("a download that is too large stops, announced or not", async () => {
  const announced = await serve((_request, response) => response.end("x".repeat(2000)));
  const streamed = await serve((_request, response) => {
    response.write("x".repeat(800));
    setTimeout(() => response.end("x".repeat(800)), 20);
  });
  for (const base of [announced, streamed]) {
    const failed = download(`${base}/a`, join(temporaryFolder(), "a"), quick);
    await expect.soft(failed).rejects.toMatchObject({ code: "download_too_large", retryable: false });
  }
});

test("a body that unpacks beyond the limit stops, and leaves nothing behind", async () => {
  const bomb = gzipSync(new Uint8Array(1_000_000));
  const base = await serve((_request, response) => {
    response.writeHead(200, { "content-encoding": "gzip", "content-length": bomb.length }).end(bomb);
  });
  const folder = temporaryFolder();
  await expect(download(`${base}/a`, join(folder, "a"), { ...quick, maxBytes: 5000 })).rejects.toMatchObject({
    code: "download_too_large",
  });
  expect(readdirSync(folder)).toEqual([]);
});

test("a download that drips ends at its time limit, and earlier when hardly anything comes", async () => {
  const base = await serve((_request, response) => {
    const timer = setInterval(() => response.write("x"), 20);
    response.on("close", () => clearInterval(timer));
  });
  const path = join(temporaryFolder(), "a");
  await expect(download(`${base}/a`, path, { ...quick, timeoutMs: 300 })).rejects.toThrow(
    /not complete after/,
  );
  const slow = download(`${base}/a`, path, { ...quick, slowWindowMs: 100 });
  await expect(slow).rejects.toMatchObject({
    code: "download_failed",
    retryable: true,
    message: expect.stringMatching(/got \d+ bytes in 0\.1 s, expected at least 65536$/),
  });
});

/** A server that asks for a password, the requests it got, and a folder to work in. */
async function serveWithPassword() {
  const folder = temporaryFolder();
  await makeZip(join(folder, "a.zip"), { "a.txt": "x" });
  const seen: { host: string | undefined; authorization: string | undefined }[] = [];
  const base = await serve((request, response) => {
    const { host, authorization } = request.headers;
    seen.push({ host, authorization });
    if (request.url?.startsWith("/elsewhere")) {
      const port = new URL(base).port;
      response.writeHead(302, { location: `http://localhost:${port}/a.zip?signature=s1gned` }).end();
    } else if (authorization === undefined) response.writeHead(401).end();
    else response.end(readFileSync(join(folder, "a.zip")));
  });
  return { folder, seen, base, host: new URL(base).host };
}

test("user and password of an address are sent to its host, and written nowhere", async () => {
  const { folder, seen, host } = await serveWithPassword();
  const said: string[] = [];
  const source = await openSource(`http://me:s3cr%40t@${host}/a.zip?signature=s1gned`, {
    workFolder: join(folder, "work"),
    logIntervalMs: 0,
    log: (_level, message) => said.push(message),
    onProgress: (progress) => said.push(JSON.stringify(progress)),
  });
  await source.close();
  expect(seen).toEqual([{ host, authorization: `Basic ${Buffer.from("me:s3cr@t").toString("base64")}` }]);
  expect(source.name).toBe(`http://${host}/a.zip`);
  const files = readdirSync(join(folder, "work"), { recursive: true }).map(String);
  expect(said.length).toBeGreaterThan(0);
  expect([source.name, ...said, ...files].join("\n")).not.toMatch(/s3cr|s1gned|me:/);
});

test("a redirect to another host does not take the password along, and no failure names it", async () => {
  const { folder, seen, base, host } = await serveWithPassword();
  const port = new URL(base).port;
  const errors: AppError[] = [];
  for (const address of [
    `http://me:s3cret@${host}/elsewhere?signature=s1gned`,
    `http://me:s3cret@127.0.0.1:${await unusedPort()}/a.zip?signature=s1gned`,
    `http://me:s3cret@no-such-host.invalid/a.zip`,
    `http://me:s3cret@127.0.0.1:22/a.zip`,
    `http://me:s3cret@127.0.0.1:99999/a.zip?signature=s1gned`,
    `https://me:s3cret@127.0.0.1:${port}/a.zip`,
    `ftp://me:s3cret@${host}/a.zip`,
    `s3://me:s3cret@bucket/a.zip`,
  ]) {
    const failure = await download(address, join(folder, "a"), quick).catch(
      (error: unknown) => error as AppError,
    );
    const opening = address.startsWith("http")
      ? undefined
      : await openSource(address, { workFolder: folder }).catch((error: unknown) => error);
    errors.push(...[failure, opening].filter((error) => error instanceof AppError));
  }
  expect(seen.at(-1)).toEqual({ host: `localhost:${port}`, authorization: undefined });
  expect(errors.map(({ message }) => message)).toEqual([
    expect.stringMatching(/\/elsewhere: the download failed: got status 401/),
    expect.stringMatching(/\/a\.zip: the download failed: connect ECONNREFUSED/),
    expect.stringMatching(/no-such-host\.invalid\/a\.zip: the download failed: /),
    expect.stringMatching(/:22\/a\.zip: got a port that belongs to another protocol/),
    expect.stringMatching(/:99999\/a\.zip: got an address that is not valid/),
    expect.stringMatching(/\/a\.zip: the download failed: it does not answer in TLS/),
    ...["ftp", "ftp", "s3", "s3"].map((scheme) => expect.stringContaining(`starts with ${scheme}:`)),
  ]);
  for (const error of errors) expect(JSON.stringify([error.message, error])).not.toMatch(/s3cr|s1gned|me:/);
});

test("what cannot pass by itself is not tried again: other protocols' ports, addresses that are none", async () => {
  const path = join(temporaryFolder(), "a");
  for (const [address, message] of [
    ["http://127.0.0.1:22/a.zip", "got a port that belongs to another protocol"],
    ["http://127.0.0.1:99999/a.zip", "got an address that is not valid"],
  ] as const) {
    const failed = download(address, path, { ...quick, retryDelaysMs: [60_000] });
    await expect(failed).rejects.toMatchObject({
      code: "source_unsupported",
      retryable: false,
      message: expect.stringContaining(message),
    });
  }
});

test("a long download says in the log how far it is", async () => {
  const folder = temporaryFolder();
  await makeZip(join(folder, "a.zip"), { "a.txt": "x".repeat(20_000) });
  const base = await serve((_request, response) => response.end(readFileSync(join(folder, "a.zip"))));
  const said: string[] = [];
  const log = (_level: string, message: string) => said.push(message);
  const source = await openSource(`${base}/a.zip`, {
    workFolder: join(folder, "work"),
    logIntervalMs: 0,
    log,
  });
  await source.close();
  expect(said[0]).toMatch(/^downloading: 0\.0 MB of 0\.0 MB$/);
});

test("a download that stalls ends at its time limit", async () => {
  const base = await serve((_request, response) => void response.write("x"));
  const failed = download(`${base}/a`, join(temporaryFolder(), "a"), { ...quick, timeoutMs: 200 });
  await expect(failed).rejects.toMatchObject({ code: "download_failed", retryable: true });
});

test("nobody listening is a download failure, a loop of redirects too, another scheme is refused", async () => {
  const path = join(temporaryFolder(), "a");
  const nobody = `http://127.0.0.1:${await unusedPort()}/a`;
  await expect(download(nobody, path, quick)).rejects.toMatchObject({
    code: "download_failed",
    retryable: true,
  });
  const loop = await serve((_request, response) => response.writeHead(302, { location: "/again" }).end());
  await expect(download(loop, path, quick)).rejects.toThrow("redirected more than 5 times");
  const file = await serve((_request, response) =>
    response.writeHead(302, { location: "file:///etc/passwd" }).end(),
  );
  await expect(download(file, path, quick)).rejects.toMatchObject({ code: "source_unsupported" });
});

test("every address is checked before connecting: named and literal", async () => {
  let requests = 0;
  const base = await serve((_request, response) => {
    requests++;
    response.end("x");
  });
  const port = new URL(base).port;
  const seen: string[] = [];
  const checkAddress = (address: string) => {
    seen.push(address);
    throw new AppError({ code: "address_not_allowed", message: `${address}: not allowed` });
  };
  for (const host of ["127.0.0.1", "localhost"]) {
    const failed = download(`http://${host}:${port}/a`, join(temporaryFolder(), "a"), {
      ...quick,
      checkAddress,
    });
    await expect.soft(failed, host).rejects.toMatchObject({ code: "address_not_allowed" });
  }
  expect(requests).toBe(0);
  expect(seen.length).toBeGreaterThanOrEqual(2);
});
