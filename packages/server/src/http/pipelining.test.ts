/** Requests that come before the answer to the one before: some are served, and a flood ends the connection. */
import { Agent, createServer, get, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { limitPipelining } from "./pipelining.ts";

const most = 8;
let server: Server;
let port: number;
let served = 0;
beforeEach(async () => {
  served = 0;
  server = createServer((_request, response) => {
    served++;
    response.end("yes");
  });
  limitPipelining(server, most);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  port = (server.address() as AddressInfo).port;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

/** What comes back until the connection ends; ours asks for that in its last request. */
function send(count: number): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1");
    const one = "GET / HTTP/1.1\r\nhost: a\r\n";
    socket.write([`${one}\r\n`.repeat(count - 1), one, "connection: close\r\n\r\n"].join(""));
    socket.on("data", (piece) => {
      answer += piece;
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(answer));
  });
}

test("some requests ahead of their answers are served in order", async () => {
  expect((await send(most)).match(/HTTP\/1.1 200/g)).toHaveLength(most);
});

test("of a flood the first are served, the connection ends, and others go on", async () => {
  await send(1_500);
  expect(served).toBe(most);
  expect((await send(1)).match(/HTTP\/1.1 200/g)).toHaveLength(1);
});

test("a connection carries any number of requests, one after the other", async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set<number | undefined>();
  for (let count = 0; count < 5 * most; count++) {
    await new Promise<void>((done) => {
      const request = get({ port, host: "127.0.0.1", agent }, (response) => {
        ports.add(response.socket.localPort);
        response.resume().once("end", () => setImmediate(done));
      });
      request.once("error", done);
    });
  }
  agent.destroy();
  expect(served).toBe(5 * most);
  expect(ports.size).toBe(1);
});
