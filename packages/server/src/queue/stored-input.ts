/** What of a body is stored with its request: all that the training needs, and of the rest an excerpt. */
import { shorten, TrainingInput } from "@ltx-trainer/contract";
import { isRecord } from "../body/read-json.ts";

/** A body that was refused is kept only to see what was wrong with it. */
const refusedLength = 4_000;
/** Below this nothing is left out: inputs have a few hundred characters. */
const smallLength = 16_000;
/** Of what the trainer does not read. */
const excerpt = { stringLength: 500, total: 4_000 } as const;

type Given = { readonly text: string; readonly body: unknown };

/** The text for a request that was refused for its input. */
export function refusedInput({ text, body }: Given): string {
  if (text === "") return "null";
  if (text.length <= refusedLength) return text;
  return JSON.stringify(shorten(body, { stringLength: 500, total: refusedLength }));
}

/**
 * The text for a request that was accepted. Of a long one, keys that the trainer does not know are cut, and so are data
 * URIs that cannot be read: large readable ones are files by now.
 */
export function acceptedInput({ text, body }: Given): string {
  if (text.length <= smallLength || !isRecord(body)) return text;
  const known = new Set(Object.keys(TrainingInput.shape));
  const unknown = Object.fromEntries(Object.entries(body).filter(([key]) => !known.has(key)));
  const kept = Object.fromEntries(Object.entries(body).filter(([key]) => known.has(key)));
  const rest = shorten(unknown, excerpt) as Record<string, unknown>;
  return JSON.stringify({
    ...rest,
    ...kept,
    training_data_url: cutUnreadable(kept.training_data_url),
    ...(Array.isArray(kept.validation) ? { validation: kept.validation.map(validationItem) } : {}),
  });
}

/** Its two known keys, and an excerpt of the others. */
function validationItem(item: unknown): unknown {
  if (!isRecord(item)) return item;
  const { prompt, image_url: image, ...unknown } = item;
  return {
    ...(shorten(unknown, excerpt) as Record<string, unknown>),
    prompt,
    ...(image === undefined ? {} : { image_url: cutUnreadable(image) }),
  };
}

function cutUnreadable(value: unknown): unknown {
  return typeof value === "string" && value.length > smallLength && /^data:/i.test(value)
    ? shorten(value, excerpt)
    : value;
}
