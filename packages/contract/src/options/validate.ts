/**
 * Checking options at the boundary: one place that turns schema issues into sentences a user can act on.
 *
 * Form of a sentence: `number_of_frames: got 200, expected at most 121`.
 */
import { z } from "zod";
import { AppError } from "../errors.ts";
import { resolved, type SchemaNode } from "./schema-node.ts";

/** One thing wrong with the options. `path` is written as in code: `validation[0].prompt`. */
export type OptionProblem = { readonly path: string; readonly message: string };

/**
 * The checked value with defaults filled in.
 *
 * @throws AppError `invalid_options`, with one sentence per problem and the problems as `facts.problems`
 */
export function parseOptions<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  remedy?: string,
): z.output<Schema> {
  const result = schema.safeParse(input, { reportInput: true });
  if (result.success) return result.data;
  const problems = result.error.issues.map(describeIssue);
  throw new AppError({
    code: "invalid_options",
    message: problems.map((problem) => problem.message).join("\n"),
    remedy,
    facts: { problems },
  });
}

/** One issue as `where: got <actual>, expected <rule>`. */
export function describeIssue(issue: z.core.$ZodIssue): OptionProblem {
  const path = pathText(issue.path);
  const where = path === "" ? "options" : path;
  if (issue.code === "custom") return { path, message: `${where}: ${issue.message}` };
  if (issue.code === "invalid_type" && issue.input === undefined) {
    return { path, message: `${where}: missing, expected ${typeName(issue.expected)}` };
  }
  const got = issue.code === "too_big" || issue.code === "too_small" ? measured(issue) : shown(issue.input);
  return { path, message: `${where}: got ${got}, expected ${expectation(issue)}` };
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return typeName(issue.expected);
    case "invalid_value":
      return issue.values.length === 1
        ? shown(issue.values[0])
        : `one of ${issue.values.map(String).join(", ")}`;
    case "too_big":
      return `${issue.inclusive === false ? "less than" : "at most"} ${String(issue.maximum)}${unit(issue.origin)}`;
    case "too_small":
      return `${issue.inclusive === false ? "more than" : "at least"} ${String(issue.minimum)}${unit(issue.origin)}`;
    default:
      return issue.message;
  }
}

/** Keys of `input` that `schema` does not know and will drop, nested ones as `validation[0].seed`. */
export function unknownKeys(schema: z.ZodType, input: unknown): string[] {
  return collectUnknown(z.toJSONSchema(schema, { io: "input" }), input, []);
}

function collectUnknown(
  root: SchemaNode,
  input: unknown,
  path: readonly PropertyKey[],
  node = root,
): string[] {
  const schema = resolved(root, node);
  if (Array.isArray(input)) {
    const items = schema.items;
    if (typeof items !== "object" || Array.isArray(items)) return [];
    return input.flatMap((item, index) => collectUnknown(root, item, [...path, index], items as SchemaNode));
  }
  if (typeof input !== "object" || input === null || schema.properties === undefined) return [];
  const { properties } = schema;
  return Object.entries(input).flatMap(([key, value]) => {
    const property = Object.hasOwn(properties, key) ? properties[key] : undefined;
    if (property === undefined) return [pathText([...path, key])];
    return typeof property === "object" ? collectUnknown(root, value, [...path, key], property) : [];
  });
}

function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((part, index) =>
      typeof part === "number" ? `[${part}]` : `${index === 0 ? "" : "."}${String(part)}`,
    )
    .join("");
}

function typeName(expected: string): string {
  const names: Record<string, string> = {
    int: "a whole number",
    number: "a number",
    string: "text",
    boolean: "true or false",
  };
  return names[expected] ?? `a value of type ${expected}`;
}

function unit(origin: string): string {
  return origin === "array" ? " items" : origin === "string" ? " characters" : "";
}

/** What was counted: the value of a number, the length of a list or text. */
function measured(issue: { readonly origin: string; readonly input?: unknown }): string {
  const { input } = issue;
  return typeof input === "string" || Array.isArray(input)
    ? `${input.length}${unit(issue.origin)}`
    : shown(input);
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
