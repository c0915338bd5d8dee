/**
 * The body of a webhook.
 *
 * Written as Python's `json.dumps(value, sort_keys=True)` writes it, because the hosted service does: receivers exist that
 * make the bytes again from the parsed value before they check the signature.
 *
 * Source: fal.ai/docs/documentation/model-apis/inference/webhooks.
 */
import type { Delivery } from "../db/webhooks.ts";

/** What a receiver gets, for a good and for a bad end. */
export function webhookPayload({
  requestId,
  state,
  error,
  body,
}: Pick<Delivery, "requestId" | "state" | "error" | "body">): string {
  const isGood = state === "succeeded";
  return pythonJson({
    request_id: requestId,
    gateway_request_id: requestId,
    status: isGood ? "OK" : "ERROR",
    error: isGood ? null : error,
    payload: JSON.parse(body),
  });
}

/** JSON with sorted keys, a blank after each colon and comma, and nothing but ASCII. */
export function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, member]) => `${pythonJson(key)}: ${pythonJson(member)}`).join(", ")}}`;
  }
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
