/** Encodes a body for storage: the fields that its endpoint reads, and an excerpt of all others. */
import { isRecord, resolved, type SchemaNode, shorten } from "@ltx-trainer/contract";
import { z } from "zod";
import type { Endpoint } from "../endpoints/endpoint.ts";
import { filesIn, withFileAt } from "../wire/files-in.ts";

/** A refused body is kept only to show what was wrong with it. In characters. */
const refusedLength = 4_000;
/** Up to this length nothing is cut. Typical inputs have a few hundred characters. */
const smallLength = 16_000;
/** Of fields that the endpoint does not read. */
const excerpt = { stringLength: 500, total: 4_000 } as const;

type Given = { readonly text: string; readonly body: unknown };

/** The text for a request that was refused for its input. */
export function encodeRefused({ text, body }: Given): string {
  if (text === "") return "null";
  if (text.length <= refusedLength) return text;
  return JSON.stringify(shorten(body, { stringLength: 500, total: refusedLength }));
}

/**
 * The text for an accepted request. In a long text, unknown keys and unreadable data URIs are cut. Large readable data URIs
 * are files by now.
 */
export function encodeAccepted(
  { text, body }: Given,
  { input, files }: Pick<Endpoint, "input" | "files">,
): string {
  if (text.length <= smallLength || !isRecord(body)) return text;
  const kept = withExcerpts(z.toJSONSchema(input, { io: "input" }), body);
  const unreadable = filesIn(kept, files).filter(({ value }) => isUnreadable(value));
  return JSON.stringify(
    unreadable.reduce<unknown>(
      (whole, { place, value }) => withFileAt(whole, place, shorten(value, excerpt)),
      kept,
    ),
  );
}

/** The value with an excerpt of each key that its schema does not have. */
function withExcerpts(root: SchemaNode, value: unknown, node = root): unknown {
  const schema = resolved(root, node);
  if (Array.isArray(value)) {
    const { items } = schema;
    return typeof items === "object" && !Array.isArray(items)
      ? value.map((item) => withExcerpts(root, item, items as SchemaNode))
      : value;
  }
  const { properties } = schema;
  if (!isRecord(value) || properties === undefined) return value;
  const isKnown = (key: string) => Object.hasOwn(properties, key);
  const entries = Object.entries(value);
  const unknown = Object.fromEntries(entries.filter(([key]) => !isKnown(key)));
  const known = entries.filter(([key]) => isKnown(key));
  return {
    ...(shorten(unknown, excerpt) as Record<string, unknown>),
    ...Object.fromEntries(
      known.map(([key, inner]) => [key, withExcerpts(root, inner, properties[key] as SchemaNode)]),
    ),
  };
}

function isUnreadable(value: unknown): boolean {
  return typeof value === "string" && value.length > smallLength && /^data:/i.test(value);
}
