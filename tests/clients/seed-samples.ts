/** The code samples of the hosted endpoint's page, character by character, under the names of their sections. */

export const samples = {
  "submit a request": `import { fal } from "@fal-ai/client";
const result = await fal.subscribe("fal-ai/ltx-video-trainer", {
input: {
training_data_url: ""
},
logs: true,
onQueueUpdate: (update) => {
if (update.status === "IN_PROGRESS") {
update.logs.map((log) => log.message).forEach(console.log);
}
},
});
console.log(result.data);
console.log(result.requestId);
`,
  "API key": `import { fal } from "@fal-ai/client";
fal.config({
credentials: "YOUR_FAL_KEY"
});
`,
  "submit to the queue": `import { fal } from "@fal-ai/client";
const { request_id } = await fal.queue.submit("fal-ai/ltx-video-trainer", {
input: {
training_data_url: ""
},
webhookUrl: "https://optional.webhook.url/for/results",
});
`,
  "fetch request status": `import { fal } from "@fal-ai/client";
const status = await fal.queue.status("fal-ai/ltx-video-trainer", {
requestId: "764cabcf-b745-4b3e-ae38-1200304cf45b",
logs: true,
});
`,
  "get the result": `import { fal } from "@fal-ai/client";
const result = await fal.queue.result("fal-ai/ltx-video-trainer", {
requestId: "764cabcf-b745-4b3e-ae38-1200304cf45b"
});
console.log(result.data);
console.log(result.requestId);
`,
  "upload files": `import { fal } from "@fal-ai/client";
const file = new File(["Hello, World!"], "hello.txt", { type: "text/plain" });
const url = await fal.storage.upload(file);
`,
} as const;

/** The request id that the samples have in place of one of yours. */
export const sampleRequestId = "764cabcf-b745-4b3e-ae38-1200304cf45b";

/** The line that a program adds so that fal's client talks to this server. */
export function configLine(serverUrl: string): string {
  return `fal.config({ proxyUrl: { url: "${serverUrl}/api/fal/proxy", when: "always" } });`;
}
