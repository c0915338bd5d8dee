/** Bodies that come slowly, or not at all: neither kind holds a connection for ever. */
import { type ClientRequest, request } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import Fastify, { type FastifyInstance } from "fastify";
import { afterEach, expect, test } from "vitest";
import { handleErrors } from "../http/error-handler.ts";
import { limitBodyTime } from "./body-deadline.ts";
import { skipBodyParsing, streamOf } from "./body-stream.ts";
import { parseJsonBodies } from "./json-body.ts";

let app: FastifyInstance;
afterEach(() => app.close());

async function listen(add: (scope: FastifyInstance) => void): Promise<number> {
  app = Fastify({ forceCloseConnections: true });
  handleErrors(app);
  await app.register(async (scope) => add(scope));
  await app.listen({ port: 0, host: "127.0.0.1" });
  return (app.server.address() as AddressInfo).port;
}

/** Sends a byte every 50 ms, of 1000 that were announced, and gives the status that ends this. */
function trickle(port: number, path: string): Promise<number | undefined> {
  return new Promise((done) => {
    const sending: ClientRequest = request({
      port,
      path,
      method: "POST",
      headers: { "content-length": "1000" },
    });
    const timer = setInterval(() => sending.write("1"), 50);
    sending.on("response", (response) => {
      clearInterval(timer);
      response.resume();
      done(response.statusCode);
      sending.destroy();
    });
    sending.on("error", () => {
      clearInterval(timer);
      done(undefined);
    });
  });
}

test("a body for the memory is cut off after its time, however busily it trickles; one in time is not, however late its answer", async () => {
  const port = await listen((scope) => {
    limitBodyTime(scope, 1_500);
    parseJsonBodies(scope);
    scope.post("/", async (incoming) => incoming.body);
    scope.post("/slow", async () => {
      await delay(2_000);
      return {};
    });
  });
  expect(await trickle(port, "/")).toBe(408);
  const answer = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: "[1]" });
  expect(await answer.json()).toEqual({ text: "[1]", value: [1], files: [] });
  for (const body of [undefined, "{}"]) {
    const late = await fetch(`http://127.0.0.1:${port}/slow`, { method: "POST", ...(body ? { body } : {}) });
    expect(late.status).toBe(200);
  }
});

test("an upload may take as long as bytes come; one that falls silent is given up", async () => {
  let got = 0;
  const port = await listen((scope) => {
    skipBodyParsing(scope);
    scope.post("/", async (incoming) => {
      for await (const piece of streamOf(incoming, 2_000).body) got += piece.length;
      return {};
    });
  });
  const trickling = trickle(port, "/");
  await expect.poll(() => got, { timeout: 120_000 }).toBeGreaterThan(20);
  await app.close();
  await trickling;
  const again = await listen((scope) => {
    skipBodyParsing(scope);
    scope.post("/", async (incoming) => {
      for await (const _piece of streamOf(incoming, 2_000).body);
      return {};
    });
  });
  const status = await new Promise((done) => {
    const sending = request({ port: again, method: "POST", headers: { "content-length": "1000" } });
    sending.on("response", (response) => {
      response.resume();
      done(response.statusCode);
      sending.destroy();
    });
    sending.on("error", done);
    sending.write("only this");
  });
  expect(status).toBe(408);
});

test("an upload in pieces of one byte is passed on in larger ones", async () => {
  let [pieces, bytes] = [0, 0];
  const port = await listen((scope) => {
    skipBodyParsing(scope);
    scope.post("/", async (incoming) => {
      for await (const piece of streamOf(incoming).body) {
        pieces++;
        bytes += piece.length;
      }
      return {};
    });
  });
  await new Promise<void>((done) => {
    const socket = connect(port, "127.0.0.1");
    socket.write("POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
    socket.write(`${"1\r\nx\r\n".repeat(50_000)}0\r\n\r\n`);
    socket.resume().on("close", () => done());
  });
  expect(bytes).toBe(50_000);
  expect(pieces).toBeLessThan(5_000);
});
