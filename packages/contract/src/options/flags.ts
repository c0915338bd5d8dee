/**
 * From a schema's fields to command line flags: name, type, limits, default and help, all taken from the schema.
 *
 * A flag only turns text into a value of the right type; whether the value is allowed is the schema's business.
 */
import { z } from "zod";
import { AppError } from "../errors.ts";

export type FlagKind = "text" | "number" | "integer" | "boolean" | "list" | "objects";

export type Flag = {
  /** Field name in the schema: `number_of_steps`. */
  readonly field: string;
  /** `--number-of-steps`. */
  readonly flag: string;
  /** Comes after the flag: `<number>`; empty for booleans. */
  readonly placeholder: string;
  readonly kind: FlagKind;
  readonly description: string;
  /** Heading in the help. */
  readonly group: string;
  readonly required: boolean;
  /** Absent when the program decides. */
  readonly fallback: unknown;
  /** Allowed values, or undefined when they are not a list. */
  readonly choices: readonly (string | number)[] | undefined;
  /** `1 to 100`, or undefined without limits. */
  readonly range: string | undefined;
};

type Property = z.core.JSONSchema.BaseSchema & { readonly group?: string };

/** One flag per field, in the order of the schema. */
export function flagsOf(fields: Readonly<Record<string, z.ZodType>>): Flag[] {
  return Object.entries(fields).map(([field, schema]) => {
    const property = z.toJSONSchema(schema, { io: "output" }) as Property;
    const kind = kindOf(property);
    const choices = choicesOf(property);
    return {
      field,
      flag: `--${field.replaceAll("_", "-")}`,
      placeholder: placeholderOf(kind, choices),
      kind,
      description: property.description ?? "",
      group: property.group ?? "Other",
      required: !schema.safeParse(undefined).success,
      fallback: property.default,
      choices,
      range: rangeOf(property),
    };
  });
}

/**
 * The value that a flag's text stands for. Lists are separated by commas; objects are JSON, or bare text for the field
 * that is required.
 *
 * @throws AppError `invalid_options` when the text is no such value
 */
export function flagValue(flag: Flag, text: string): unknown {
  switch (flag.kind) {
    case "integer":
    case "number":
      return numberOf(flag, text);
    case "boolean":
      return text === "true";
    case "list":
      return text.split(",").map((part) => part.trim());
    case "objects":
      return text.trimStart().startsWith("{") ? jsonOf(flag, text) : { prompt: text };
    case "text":
      return text;
  }
}

function numberOf(flag: Flag, text: string): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (Number.isFinite(value)) return value;
  throw new AppError({
    code: "invalid_options",
    message: `${flag.flag}: got "${text}", expected a number${flag.range === undefined ? "" : ` (${flag.range})`}`,
    facts: { field: flag.field, value: text },
  });
}

function jsonOf(flag: Flag, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError({
      code: "invalid_options",
      message: `${flag.flag}: got text that starts like JSON but is not, expected {"prompt": "...", "image_url": "...", "reference_url": "..."}`,
      facts: { field: flag.field, value: text },
      cause,
    });
  }
}

function kindOf(property: Property): FlagKind {
  if (property.type === "array") {
    const { items } = property;
    const isObject = typeof items === "object" && !Array.isArray(items) && !("enum" in items);
    return isObject ? "objects" : "list";
  }
  if (property.type === "boolean") return "boolean";
  if (property.type === "integer" || property.type === "number") return property.type;
  return "text";
}

function choicesOf(property: Property): readonly (string | number)[] | undefined {
  const items = property.type === "array" ? (property.items as Property) : property;
  return items.enum?.filter((value) => typeof value === "string" || typeof value === "number");
}

function placeholderOf(kind: FlagKind, choices: readonly (string | number)[] | undefined): string {
  if (kind === "boolean") return "";
  if (kind === "list") return "<a,b,...>";
  if (kind === "objects") return "<prompt or JSON>";
  if (choices !== undefined) return `<${choices.join("|")}>`;
  return kind === "text" ? "<text>" : "<number>";
}

function rangeOf(property: Property): string | undefined {
  const low = property.minimum ?? property.exclusiveMinimum;
  // zod writes the largest safe integer for every whole number; that is not a limit worth telling.
  const high = property.maximum === Number.MAX_SAFE_INTEGER ? undefined : property.maximum;
  const atLeast = property.exclusiveMinimum === undefined ? `from ${low}` : `more than ${low}`;
  if (low === undefined || low === Number.MIN_SAFE_INTEGER)
    return high === undefined ? undefined : `up to ${high}`;
  return high === undefined ? atLeast : `${low} to ${high}`;
}
