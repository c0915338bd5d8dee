/**
 * Settings: each is one entry of a table, with its variable, its rule and its description. The type of the configuration, its
 * parsing and the text of `--settings` follow from the table.
 */
import { AppError, describeIssue } from "@ltx-trainer/contract";
import { z } from "zod";

type Options = {
  readonly description: string;
  /** Whether a variable that is set to nothing has a meaning of its own. Otherwise it counts as not set. */
  readonly takesEmpty?: boolean;
};

/** One setting: the variable of the environment that it is read from, and the rule for its value. */
export class Setting<Value> {
  readonly variable: string;
  readonly schema: z.ZodType<Value>;
  readonly description: string;
  readonly takesEmpty: boolean;

  constructor(variable: string, schema: z.ZodType<Value>, { description, takesEmpty = false }: Options) {
    this.variable = variable;
    this.schema = schema;
    this.description = description;
    this.takesEmpty = takesEmpty;
  }
}

/** Settings by the name that the program uses, in groups. */
export type SettingTable = { readonly [name: string]: Setting<unknown> | SettingTable };

export type ValuesOf<Table> = {
  readonly [Name in keyof Table]: Table[Name] extends Setting<infer Value> ? Value : ValuesOf<Table[Name]>;
};

export function setting<Value>(variable: string, schema: z.ZodType<Value>, options: Options): Setting<Value> {
  return new Setting(variable, schema, options);
}

/** All settings of a table in their order. */
export function settingsIn(table: SettingTable): Setting<unknown>[] {
  return Object.values(table).flatMap((entry) => (entry instanceof Setting ? [entry] : settingsIn(entry)));
}

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the settings of a table.
 *
 * @throws AppError `invalid_options` naming every variable that cannot be used
 */
export function readSettings<Table extends SettingTable>(
  table: Table,
  environment: Environment,
): ValuesOf<Table> {
  const all = settingsIn(table);
  const given = all.map(({ variable, takesEmpty }) => {
    const text = environment[variable];
    return [variable, text === "" && !takesEmpty ? undefined : text];
  });
  const schema = z.object(Object.fromEntries(all.map((one) => [one.variable, one.schema])));
  const parsed = schema.safeParse(Object.fromEntries(given), { reportInput: true });
  if (parsed.success) return valuesIn(table, parsed.data) as ValuesOf<Table>;
  throw new AppError({
    code: "invalid_options",
    message: parsed.error.issues.map((issue) => describeIssue(issue).message).join("\n"),
    remedy: "`ltx-trainer serve --settings` lists the variables.",
  });
}

function valuesIn(table: SettingTable, values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(table).map(([name, entry]) => [
    name,
    entry instanceof Setting ? values[entry.variable] : valuesIn(entry, values),
  ]);
  return Object.fromEntries(entries);
}

/** Every variable of a table with its default and its description, for people. */
export function describeSettings(table: SettingTable): string {
  return settingsIn(table)
    .map(({ variable, schema, description }) => {
      const fallback = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }).default;
      return `${variable}${fallback === undefined ? "" : ` (default: ${String(fallback)})`}\n    ${description}`;
    })
    .join("\n");
}
