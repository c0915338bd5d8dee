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

test("secrets in headers are not written, whatever the field is called", () => {
  const headers = {
    authorization: "Key a:SECRET",
    cookie: "SECRET",
    referer: "https://page.example/?fal_webhook=https://hooks.example/SECRET",
    "x-fal-target-url": "https://queue.fal.run/SECRET",
    "X-Fal-Webhook-Signature": "SECRET",
    "content-type": "text/plain",
  };
  const lines = linesOf((log) => {
    log.info({ headers }, "headers");
    log.info({ call: { headers } }, "nested");
    log.info({ a: { call: { headers } } }, "deeper");
    log.child({ headers }).info("child");
    log.info({ body: "SECRET", call: { input: { a: "SECRET" }, parameters: ["SECRET"] } }, "bodies");
  });
  expect(JSON.stringify(lines)).not.toContain("SECRET");
  expect(lines[0]?.headers).toMatchObject({ "content-type": "text/plain", referer: "[secret]" });
});

test.each([
  ["?fal_webhook=https%3A%2F%2Fhooks.example%2Fservices%2FSECRET%3Ftoken%3DSECRET", "?fal_webhook=[secret]"],
  ["?fal_webhook=https://hooks.example/SECRET?token=SECRET&logs=1", "?fal_webhook=[secret]&logs=1"],
  ['?fal_webhook=https://hooks.example/"SECRET', "?fal_webhook=[secret]"],
  ["?fal%5Fwebhook=https%253A%252F%252Fhooks.example%252FSECRET", "?[secret]"],
  ["?FAL_WEBHOOK=SECRET&limit=5", "?FAL_WEBHOOK=[secret]&limit=5"],
  ["?signature=SECRET&logs=1&fal_jwt_token=SECRET", "?signature=[secret]&logs=1&fal_jwt_token=[secret]"],
  ["?X-Amz-Credential=SECRET&X-Amz-Signature=SECRET", "?X-Amz-Credential=[secret]&X-Amz-Signature=[secret]"],
  ["?SECRET", "?[secret]"],
])("of the query %s a line says %s", (query, shown) => {
  const [line] = linesOf((log) =>
    log.info({ req: { method: "POST", url: `/queue/a/b${query}` } }, "answered"),
  );
  expect(line).toMatchObject({ req: { method: "POST", url: `/queue/a/b${shown}` } });
});

test("secrets in addresses are not written when they stand in messages, errors, causes and fields", () => {
  const address = "https://user:SECRET@files.example/data/x.zip?X-Amz-Signature=SECRET&a=SECRET";
  const cause = new Error(`Request cannot be constructed from a URL that includes credentials: ${address}`);
  const lines = linesOf((log) => {
    log.error({ err: new Error(`could not fetch ${address}`, { cause }) }, "failed");
    log.error(new Error(address));
    log.warn({ error: new AggregateError([cause], address) }, `gave up on ${address}`);
    log.warn("database: postgres://ltx:SECRET@db.example/ltx is away");
    log.warn("POST /queue/a/b?fal_webhook=https%3A%2F%2Fhooks.example%2FSECRET: no such address");
    log.warn("open http://localhost:8000/#key=SECRET or send Key 1234-ab:SECRET or Bearer abcdefgSECRET");
    log.warn({ note: "at https%3A%2F%2Fuser%3ASECRET%40files.example" }, "encoded");
  });
  expect(JSON.stringify(lines)).not.toContain("SECRET");
  expect(lines).toHaveLength(7);
  expect(JSON.stringify(lines)).toContain("https://[secret]@files.example/data/x.zip");
});

test("an error is written with what failed, and without the rows and parameters that it quotes", () => {
  const error = Object.assign(new Error('violates check constraint "priority"'), {
    code: "23514",
    table: "requests",
    detail: "Failing row contains (1, https://hooks.example/SECRET)",
    where: "unnamed portal with parameters: $1 = 'SECRET'",
    parameters: ["SECRET"],
    config: { headers: { authorization: "SECRET" } },
  });
  const [line] = linesOf((log) => log.error({ err: error }, "failed"));
  expect(JSON.stringify(line)).not.toContain("SECRET");
  expect(line).toMatchObject({
    err: { type: "Error", code: "23514", table: "requests", message: error.message },
  });
});
