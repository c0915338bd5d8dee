/** Zips as other programs write them, and files of folders whose names are no UTF-8. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { expect, test } from "vitest";
import { pairFiles } from "../../dataset/captions/pair.ts";
import { makeZip, temporaryFolder } from "../../media/testing/media.ts";
import { openSource } from "../open.ts";
import { type RawEntry, writeRawZip } from "../testing/raw-zip.ts";

const text = (content: string) => new TextEncoder().encode(content);
const raw = (hex: string, extension: string) => Buffer.concat([Buffer.from(hex, "hex"), text(extension)]);

async function openRawZip(entries: readonly RawEntry[]) {
  const folder = temporaryFolder();
  const zip = join(folder, "a.zip");
  await writeRawZip(zip, entries);
  return { zip, source: await openSource(zip, { workFolder: join(folder, "work") }) };
}

test("a zip of the Finder above 4 GiB, whose offsets are cut to 32 bits, gives all its files", async () => {
  const entries = [
    { name: text("a.txt"), data: text("below 4 GiB") },
    { name: text("b.txt"), data: text("just below the first"), offset: 2 ** 32 - 20 },
    { name: text("c.txt"), data: text("above 4 GiB"), offset: 2 ** 32 + 100 },
    { name: text("d.txt"), data: text("above 8 GiB"), offset: 2 * 2 ** 32 + 50 },
    // Where c.txt would be if its offset were true, there is another header.
    { name: text("e.txt"), data: text("decoy"), offset: 2 * 2 ** 32 + 200 },
    { name: text("f.txt"), data: text("above 12 GiB"), offset: 3 * 2 ** 32 + 200 },
  ];
  const { zip, source } = await openRawZip(entries);
  expect(statSync(zip).size).toBeGreaterThan(3 * 2 ** 32);
  expect(statSync(zip).blocks * 512).toBeLessThan(2 ** 20);
  const contents = await Promise.all(
    source.files.map(async (file) => readFileSync(await file.locate(), "utf8")),
  );
  expect(contents).toEqual(entries.map(({ data }) => Buffer.from(data).toString()));
  await source.close();
});

test("a file whose own size is cut to 32 bits is not just called damaged", async () => {
  const { source } = await openRawZip([
    { name: text("large.mp4"), data: deflateRawSync(new Uint8Array(3000)), method: 8 },
    { name: text("b.txt"), data: text("behind it"), offset: 2 ** 32 + 3000 },
  ]);
  const [small, large] = source.files;
  expect(readFileSync((await small?.locate()) ?? "", "utf8")).toBe("behind it");
  await expect(large?.locate()).rejects.toMatchObject({
    code: "zip_damaged",
    facts: {
      reason: expect.stringMatching(/or larger than 4 GiB, which zips of the macOS Finder cannot say/),
    },
  });
  await source.close();
});

test("a wrong offset in a small zip is still damage", async () => {
  const { zip, source } = await openRawZip([{ name: text("a.txt"), data: text("content") }]);
  await source.close();
  const bytes = readFileSync(zip);
  bytes.write("XX", 0);
  writeFileSync(zip, bytes);
  const damaged = await openSource(zip, { workFolder: temporaryFolder() });
  await expect(damaged.files[0]?.locate()).rejects.toMatchObject({ code: "zip_damaged" });
  await damaged.close();
});

test.each([
  [12, "bzip2"],
  [14, "LZMA"],
  [93, "Zstandard"],
  [77, "method 77"],
])("compression method %i is not called damage", async (method, name) => {
  const { source } = await openRawZip([{ name: text("a.mp4"), data: text("x"), method }]);
  expect(source.files).toMatchObject([
    {
      path: "a.mp4",
      refusal: `packed with ${name}, expected Deflate or no compression: zip it again with the usual settings`,
    },
  ]);
  await source.close();
});

test.each([
  [
    "Shift JIS, with 0x5C as second byte",
    ["ソ.mp4", "ソ.txt", "表.png", "一覧/表2.png"],
    ["835c", "835c", "955c", "88ea97972f955c32"],
  ],
  ["Big5, with 0x5C as second byte", ["許功蓋.mp4", "功.txt"], ["b35ca55cbb5c", "a55c"]],
  ["GBK", ["一只猫.mp4", "红色方块.txt"], ["d2bbd6bbc3a8", "baecc9abb7bdbfe9"]],
  ["Windows-1251", ["красный квадрат.mp4"], ["eaf0e0f1edfbe920eae2e0e4f0e0f2"]],
  ["CP437", ["grüner Würfel.mp4", "café.txt"], ["6772816e65722057817266656c", "63616682"]],
  ["UTF-8 that nobody marked", ["café 猫.mp4"], ["636166c3a920e78cab"]],
  ["a folder of Windows", ["clips/a.mp4"], ["636c6970735c61"]],
])("names in %s are read, and none is lost", async (_encoding, names, hex) => {
  const entries = hex.map((bytes, index) => ({
    name: raw(bytes, (names[index] as string).slice(-4)),
    data: text(String(index)),
  }));
  const { source } = await openRawZip(entries);
  expect(source.files.map(({ path }) => path).sort()).toEqual([...names].sort());
  await source.close();
});

test("names cannot write to a terminal or a log", async () => {
  const { source } = await openRawZip([{ name: text("a\u001b[2Jb\n\u009b.mp4"), data: text("x") }]);
  expect(source.files.map(({ path }) => path)).toEqual(["a\ufffd[2Jb\ufffd\ufffd.mp4"]);
  await source.close();
  const folder = temporaryFolder();
  writeFileSync(join(folder, "a\nb.mp4"), "inside");
  const [file] = (await openSource(folder, { workFolder: temporaryFolder() })).files;
  expect(file?.path).toBe("a\ufffdb.mp4");
  expect(readFileSync((await file?.locate()) ?? "", "utf8")).toBe("inside");
});

test("one part of a split zip is called that, with what to do", async () => {
  const folder = temporaryFolder();
  const expected = {
    code: "not_a_zip",
    message: expect.stringMatching(
      /got one part of a zip that was split into several files, expected a whole zip$/,
    ),
    remedy: expect.stringMatching(/Join the parts/),
  };
  const whole = join(folder, "whole.zip");
  await makeZip(whole, { "a.mp4": "x".repeat(900), "b.mp4": "y".repeat(900) });
  const parts: Record<string, Uint8Array> = {
    "first.z01": Buffer.concat([Buffer.from("PK\x07\x08", "latin1"), readFileSync(whole).subarray(0, 90)]),
    "volume.zip.001": readFileSync(whole).subarray(0, 120),
    "volume.zip.002": readFileSync(whole).subarray(120),
  };
  for (const [name, bytes] of Object.entries(parts)) writeFileSync(join(folder, name), bytes);
  const last = join(folder, "last.zip");
  await writeRawZip(last, [{ name: text("b.mp4"), data: text("y") }], 1);
  writeFileSync(last, Buffer.concat([text("the end of something else"), readFileSync(last).subarray(8)]));
  for (const name of [...Object.keys(parts), "last.zip"]) {
    const opened = openSource(join(folder, name), { workFolder: folder });
    await expect.soft(opened, name).rejects.toMatchObject(expected);
  }
});

test("a zip with a program in front of it is a zip", async () => {
  const folder = temporaryFolder();
  await makeZip(join(folder, "a.zip"), { "a.txt": "inside" });
  writeFileSync(
    join(folder, "a.exe"),
    Buffer.concat([text("MZ and more"), readFileSync(join(folder, "a.zip"))]),
  );
  const source = await openSource(join(folder, "a.exe"), { workFolder: join(folder, "work") });
  expect(readFileSync((await source.files[0]?.locate()) ?? "", "utf8")).toBe("inside");
  await source.close();
});

test("files and folders whose names are not UTF-8 are read by their bytes", async () => {
  const folder = temporaryFolder();
  const sub = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from("8365835883672e", "hex")]);
  mkdirSync(sub);
  const names = ["caf\xe9.mp4", "caf\xe9.txt"];
  for (const name of names) {
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name, "latin1")]), name);
    writeFileSync(Buffer.concat([sub, Buffer.from("/"), Buffer.from(name, "latin1")]), `sub ${name}`);
  }
  const workFolder = temporaryFolder();
  const source = await openSource(folder, { workFolder });
  expect(source.files.map(({ path, refusal }) => [path, refusal])).toEqual([
    ["café.mp4", undefined],
    ["café.txt", undefined],
    ["テスト./café.mp4", undefined],
    ["テスト./café.txt", undefined],
  ]);
  for (const [index, file] of source.files.entries()) {
    const located = await file.locate();
    expect(located).toMatch(new RegExp(`^${workFolder}/renamed/\\d+\\.(mp4|txt)$`));
    expect(readFileSync(located, "utf8")).toBe(`${index > 1 ? "sub " : ""}${names[index % 2]}`);
  }
});

test("what a folder holds that cannot be read is named, with a true reason", async () => {
  const folder = temporaryFolder();
  const isRoot = process.getuid?.() === 0;
  mkdirSync(join(folder, "closed"));
  symlinkSync("loop.png", join(folder, "loop.png"));
  symlinkSync("gone.png", join(folder, "gone.txt"));
  expect(spawnSync("mkfifo", [join(folder, "pipe.mp4")]).status).toBe(0);
  if (!isRoot) chmodSync(join(folder, "closed"), 0o000);
  const source = await openSource(folder, { workFolder: temporaryFolder() });
  chmodSync(join(folder, "closed"), 0o700);
  const { media, ignored } = pairFiles(source.files);
  expect(media.map(({ file }) => [file.path, file.refusal])).toEqual([
    ["loop.png", "a link that leads back to itself"],
    ["pipe.mp4", "a pipe, not a file"],
  ]);
  // Root may read everything.
  const closed = isRoot ? [] : [["closed/", "cannot be read: this account has no permission"]];
  expect(ignored.map(({ file, reason }) => [file.path, reason])).toEqual([
    ...closed,
    ["gone.txt", "a link to something that does not exist"],
  ]);
});

test("what the system refuses while unpacking is not put down to the file", async () => {
  const { zip, source } = await openRawZip([{ name: text("a.txt"), data: text("whole") }]);
  writeFileSync(join(zip, "../work"), "a file in the place of the folder");
  await expect(source.files[0]?.locate()).rejects.toMatchObject({ syscall: "mkdir" });
  await source.close();
});
