/** Zips, folders, single files, addresses and data URIs, friendly and hostile. */
import { mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { AppError } from "@ltx-trainer/contract";
import { BlobWriter, TextReader, ZipWriter } from "@zip.js/zip.js";
import { expect, onTestFinished, test } from "vitest";
import { makeZip, temporaryFolder, testClip } from "../media/testing/media.ts";
import { openSource } from "./open.ts";

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const refusal = async (source: string, workFolder = temporaryFolder(), limits = {}) => {
  const opened = openSource(source, { workFolder, limits });
  return opened.then(
    () => expect.unreachable(),
    (error: AppError) => error,
  );
};

test("a zip lists its files in order, and unpacks them under names of our own", async () => {
  const folder = temporaryFolder();
  const zip = join(folder, "a.zip");
  await makeZip(zip, {
    "b/two.txt": "2",
    "a/one.mp4": "1",
    "../../evil.mp4": "3",
    "/etc/x.mp4": "4",
    "c\\d\\e.mp4": "5",
  });
  const source = await openSource(zip, { workFolder: join(folder, "work") });
  expect(source.files.map((file) => file.path)).toEqual([
    "../../evil.mp4",
    "a/one.mp4",
    "b/two.txt",
    "c/d/e.mp4",
    "etc/x.mp4",
  ]);
  for (const file of source.files) {
    const path = await file.locate();
    expect(path).toMatch(new RegExp(`^${join(folder, "work", "unpacked")}/\\d{6}\\.(mp4|txt)$`));
  }
  expect(readFileSync(await (source.files[1]?.locate() ?? ""), "utf8")).toBe("1");
  await source.close();
});

test("a password is noticed before anything is unpacked", async () => {
  const folder = temporaryFolder();
  await makeZip(join(folder, "a.zip"), { "a.mp4": "secret" }, { password: "x" });
  const source = await openSource(join(folder, "a.zip"), { workFolder: folder });
  expect(source.files).toMatchObject([{ path: "a.mp4", refusal: "protected by a password" }]);
  await source.close();
});

test("a link in a zip is refused", async () => {
  const folder = temporaryFolder();
  const writer = new ZipWriter(new BlobWriter());
  await writer.add("a.mp4", new TextReader("/etc/passwd"), { unixMode: 0o120777, versionMadeBy: 0x0314 });
  writeFileSync(join(folder, "a.zip"), new Uint8Array(await (await writer.close()).arrayBuffer()));
  const source = await openSource(join(folder, "a.zip"), { workFolder: folder });
  expect(source.files).toMatchObject([{ path: "a.mp4", refusal: "a link, not a file" }]);
  await source.close();
});

test("one damaged entry is refused, the others can be unpacked", async () => {
  const folder = temporaryFolder();
  const zip = join(folder, "a.zip");
  await makeZip(zip, { "a.txt": "first ".repeat(400), "b.txt": "second ".repeat(400) });
  const bytes = readFileSync(zip);
  bytes[60] = (bytes[60] ?? 0) ^ 0xff;
  writeFileSync(zip, bytes);
  const source = await openSource(zip, { workFolder: folder });
  const [a, b] = source.files;
  await expect(a?.locate()).rejects.toMatchObject({ code: "zip_damaged", facts: { file: "a.txt" } });
  expect(readFileSync((await b?.locate()) ?? "", "utf8")).toMatch(/^second second/);
  await source.close();
});

test("an archive that unpacks to more than is allowed stops", async () => {
  const folder = temporaryFolder();
  await makeZip(join(folder, "a.zip"), {
    "a.mp4": new Uint8Array(300_000),
    "b.mp4": new Uint8Array(300_000),
  });
  const limits = { unpackedBytes: 500_000 };
  const source = await openSource(join(folder, "a.zip"), { workFolder: folder, limits });
  const [a, b] = source.files;
  await a?.locate();
  await expect(b?.locate()).rejects.toMatchObject({ code: "zip_too_large", exitCode: 2 });
  await source.close();
  expect(await refusal(join(folder, "a.zip"), folder, { entries: 1 })).toMatchObject({
    code: "zip_too_large",
  });
});

test("an entry that grows out of proportion is a bomb", async () => {
  const folder = temporaryFolder();
  await makeZip(join(folder, "a.zip"), { "a.mp4": new Uint8Array(70 * 2 ** 20) });
  const source = await openSource(join(folder, "a.zip"), { workFolder: folder });
  await expect(source.files[0]?.locate()).rejects.toMatchObject({ code: "zip_too_large" });
  await source.close();
});

test.each([
  [
    "text",
    "hello",
    "not_a_zip",
    "got a file of an unknown type, expected a zip, a folder, a video or an image",
  ],
  ["nothing", "", "not_a_zip", "got an empty file"],
  ["a web page", "<!DOCTYPE html><html>", "not_a_zip", "got a web page"],
  [
    "another archive",
    `Rar!\x1a\x07\x00${"x".repeat(50)}`,
    "not_a_zip",
    "got a RAR archive, expected a zip, a folder, a video or an image",
  ],
])("refuses %s and says what it is", async (_name, content, code, message) => {
  const path = join(temporaryFolder(), "data.zip");
  writeFileSync(path, content, "latin1");
  expect(await refusal(path)).toMatchObject({ code, message: expect.stringContaining(message), exitCode: 2 });
});

test("refuses a zip that was cut short", async () => {
  const path = join(temporaryFolder(), "a.zip");
  await makeZip(path, { "a.mp4": "x".repeat(5000), "b.mp4": "y" });
  truncateSync(path, readFileSync(path).length - 60);
  expect(await refusal(path)).toMatchObject({
    code: "zip_damaged",
    message: expect.stringContaining("cut short"),
  });
});

test("refuses what is not there, and addresses it cannot read", async () => {
  expect(await refusal("/no/such.zip")).toMatchObject({
    code: "source_not_found",
    message: "/no/such.zip: no such file or folder",
    exitCode: 2,
  });
  expect(await refusal("s3://bucket/a.zip")).toMatchObject({ code: "source_unsupported" });
  expect(await refusal("data:nonsense")).toMatchObject({ code: "source_unsupported" });
});

test("a folder is read with its sub-folders; links are followed once", async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "a", "b"), { recursive: true });
  for (const name of ["z.mp4", "a/y.txt", "a/b/x.png"]) writeFileSync(join(folder, name), name);
  symlinkSync(folder, join(folder, "a", "loop"));
  symlinkSync(join(folder, "z.mp4"), join(folder, "link.mp4"));
  symlinkSync(join(folder, "gone.mp4"), join(folder, "broken.mp4"));
  const source = await openSource(folder, { workFolder: temporaryFolder() });
  expect(source.files.map((file) => [file.path, file.refusal?.slice(0, 14)])).toEqual([
    ["a/b/x.png", undefined],
    ["a/y.txt", undefined],
    ["broken.mp4", "a link to some"],
    ["link.mp4", undefined],
    ["z.mp4", undefined],
  ]);
});

test("a file: address that is no path is refused in own words", async () => {
  expect(await refusal("file://other/a.zip")).toMatchObject({
    code: "source_unsupported",
    message: expect.stringMatching(/got a file: address of another machine or with an encoded slash/),
  });
});

test("a single video brings the caption beside it", async () => {
  const folder = temporaryFolder();
  testClip(join(folder, "cat.mp4"));
  writeFileSync(join(folder, "cat.txt"), "a cat");
  writeFileSync(join(folder, "other.mp4"), "x");
  writeFileSync(join(folder, "cat.mp4.txt"), "a second caption");
  const source = await openSource(join(folder, "cat.mp4"), { workFolder: folder });
  expect(source.files.map((file) => file.path)).toEqual(["cat.mp4", "cat.txt", "cat.mp4.txt"]);
});

test("a data URI holds a zip or a picture", async () => {
  const folder = temporaryFolder();
  await makeZip(join(folder, "a.zip"), { "a.txt": "x" });
  const base64 = readFileSync(join(folder, "a.zip")).toString("base64");
  const source = await openSource(`data:application/zip;base64,${base64}`, {
    workFolder: join(folder, "work"),
  });
  expect(source).toMatchObject({ name: "data URI", files: [{ path: "a.txt" }] });
  await source.close();
});

test("downloads follow redirects, and the address loses its query in messages", async () => {
  const folder = temporaryFolder();
  await makeZip(join(folder, "a.zip"), { "a.txt": "x" });
  const base = await serve((request, response) => {
    if (request.url?.startsWith("/start")) response.writeHead(302, { location: "/a.zip?token=1" }).end();
    else response.end(readFileSync(join(folder, "a.zip")));
  });
  const source = await openSource(`${base}/start?signature=secret`, { workFolder: join(folder, "work") });
  expect(source).toMatchObject({ name: `${base}/start`, files: [{ path: "a.txt" }] });
  await source.close();
});
