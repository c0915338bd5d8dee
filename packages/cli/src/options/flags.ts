/**
 * Command line flags made from the schema's fields: one flag per field, under the schema's headings, with its defaults.
 *
 * Flags hold only what the user typed. Defaults and limits are the schema's business, once everything is together.
 */
import {
  AppError,
  type FieldGroup,
  type Flag,
  fieldGroups,
  flagsOf,
  flagValue,
  type OptionProblem,
  parseOptions,
} from "@ltx-trainer/contract";
import { type Command, InvalidArgumentError, Option } from "commander";

type Fields = Parameters<typeof flagsOf>[0];
type Schema = Parameters<typeof parseOptions>[0];

/** Adds a flag for every field but those in `without`, which the command takes in another way. */
export function addFlags(command: Command, fields: Fields, without: readonly string[] = []): void {
  const order = (flag: Flag) => fieldGroups.indexOf(flag.group as FieldGroup);
  const flags = flagsOf(fields).filter(({ field }) => !without.includes(field));
  for (const flag of flags.toSorted((a, b) => order(a) - order(b))) {
    for (const option of optionsOf(flag)) command.addOption(option);
  }
}

/** What the user typed, by field name. */
export function typedFields(command: Command, fields: Fields): Record<string, unknown> {
  const typed: Record<string, unknown> = {};
  for (const { field } of flagsOf(fields)) {
    const value = command.getOptionValue(attributeOf(field)) as unknown;
    if (value !== undefined) typed[field] = value;
  }
  return typed;
}

/**
 * Checks the options and fills the defaults; problems are told in terms of flags.
 *
 * @throws AppError `invalid_options`
 */
export function checkOptions<Checked>(schema: Schema, options: unknown, command: string): Checked {
  const remedy = `\`ltx-trainer ${command} --help\` lists every option with its limits.`;
  try {
    return parseOptions(schema, options, remedy) as Checked;
  } catch (error) {
    if (!(error instanceof AppError) || !Array.isArray(error.facts.problems)) throw error;
    const problems = error.facts.problems as OptionProblem[];
    const message = problems.map(inFlags).join("\n");
    throw new AppError({ code: error.code, message, remedy, facts: error.facts, cause: error });
  }
}

/** `--number-of-steps: got 0, ...` instead of `number_of_steps: got 0, ...`. */
function inFlags({ path, message }: OptionProblem): string {
  if (path === "training_data_url")
    return "<data>: missing, expected a zip, a folder, a media file or an address";
  const field = /^[a-z_]+/.exec(path)?.[0];
  return field === undefined ? message : message.replace(field, `--${field.replaceAll("_", "-")}`);
}

function optionsOf(flag: Flag): Option[] {
  if (flag.kind === "boolean") return booleanOptions(flag);
  const option = new Option(`${flag.flag} ${flag.placeholder}`, describe(flag)).helpGroup(`${flag.group}:`);
  option.argParser((text: string, previous: unknown) => {
    const value = parse(flag, text);
    return flag.kind === "objects" ? [...(Array.isArray(previous) ? previous : []), value] : value;
  });
  return [option];
}

/** Both forms are accepted; the help shows the one that changes something. */
function booleanOptions(flag: Flag): Option[] {
  const negative = `--no-${flag.flag.slice(2)}`;
  const isOn = flag.fallback === true;
  const on = new Option(flag.flag, describe(flag)).helpGroup(`${flag.group}:`);
  const off = new Option(negative, describeOff(flag)).helpGroup(`${flag.group}:`);
  return [on.hideHelp(isOn), off.hideHelp(!isOn)];
}

function parse(flag: Flag, text: string): unknown {
  try {
    return flagValue(flag, text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** The part of the description that says what off means, else the whole of it, negated. */
function describeOff(flag: Flag): string {
  const text = describe(flag);
  const meaning = /\bOff: (.*)$/.exec(text)?.[1];
  if (meaning === undefined) return `Do not ${text.slice(0, 1).toLowerCase()}${text.slice(1)}`;
  return `${meaning.slice(0, 1).toUpperCase()}${meaning.slice(1)}`;
}

function describe(flag: Flag): string {
  const facts: string[] = [];
  if (flag.kind === "objects") facts.push("may be given twice");
  if (flag.kind === "list" && flag.choices !== undefined) facts.push(`of ${flag.choices.join(", ")}`);
  if (flag.range !== undefined && flag.choices === undefined) facts.push(flag.range);
  const fallback = shownDefault(flag);
  if (fallback !== undefined) facts.push(`default ${fallback}`);
  const description = withFlagNames(flag.description);
  return facts.length === 0 ? description : `${description} (${facts.join("; ")})`;
}

/** Descriptions name other fields as the API does. */
function withFlagNames(description: string): string {
  return description.replace(/\b[a-z]+(_[a-z]+)+\b/g, (name) => `--${name.replaceAll("_", "-")}`);
}

function shownDefault({ kind, fallback }: Flag): string | undefined {
  if (fallback === undefined || fallback === "" || kind === "boolean") return undefined;
  if (Array.isArray(fallback)) return fallback.length === 0 ? undefined : fallback.join(",");
  return typeof fallback === "string" && fallback.includes(" ") ? JSON.stringify(fallback) : String(fallback);
}

/** commander's name for a flag's value: `numberOfSteps`. */
function attributeOf(field: string): string {
  return field.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
