/** A receiver of webhooks for tests: a real HTTP server that remembers what came, and answers as it is told. */
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export type Received = { readonly headers: IncomingHttpHeaders; readonly body: string; readonly url: string };

export class Receiver {
  readonly received: Received[] = [];
  /** Statuses of the next answers; 200 when there is none left. */
  readonly answers: number[] = [];
  /** Whether calls are taken and never answered. */
  isSilent = false;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer(async (request, response) => {
      const pieces: Buffer[] = [];
      for await (const piece of request) pieces.push(piece as Buffer);
      const body = Buffer.concat(pieces).toString("utf8");
      this.received.push({ headers: request.headers, body, url: request.url ?? "" });
      if (this.isSilent) return;
      const status = this.answers.shift() ?? 200;
      response
        .writeHead(status, status >= 300 && status < 400 ? { location: "/elsewhere" } : {})
        .end("thanks");
    });
  }

  static async start(): Promise<Receiver> {
    const receiver = new Receiver();
    await new Promise<void>((resolve) => receiver.#server.listen(0, "127.0.0.1", resolve));
    return receiver;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
