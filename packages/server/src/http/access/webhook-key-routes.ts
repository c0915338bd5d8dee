/** Public keys with which receivers verify webhooks. */
import type { KeyObject } from "node:crypto";
import type { FastifyInstance } from "fastify";
import { publicKey } from "../../webhooks/sign.ts";

/** The second path is that of fal's own host for keys. */
const paths = ["/.well-known/jwks.json", "/rest/.well-known/jwks.json"] as const;

export function addWebhookKeyRoutes(app: FastifyInstance, key: KeyObject): void {
  const keys = { keys: [publicKey(key)] };
  for (const path of paths) {
    app.get(path, async (_request, reply) =>
      reply
        .header("cache-control", "public, max-age=3600")
        .header("access-control-allow-origin", "*")
        .send(keys),
    );
  }
}
