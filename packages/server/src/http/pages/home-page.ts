/**
 * The page at `/`: how to connect each client, and the state of the service.
 *
 * The server stores keys only as hashes. The page takes a key from the user, or from the # part of the link that the first
 * start prints, and sends it only to this server, for two status calls. Its content policy allows nothing else.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { FastifyInstance } from "fastify";
import type { Config } from "../../config/config.ts";
import type { EndpointRegistry } from "../../endpoints/registry.ts";
import { publicUrlFor } from "../public-url.ts";

const asset = (name: string) =>
  readFileSync(new URL(`../../../assets/${name}`, import.meta.url), "utf8").trimEnd();

type HomePageDeps = { readonly config: Config; readonly endpoints: EndpointRegistry };

export function addHomePage(app: FastifyInstance, { config, endpoints }: HomePageDeps): void {
  const style = asset("home.css");
  const script = asset("home.js");
  const python = { tls: asset("home-python-tls.html"), plain: asset("home-python-plain.html") };
  const page = filled(asset("home.html"), { style, script });
  const policy = [
    "default-src 'none'",
    `style-src '${sourceHash(style)}'`,
    `script-src '${sourceHash(script)}'`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  app.get("/", async (request, reply) => {
    const url = publicUrlFor(request, config);
    const hasTls = url.startsWith("https:");
    const values = { url, host: url.replace(/^https?:\/\//, ""), endpoint: endpoints.primary.name };
    const escaped = Object.fromEntries(
      Object.entries(values).map(([name, value]) => [name, escapeHtml(value)]),
    );
    const body = filled(filled(page, { python: hasTls ? python.tls : python.plain }), escaped);
    return reply
      .type("text/html; charset=utf-8")
      .headers({
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
      })
      .send(body);
  });
}

function filled(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{\{(\w+)\}\}/g, (place, name: string) => values[name] ?? place);
}

function sourceHash(source: string): string {
  return `sha256-${createHash("sha256").update(source).digest("base64")}`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
