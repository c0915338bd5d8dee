/**
 * The same calls with any version of fal's JavaScript clients; the answers as one JSON object on the last line.
 *
 * Every request must go to the server named: one to another host is refused and told.
 */
import { createRequire } from "node:module";

const { packagePath, server, key, by } = JSON.parse(process.argv[2]);
const endpoint = "fal-ai/ltx-video-trainer";
const strangers = [];
const originalFetch = globalThis.fetch;
globalThis.fetch = (resource, options) => {
  const url = String(resource.url ?? resource);
  if (url.startsWith(server)) return originalFetch(resource, options);
  strangers.push(new URL(url).host);
  return Promise.reject(new Error(`not this server: ${url}`));
};

const required = createRequire(import.meta.url)(packagePath);
const fal = required.fal ?? required;
const proxy = `${server}/api/fal/proxy`;
const ways = {
  proxyUrl: { proxyUrl: { url: proxy, when: "always" } },
  requestMiddleware: {
    requestMiddleware: async (request) => ({
      ...request,
      url: proxy,
      headers: { ...request.headers, "x-fal-target-url": request.url },
    }),
  },
};
fal.config({ credentials: key, ...ways[by] });

async function failure(call) {
  try {
    return { value: await call };
  } catch (error) {
    return { status: error.status, name: error.name, body: error.body, message: error.message };
  }
}

const file = new Blob(["a file"], { type: "text/plain" });
const address = await fal.storage.upload(file);
const uploaded = await (await originalFetch(address)).text();
const submitted = await fal.queue.submit(endpoint, {
  input: { training_data_url: new Blob(["a zip"], { type: "application/zip" }) },
});
const requestId = submitted.request_id;
const status = await fal.queue.status(endpoint, { requestId, logs: true });
const cancelled = await failure(fal.queue.cancel?.(endpoint, { requestId }));
const refused = await failure(fal.subscribe(endpoint, { input: { rank: 7 } }));
console.log(JSON.stringify({ address, uploaded, requestId, status, cancelled, refused, strangers }));
process.exit(0);
