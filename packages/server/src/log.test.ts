/** The log's lines: JSON, and nothing in them that opens a door. */
import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { makeLogger } from "./log.ts";

function linesOf(write: (log: ReturnType<typeof makeLogger>) => void): Record<string, unknown>[] {
  const lines: string[] = [];
  const destination = new Writable({
    write: (piece, _encoding, done) => {
      lines.push(String(piece));
      done();
    },
  });
  write(makeLogger("info", destination));
  return lines.map((line) => JSON.parse(line));
}

test("one object a line, with level and time", () => {
  const [line] = linesOf((log) => log.info({ request: "r" }, "training starts"));
  expect(line).toEqual({ level: "info", time: expect.any(String), request: "r", msg: "training starts" });
});

test("secrets in headers and addresses are not written", () => {
  const url = "/files/b/1/a.zip?signature=SECRET&x=1&fal_jwt_token=SECRET";
  const lines = linesOf((log) => {
    log.info({ req: { method: "GET", url, headers: { authorization: "Key a:SECRET" } } }, "answered");
    log.info({ headers: { authorization: "Key a:SECRET" } }, "headers");
    log.info({ call: { headers: { cookie: "SECRET" } } }, "nested");
  });
  expect(JSON.stringify(lines)).not.toContain("SECRET");
  expect(lines[0]).toMatchObject({
    req: { url: "/files/b/1/a.zip?signature=[secret]&x=1&fal_jwt_token=[secret]" },
  });
});
