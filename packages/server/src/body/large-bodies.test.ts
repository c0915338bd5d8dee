/** Large bodies over HTTP: one at a time here, the rest told to come again, and the place free again after each end. */
import { request } from "node:http";
import { type AddressInfo, connect } from "node:net";
import Fastify, { type FastifyInstance } from "fastify";
import { pino } from "pino";
import { afterEach, expect, test, vi } from "vitest";
import { handleErrors } from "../http/error-handler.ts";
import { Memory } from "./gathered.ts";
import { expectBody, jsonOf, parseJsonBodies } from "./json-body.ts";
import { LargeBodies } from "./large-bodies.ts";
import { limitUnreadBodies } from "./unread-body.ts";

vi.setConfig({ testTimeout: 600_000 });

let app: FastifyInstance;
let url = "";
afterEach(() => app.close());

async function listen(limits = { most: 1, timeMs: 60_000 }, memory = new Memory(2 ** 20)): Promise<void> {
  const log = pino({ level: "silent" });
  app = Fastify({ forceCloseConnections: true, bodyLimit: 16 * 2 ** 20 });
  limitUnreadBodies(app.server);
  handleErrors(app);
  const bodies = new LargeBodies(log, limits);
  app.addHook("onClose", async () => bodies.close());
  await app.register(async (scope) => {
    parseJsonBodies(scope, { largeBodies: bodies, memory });
    scope.addHook("onRequest", async (incoming) => {
      const userId = incoming.headers.authorization ?? "";
      expectBody(incoming, { files: [["training_data_url"]], userId });
    });
    scope.post("/", async (incoming) => jsonOf(incoming).files.map(({ bytes }) => bytes?.length));
  });
  await app.listen({ port: 0, host: "127.0.0.1" });
  url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/`;
}

const large = JSON.stringify({
  training_data_url: `data:video/mp4;base64,${Buffer.alloc(3 * 2 ** 20).toString("base64")}`,
});
const send = (body: string | ReadableStream, authorization = "") =>
  fetch(url, { method: "POST", body, headers: { authorization }, duplex: "half" } as RequestInit);

/** Announces a large body, sends a little of it, and stops there. */
function begin() {
  const sending = request(url, { method: "POST", headers: { "content-length": large.length } });
  sending.on("error", () => {});
  sending.write(large.slice(0, 1000));
  return sending;
}

test("a second one is told to come again, and may when the first is read or has gone away", async () => {
  await listen();
  const first = begin();
  await expect.poll(async () => (await send(large)).status, { timeout: 120_000 }).toBe(503);
  const refused = await send(large);
  expect(refused.headers.get("retry-after")).toBe("5");
  expect(await refused.json()).toEqual({ detail: expect.stringContaining("upload the file first") });
  expect((await send("{}")).status).toBe(200);
  first.end(large.slice(1000));
  await expect.poll(async () => (await send(large)).status, { timeout: 120_000 }).toBe(200);
  const gone = begin();
  await expect.poll(async () => (await send(large)).status, { timeout: 120_000 }).toBe(503);
  gone.destroy();
  await expect.poll(async () => (await send(large)).status, { timeout: 120_000 }).toBe(200);
});

test("one without a length is read the same, and one above the limit is refused with an answer", async () => {
  await listen();
  const chunks = (text: string) => new Blob([text]).stream();
  expect(await (await send(chunks(large))).json()).toEqual([3 * 2 ** 20]);
  for (const body of ["x".repeat(17 * 2 ** 20), chunks("x".repeat(17 * 2 ** 20))]) {
    const answer = await send(body);
    expect(answer.status).toBe(413);
    expect(await answer.json()).toMatchObject({
      detail: expect.stringContaining("expected at most 16777216"),
    });
  }
});

test("a thread that takes too long is ended, and the place is free", async () => {
  await listen({ most: 1, timeMs: 0 });
  for (let round = 0; round < 3; round++) {
    const answer = await send(large);
    expect([answer.status, await answer.json()]).toEqual([
      503,
      { detail: "The body could not be read; try again" },
    ]);
  }
});

test("the server answers others while one is read", async () => {
  await listen();
  const order: string[] = [];
  const data = JSON.stringify({ training_data_url: `data:a/b;base64,${"AAAA".repeat(3 * 2 ** 20)}` });
  await new Promise<void>((resolve) => {
    const sending = request(url, { method: "POST" }, (response) => {
      order.push(`large ${response.statusCode}`);
      response.resume().once("end", resolve);
    });
    sending.end(data, async () => order.push(`other ${(await send("{}")).status}`));
  });
  expect(order).toEqual(["other 200", "large 200"]);
});

test("nobody gets more than half of the places", async () => {
  await listen({ most: 2, timeMs: 60_000 });
  const first = begin();
  await expect.poll(async () => (await send(large)).status, { timeout: 120_000 }).toBe(503);
  expect((await send(large, "Key other")).status).toBe(200);
  first.destroy();
});

test("small ones share their memory, and give it back", async () => {
  await listen();
  const most = `"${"x".repeat(2 ** 20 - 2)}"`;
  const first = request(url, { method: "POST", headers: { "content-length": 1001 } });
  first.on("error", () => {});
  first.write(" ".repeat(1000));
  await expect.poll(async () => (await send(most)).status, { timeout: 120_000 }).toBe(503);
  first.end(" ");
  await expect.poll(async () => (await send(most)).status, { timeout: 120_000 }).toBe(200);
  for (let round = 0; round < 3; round++) expect((await send(most)).status).toBe(200);
});

test("one of a hundred thousand pieces is read as any other", async () => {
  await listen();
  const json = JSON.stringify({ training_data_url: `data:a/b;base64,${"AAAA".repeat(25_000)}` });
  const answer = await new Promise<string>((resolve) => {
    let text = "";
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.write("POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
    socket.write(`${[...json].map((character) => `1\r\n${character}\r\n`).join("")}0\r\n\r\n`);
    socket.on("data", (piece) => {
      text += piece;
    });
    socket.on("close", () => resolve(text));
  });
  expect(answer).toMatch(/^HTTP\/1\.1 200 [\s\S]*\[75000\]$/);
});
