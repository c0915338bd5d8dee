/** Lines of a program that prints too much at once: cut where they are too long, and left in the pipe where they are too many. */
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { eachLine, type LineLimits } from "./each-line.ts";

async function linesOf(pieces: Iterable<Buffer>, limits: LineLimits): Promise<string[]> {
  const lines: string[] = [];
  await eachLine(Readable.from(pieces), limits, (line) => void lines.push(line));
  return lines;
}

test("lines are whole, whatever the pieces they come in", async () => {
  const text = 'a\r\n{"ü":"\u2028"}\n\n日本\rb\nlast';
  const bytes = Buffer.from(text);
  for (const size of [1, 2, 3, 100]) {
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
      bytes.subarray(index * size, (index + 1) * size),
    );
    expect(await linesOf(pieces, { longest: 100 })).toEqual(["a", '{"ü":"\u2028"}', "", "日本\rb", "last"]);
  }
});

test("a line that does not end is cut, however long it is", async () => {
  function* endless() {
    for (let count = 0; count < 600; count++) yield Buffer.alloc(2 ** 20, "a");
    yield Buffer.from("\nnext\n");
  }
  expect(await linesOf(endless(), { longest: 1000 })).toEqual(["a".repeat(1000), "next"]);
});

test("of too many lines the rest stays in the pipe, and other work comes between", async () => {
  let pieces = 0;
  let turns = 0;
  function* fast() {
    for (; pieces < 3; pieces++) yield Buffer.from("{\n".repeat(1_000));
  }
  const timer = setInterval(() => turns++, 1);
  const lines = await linesOf(fast(), { longest: 1000, perSecond: 10_000 });
  clearInterval(timer);
  expect(lines).toHaveLength(3_000);
  expect(turns).toBeGreaterThan(10);
});
