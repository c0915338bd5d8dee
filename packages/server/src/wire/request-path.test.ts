/** Addresses of the queue, the present and the old forms, and what is none. */
import { expect, test } from "vitest";
import { parseRequestPath } from "./request-path.ts";

const endpoint = "fal-ai/ltx-video-trainer";

test.each([
  [endpoint, { endpoint, path: "" }],
  [`${endpoint}/`, { endpoint, path: "" }],
  [`${endpoint}/i2v`, { endpoint, path: "i2v" }],
  [`${endpoint}/requests/1`, { endpoint, path: "", request: { id: "1", part: "result" } }],
  [`${endpoint}/requests/1/response`, { endpoint, path: "", request: { id: "1", part: "result" } }],
  [`${endpoint}/requests/1/status/`, { endpoint, path: "", request: { id: "1", part: "status" } }],
  [`${endpoint}/requests/1/status/stream`, { endpoint, path: "", request: { id: "1", part: "stream" } }],
  [`${endpoint}/i2v/requests/1/cancel`, { endpoint, path: "i2v", request: { id: "1", part: "cancel" } }],
])("%s is understood", (path, parsed) => {
  expect(parseRequestPath(path)).toEqual(parsed);
});

test.each([
  "",
  "fal-ai",
  "/",
  `${endpoint}/requests`,
  `${endpoint}/requests/1/other`,
  `${endpoint}/requests/1/status/x`,
])("%s is no address", (path) => {
  expect(parseRequestPath(path)).toBeUndefined();
});
