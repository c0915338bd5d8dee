/**
 * A webhook receiver that verifies signatures.
 *
 *   LTX_TRAINER_URL=http://localhost:8000 PORT=9000 npx tsx webhook-receiver.ts
 *
 * Submit with `?fal_webhook=http://localhost:9000/` (JavaScript: `webhookUrl`). To deliver to private addresses such as this
 * one, the server needs WEBHOOK_PRIVATE_TARGETS=true.
 */
import { createHash, webcrypto } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";

const server = process.env.LTX_TRAINER_URL ?? "http://localhost:8000";
const toleranceSeconds = 300;
const keysLiveMs = 24 * 3600 * 1000;

let keys: webcrypto.CryptoKey[] = [];
let keysFetched = 0;

/** The server's public keys; kept for a day at most. */
async function publicKeys(): Promise<webcrypto.CryptoKey[]> {
  if (Date.now() - keysFetched < keysLiveMs) return keys;
  const response = await fetch(`${server}/.well-known/jwks.json`);
  const document = (await response.json()) as { keys: { x: string }[] };
  keys = await Promise.all(
    document.keys.map(({ x }) =>
      webcrypto.subtle.importKey("raw", Buffer.from(x, "base64url"), { name: "Ed25519" }, false, ["verify"]),
    ),
  );
  keysFetched = Date.now();
  return keys;
}

/** Whether the server signed exactly these bytes, within the last minutes. */
async function isGenuine(headers: IncomingMessage["headers"], body: Buffer): Promise<boolean> {
  const [requestId, userId, timestamp, signature] = ["request-id", "user-id", "timestamp", "signature"].map(
    (name) => headers[`x-fal-webhook-${name}`],
  );
  if (!requestId || !userId || typeof timestamp !== "string" || typeof signature !== "string") return false;
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= toleranceSeconds)) return false;
  const hash = createHash("sha256").update(body).digest("hex");
  const message = Buffer.from([requestId, userId, timestamp, hash].join("\n"));
  const signed = Buffer.from(signature, "hex");
  for (const key of await publicKeys()) {
    if (await webcrypto.subtle.verify("Ed25519", key, signed, message)) return true;
  }
  return false;
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

const receiver = createServer(async (request, response) => {
  const body = await read(request);
  if (!(await isGenuine(request.headers, body))) {
    response.writeHead(401).end("not signed by the training server\n");
    return;
  }
  const event = JSON.parse(body.toString());
  // Delivery is at least once: deduplicate by request_id if that matters.
  if (event.status === "OK") console.log(event.request_id, "trained:", event.payload.lora_file.url);
  else console.log(event.request_id, "failed:", event.error, JSON.stringify(event.payload));
  response.writeHead(200).end();
});

receiver.listen(Number(process.env.PORT ?? 9000), () => {
  const address = receiver.address();
  console.log(
    `receives webhooks on http://localhost:${typeof address === "object" ? address?.port : address}/`,
  );
});
