/** Bodies that go on after the answer: a little is read, so that the client sees the answer, then the connection is closed. */
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import { limitUnreadBodies, type UnreadLimits } from "./unread-body.ts";

let server: Server;
afterEach(() => void server.closeAllConnections());

async function listen(limits: UnreadLimits): Promise<number> {
  server = createServer((_request, response) => response.writeHead(401).end("no"));
  limitUnreadBodies(server, limits);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return (server.address() as AddressInfo).port;
}

const head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

/** Sends chunks without end, and gives what came back when the connection ends. */
function sendForEver(port: number, everyMs: number): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1");
    socket.write(head);
    const chunk = `1000\r\n${"x".repeat(0x1000)}\r\n`;
    const timer = setInterval(() => socket.write(chunk), everyMs);
    socket.on("data", (piece) => {
      answer += piece;
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      clearInterval(timer);
      resolve(answer);
    });
  });
}

test("one without end is cut after so many bytes, and its answer is seen", async () => {
  const port = await listen({ bytes: 50_000, ms: 600_000 });
  expect(await sendForEver(port, 1)).toMatch(/^HTTP\/1\.1 401 /);
});

test("one that trickles is cut after so much time", async () => {
  const port = await listen({ bytes: 2 ** 30, ms: 300 });
  expect(await sendForEver(port, 50)).toMatch(/^HTTP\/1\.1 401 /);
});

test("one that ends soon leaves the connection to the next request", async () => {
  const port = await listen({ bytes: 2 ** 20, ms: 600_000 });
  const answers = await new Promise<string>((resolve) => {
    let answer = "";
    let isSent = false;
    const socket = connect(port, "127.0.0.1", () => socket.write(head));
    socket.on("data", (piece) => {
      answer += piece;
      if (!isSent) socket.write("2\r\nhi\r\n0\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
      isSent = true;
    });
    socket.on("close", () => resolve(answer));
  });
  expect(answers.match(/HTTP\/1\.1 401/g)).toHaveLength(2);
});
