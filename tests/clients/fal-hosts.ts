/**
 * The service under TLS, for clients that speak nothing else: at an address of its own, and as fal's own hosts through a
 * proxy that leads all of them here. Certificates are made for the occasion.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer, request as forward, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { falHosts } from "../../packages/server/src/wire/public-urls.ts";

const names = ["localhost", ...Object.keys(falHosts)];

export type TlsFront = {
  /** `localhost:9443`. */
  readonly host: string;
  /** An HTTP proxy under which every host is the service. */
  readonly proxy: string;
  /** Path of the certificate to trust. */
  readonly certificate: string;
  close(): void;
};

/**
 * Stands in front of a service that trusts it (`TRUST_PROXY`).
 *
 * @param folder for key and certificate
 */
export async function startTlsFront(serviceUrl: string, folder: string): Promise<TlsFront> {
  const certificate = join(folder, "certificate.pem");
  const key = join(folder, "key.pem");
  execFileSync(
    "openssl",
    [
      ...[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
      ],
      ...[
        "-subj",
        "/CN=localhost",
        "-addext",
        `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")}`,
      ],
      ...["-keyout", key, "-out", certificate],
    ],
    { stdio: "ignore" },
  );
  const tls = createTlsServer(
    { key: readFileSync(key), cert: readFileSync(certificate) },
    (incoming, answer) => passOn(incoming, answer, serviceUrl),
  );
  const tlsPort = await listen(tls);
  const proxy = createServer().on("connect", (_request, socket, head: Buffer) => {
    const inside = connect(tlsPort, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      inside.write(head);
      inside.pipe(socket).pipe(inside);
    });
    for (const side of [inside, socket]) side.on("error", () => inside.destroy());
  });
  const proxyPort = await listen(proxy);
  return {
    host: `localhost:${tlsPort}`,
    proxy: `http://localhost:${proxyPort}`,
    certificate,
    close: () => {
      tls.close();
      proxy.close();
      tls.closeAllConnections();
    },
  };
}

function passOn(incoming: IncomingMessage, answer: ServerResponse, serviceUrl: string): void {
  const headers = { ...incoming.headers, "x-forwarded-proto": "https" };
  const inside = forward(
    `${serviceUrl}${incoming.url}`,
    { method: incoming.method, headers, agent: false },
    (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    },
  );
  inside.on("error", () => answer.destroy());
  answer.on("close", () => inside.destroy());
  incoming.pipe(inside);
}

async function listen(server: {
  listen(port: number, host: string, done: () => void): unknown;
  address(): unknown;
}) {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return (server.address() as AddressInfo).port;
}
