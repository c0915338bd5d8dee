/** Bodies read into small JSON and files: as JSON.parse reads them, in this thread and in another. */
import fc from "fast-check";
import { pino } from "pino";
import { afterAll, describe, expect, test, vi } from "vitest";
import { trainerEndpoint } from "../testing/trainer-endpoint.ts";
import { LargeBodies } from "./large-bodies.ts";
import { type JsonBody, readJson } from "./read-json.ts";
import { BodyRefusal } from "./scan-json.ts";

vi.setConfig({ testTimeout: 600_000 });

const limits = { mostBytes: 2 ** 20, mostValues: 40_000, files: trainerEndpoint.files };
const bodies = new LargeBodies(pino({ level: "silent" }));
afterAll(() => bodies.close());

type Outcome = JsonBody | { readonly status: number; readonly reason: string };

async function outcomeOf(read: () => JsonBody | Promise<JsonBody>): Promise<Outcome> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof BodyRefusal)) throw error;
    return { status: error.status, reason: error.message };
  }
}

const here = (bytes: Uint8Array) => outcomeOf(() => readJson(bytes, limits));

async function inThread(bytes: Uint8Array, pieceBytes = 64 * 1024): Promise<Outcome> {
  const body = bodies.begin(0, "test");
  try {
    for (let at = 0; at < bytes.length; at += pieceBytes) body.write(bytes.subarray(at, at + pieceBytes));
    return await outcomeOf(() => body.end(limits));
  } finally {
    body.release();
  }
}

const dataUri = fc
  .record({
    bytes: fc.uint8Array({ minLength: 800, maxLength: 3000 }),
    form: fc.constantFrom("base64", "base64url", "percent", "spaced", "damaged"),
  })
  .map(({ bytes, form }) => {
    const base64 = Buffer.from(bytes).toString("base64");
    const data = {
      base64,
      base64url: Buffer.from(bytes).toString("base64url"),
      percent: [...bytes].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join(""),
      spaced: base64.replace(/.{76}/g, "$&\r\n"),
      damaged: `*${base64}`,
    }[form];
    const uri = `data:video/mp4${form === "percent" ? "" : ";base64"},${data}`;
    return { uri, bytes: form === "damaged" ? undefined : bytes };
  });

/** JSON as programs write it: with spaces or without, with slashes and other characters escaped or not. */
const text = (value: unknown, style: { indent: number; escapes: boolean }) => {
  const plain = JSON.stringify(value, undefined, style.indent) ?? "null";
  return style.escapes
    ? plain
        .replaceAll("/", "\\/")
        .replace(/[é-힣]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)
    : plain;
};
const style = fc.record({ indent: fc.constantFrom(0, 2), escapes: fc.boolean() });

describe("any JSON", () => {
  test("is what JSON.parse makes of it", async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue({ maxDepth: 6 }), style, async (value, how) => {
        const json = text(value, how);
        expect(await here(Buffer.from(json))).toEqual({ text: json, value: JSON.parse(json), files: [] });
      }),
    );
  });

  test("that was damaged is refused when JSON.parse refuses it, and else is what that makes of it", async () => {
    const damaged = fc.tuple(
      fc.jsonValue(),
      fc.nat(),
      fc.constantFrom('"', "{", "]", ",", "\\", "\n", "x", ""),
    );
    await fc.assert(
      fc.asyncProperty(damaged, async ([value, at, character]) => {
        const json = JSON.stringify({ training_data_url: `data:${"a".repeat(1100)}`, value });
        const place = at % json.length;
        const broken = json.slice(0, place) + character + json.slice(place + 1);
        const outcome = await here(Buffer.from(broken));
        let expected: unknown;
        try {
          expected = JSON.parse(broken);
        } catch {
          expect(outcome).toMatchObject({ status: 422 });
          return;
        }
        if ("files" in outcome && outcome.files.length === 0) expect(outcome.value).toEqual(expected);
        else expect(outcome).toHaveProperty("files");
      }),
      { numRuns: 500 },
    );
  });
});

test("data URIs in the places of files become files, whatever they look like", async () => {
  const input = fc.record({ data: dataUri, image: dataUri, other: fc.jsonValue(), how: style });
  await fc.assert(
    fc.asyncProperty(input, async ({ data, image, other, how }) => {
      const value = {
        other,
        training_data_url: data.uri,
        validation: [{ prompt: "a" }, { image_url: image.uri }],
      };
      const outcome = (await here(Buffer.from(text(value, how)))) as JsonBody;
      expect(outcome.files).toHaveLength(2);
      expect(outcome.files).toEqual([
        expect.objectContaining({ place: ["training_data_url"] }),
        expect.objectContaining({ place: ["validation", 1, "image_url"] }),
      ]);
      for (const [index, { bytes }] of [data, image].entries()) {
        const found = outcome.files[index]?.bytes;
        expect(found && Buffer.from(found).toString("hex")).toBe(bytes && Buffer.from(bytes).toString("hex"));
      }
      const words = expect.stringMatching(/^data:[\w/-]+;base64,\.\.\. \(\d+ characters\)$/);
      expect(outcome.value).toEqual({
        other: JSON.parse(JSON.stringify(other)),
        training_data_url: words,
        validation: [{ prompt: "a" }, { image_url: words }],
      });
    }),
  );
});

test("another thread says the same as this one, of good bodies and of bad ones", async () => {
  const body = fc.oneof(
    fc
      .record({ training_data_url: dataUri.map(({ uri }) => uri), rest: fc.jsonValue() })
      .map((value) => JSON.stringify(value)),
    fc.jsonValue().map((value) => JSON.stringify(value)),
    fc.string({ maxLength: 100 }),
    fc.constantFrom("", "[".repeat(101), `[${"1,".repeat(50_000)}1]`, `"${"x".repeat(2 ** 20)}"`, "\u00ff"),
  );
  await fc.assert(
    fc.asyncProperty(body, fc.constantFrom(7, 1000, 65_536), async (json, pieceBytes) => {
      const bytes = Buffer.from(json, json === "\u00ff" ? "latin1" : "utf8");
      expect(await inThread(bytes, Math.max(pieceBytes, bytes.length / 100))).toEqual(await here(bytes));
    }),
    { numRuns: 40 },
  );
});

const refusals: readonly (readonly [name: string, body: string, status: number, reason: RegExp])[] = [
  ["depth 101", "[".repeat(101), 422, /deeper than 100/],
  ["objects without end", `[${"{},".repeat(100_000)}`, 422, /more than 40000 values/],
  [
    "keys without end",
    `{${Array.from({ length: 50_000 }, (_, at) => `"${at}":1`).join()}}`,
    422,
    /more than 40000/,
  ],
  ["a long prompt", JSON.stringify({ prompt: "x".repeat(2 ** 20) }), 413, /expected at most 1048576/],
  [
    "a data URI in another place",
    JSON.stringify({ prompt: `data:,${"x".repeat(2 ** 20)}` }),
    413,
    /got 10485/,
  ],
  [
    "one of two under the same key",
    `{"training_data_url":"data:,${"x".repeat(2 ** 20)}","training_data_url":""}`,
    413,
    /got/,
  ],
];
test.each(refusals)("%s is refused", async (_name, body, status, reason) => {
  expect(await here(Buffer.from(body))).toEqual({ status, reason: expect.stringMatching(reason) });
});

test("100 levels, a list of 10,000 parts, and a short data URI anywhere are read", async () => {
  const deep = "[".repeat(100) + "]".repeat(100);
  const parts = Array.from({ length: 10_000 }, (_, at) => ({
    partNumber: at + 1,
    etag: `"${"0".repeat(32)}"`,
  }));
  const odd = { prompt: `data:,${"x".repeat(2000)}`, training_data_url: "data:,a" };
  for (const json of [deep, JSON.stringify({ parts }), JSON.stringify(odd)]) {
    expect(await here(Buffer.from(json))).toEqual({ text: json, value: JSON.parse(json), files: [] });
  }
});

// Quadratic time would be hours here.
test.each([
  ["blanks", `data:a/b;base64,AA==${" ".repeat(8 * 2 ** 20)}x`, undefined],
  ["percent signs", `data:a/b,${"%41".repeat(4 * 2 ** 20)}`, 4 * 2 ** 20],
  ["half escapes", `data:a/b,${"%4".repeat(4 * 2 ** 20)}`, 8 * 2 ** 20],
  ["parameters", `data:${";".repeat(8 * 2 ** 20)},`, undefined],
])("megabytes of %s are read in one pass", async (_name, uri, length) => {
  const outcome = (await inThread(Buffer.from(JSON.stringify({ training_data_url: uri })))) as JsonBody;
  expect(outcome.files[0]?.bytes?.length).toBe(length);
});
