/** Which of our addresses a call means: proxy targets, fal's host names, and everything that must not get through. */
import { expect, test } from "vitest";
import { rewriteUrl } from "./rewrite-url.ts";

const app = "fal-ai/ltx-video-trainer";
const through = (target: string | undefined, url = "/api/fal/proxy") =>
  rewriteUrl({ url, headers: { host: "localhost:8000", "x-fal-target-url": target } }, false);

test.each([
  [
    `https://queue.fal.run/${app}?fal_webhook=https%3A%2F%2Fme%2Fh`,
    `/queue/${app}?fal_webhook=https%3A%2F%2Fme%2Fh`,
  ],
  [`https://queue.fal.run/${app}/requests/1/status?logs=1`, `/queue/${app}/requests/1/status?logs=1`],
  [`https://fal.run/${app}/stream`, `/run/${app}/stream`],
  [
    "https://rest.fal.ai/storage/upload/initiate-multipart?storage_type=fal-cdn-v3",
    "/rest/storage/upload/initiate-multipart?storage_type=fal-cdn-v3",
  ],
  ["https://rest.fal.ai/tokens/", "/rest/tokens/"],
  ["https://rest.alpha.fal.ai/storage/upload/initiate", "/rest/storage/upload/initiate"],
  ["https://rest.alpha.fal.ai/tokens/", "/rest/tokens/"],
  ["https://fal.media/files/upload", "/files/upload"],
  ["https://v3.fal.media/files/upload", "/files/upload"],
])("the proxy takes %s as %s", (target, ours) => {
  expect(through(target)).toBe(ours);
  expect(through(target, "/api/fal/proxy/?x=1")).toBe(ours);
});

test.each([
  undefined,
  "",
  "nonsense",
  "http://queue.fal.run/a/b",
  "https://queue.fal.run.evil.com/a/b",
  "https://queue.fal.run:8443/a/b",
  "https://queue.fal.run@evil.com/a/b",
  "https://me:x@queue.fal.run/a/b",
  "https://127.0.0.1:5432/",
  "https://rest.fal.ai/applications/a/b/queue",
  "https://rest.fal.ai/storage/../applications/a/b/queue",
  "https://rest.alpha.fal.ai/applications/a/b/queue",
  "https://fal.media/metrics",
  "https://v3.fal.media/metrics",
  "https://v3.fal.media/files/../metrics",
  "https://queue.fal.run/",
  "https://constructor/a",
  "file:///etc/passwd",
])("the proxy does not serve %s", (target) => {
  expect(through(target)).toBe("/api/fal/proxy");
});

test.each([
  "https://queue.fal.run/../../rest/tokens",
  "https://queue.fal.run/%2e%2e/%2e%2e/rest/tokens",
  "https://queue.fal.run//rest/tokens",
  "https://queue.fal.run/\\..\\rest\\tokens",
])("path tricks stay on their host's own side: %s", (target) => {
  expect(through(target)).toMatch(/^\/queue\//);
});

test.each([
  ["queue.fal.run", `/${app}`, `/queue/${app}`],
  ["QUEUE.FAL.RUN", `/${app}`, `/queue/${app}`],
  ["fal.run", `/${app}`, `/run/${app}`],
  ["rest.fal.ai", "/storage/auth/token", "/rest/storage/auth/token"],
  ["rest.fal.ai", "/.well-known/jwks.json", "/.well-known/jwks.json"],
  ["rest.alpha.fal.ai", "/storage/auth/token", "/rest/storage/auth/token"],
  ["v3b.fal.media", "/files/b/a/c", "/files/b/a/c"],
  ["fal.media", "/files/upload", "/files/upload"],
  ["queue.falrun.com", `/${app}`, `/queue/${app}`],
  ["falrun.com", `/${app}`, `/run/${app}`],
  ["api.fal.ai", "/v1/models/requests/by-endpoint", "/v1/models/requests/by-endpoint"],
  ["localhost:8000", `/queue/${app}`, `/queue/${app}`],
  ["constructor", "/healthz", "/healthz"],
])("under the name %s, %s is %s", (host, url, ours) => {
  expect(rewriteUrl({ url, headers: { host } }, false)).toBe(ours);
});

test("a name in X-Forwarded-Host counts only behind a proxy that is trusted", () => {
  const request = { url: `/${app}`, headers: { host: "inside", "x-forwarded-host": "queue.fal.run" } };
  expect(rewriteUrl(request, false)).toBe(`/${app}`);
  expect(rewriteUrl(request, true)).toBe(`/queue/${app}`);
});
