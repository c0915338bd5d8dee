/** The body of a webhook, byte for byte as Python writes it. */
import { expect, test } from "vitest";
import { pythonJson, webhookPayload } from "./payload.ts";

test("a good end gives the output, a bad one the error and its body", () => {
  const request = { requestId: "r1", error: null } as const;
  expect(
    webhookPayload({ ...request, state: "succeeded", body: '{"video":null,"lora_file":{"url":"u"}}' }),
  ).toBe(
    '{"error": null, "gateway_request_id": "r1", "payload": {"lora_file": {"url": "u"}, "video": null}, "request_id": "r1", "status": "OK"}',
  );
  const error = "Unexpected status code: 422";
  expect(webhookPayload({ requestId: "r1", state: "failed", error, body: '{"detail":[]}' })).toBe(
    '{"error": "Unexpected status code: 422", "gateway_request_id": "r1", "payload": {"detail": []}, "request_id": "r1", "status": "ERROR"}',
  );
});

// Written by Python 3.11: json.dumps(value, sort_keys=True).
test("nesting deeper than the stack is written too", () => {
  const deep = `${'{"a": ['.repeat(50_000)}1${"]}".repeat(50_000)}`;
  expect(pythonJson(JSON.parse(deep))).toBe(deep);
});

test.each([
  [{ b: [1, 2.5, true, null], a: {}, B: [] }, '{"B": [], "a": {}, "b": [1, 2.5, true, null]}'],
  ['é\u2028😀\u007f\n"\\/', '"\\u00e9\\u2028\\ud83d\\ude00\\u007f\\n\\"\\\\/"'],
])("%j is written as Python writes it", (value, text) => {
  expect(pythonJson(value)).toBe(text);
});
