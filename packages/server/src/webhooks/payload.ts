/**
 * Builds the body of a webhook.
 *
 * It is formatted like Python's `json.dumps(value, sort_keys=True)`, as on the hosted service: some receivers serialize the parsed
 * value again before they check the signature.
 *
 * Source: fal.ai/docs/documentation/model-apis/inference/webhooks.
 */
import type { Delivery } from "../db/webhooks.ts";

/** Returns the payload of a succeeded or failed request. */
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

/** Something left to write. */
type Left = { readonly text: string } | { readonly value: unknown };

/**
 * Formats JSON with sorted keys, a space after each colon and comma, and ASCII only.
 *
 * Not recursive: a payload repeats client input, which may be nested deeper than the stack allows.
 */
export function pythonJson(value: unknown): string {
  const pieces: string[] = [];
  // The next one is last.
  const left: Left[] = [{ value }];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    if ("text" in next) pieces.push(next.text);
    else if (typeof next.value !== "object" || next.value === null) pieces.push(asciiJson(next.value));
    else for (const part of partsOf(next.value).toReversed()) left.push(part);
  }
  return pieces.join("");
}

function partsOf(value: object): Left[] {
  if (Array.isArray(value)) {
    const items = value.flatMap((item: unknown) => [{ text: ", " }, { value: item }]).slice(1);
    return [{ text: "[" }, ...items, { text: "]" }];
  }
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([key, member]) => [
      { text: ", " },
      { text: `${asciiJson(key)}: ` },
      { value: member as unknown },
    ])
    .slice(1);
  return [{ text: "{" }, ...members, { text: "}" }];
}

function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
