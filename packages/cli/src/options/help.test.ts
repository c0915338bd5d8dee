/** Every example of `--help` and of the README is a command line that the program takes. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  GenerateJob,
  generateFields,
  InspectJob,
  localFields,
  parseOptions,
  TrainJob,
} from "@ltx-trainer/contract";
import type { Command } from "commander";
import { expect, test } from "vitest";
import { makeConsole } from "../display/console.ts";
import { makeProgram } from "../program.ts";
import { typedFields } from "./flags.ts";
import * as help from "./help.ts";

const repository = fileURLToPath(new URL("../../../../", import.meta.url));
const readme = readFileSync(join(repository, "README.md"), "utf8");
const texts = [...textsIn(help), readme.replaceAll("npx ltx-trainer", "ltx-trainer")];

function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

/** Command lines in a text: those that begin with the program's name, after variables or none. */
const examples = texts
  .flatMap((text) =>
    [...text.replaceAll(/\\\n\s*/g, "").matchAll(/^ *(?:[A-Z_]+=\S+ )*ltx-trainer (.+)$/gm)].map(
      ([, args = ""]) => args,
    ),
  )
  .filter((line) => !line.includes("--help"));

/** As a shell splits words, up to a pipe or a comment. */
function wordsOf(line: string): string[] {
  const words = line.match(/'[^']*'|"[^"]*"|[^\s'"]+/g) ?? [];
  const end = words.findIndex((word) => word === "|" || word === "#");
  return words.slice(0, end === -1 ? undefined : end).map((word) => word.replace(/^(['"])(.*)\1$/s, "$2"));
}

const checks: Readonly<Record<string, (command: Command, data: string | undefined) => void>> = {
  train: (command, data) => {
    const typed = { ...typedFields(command, localFields), out: "o", home: "h" };
    parseOptions(TrainJob, { ...typed, training_data_url: data });
  },
  inspect: (command, data) => {
    parseOptions(InspectJob, { ...typedFields(command, localFields), home: "h", training_data_url: data });
  },
  generate: (command) => {
    parseOptions(GenerateJob, { ...typedFields(command, generateFields), out: "o.mp4", home: "h" });
  },
};

test("examples are found in every text that has some", () => {
  expect(examples.length).toBeGreaterThan(20);
});

test.each(examples)("ltx-trainer %s", async (line) => {
  const program = makeProgram(makeConsole(false), () => {});
  const reached: string[] = [];
  const prepare = (command: Command): void => {
    for (const child of command.commands) {
      prepare(child);
      child.exitOverride();
      if (child.commands.length > 0) continue;
      child.action((argument: unknown) => {
        reached.push(child.name());
        const data = typeof argument === "string" ? argument : undefined;
        checks[child.name()]?.(child, data);
        if (data?.startsWith("examples/")) expect(existsSync(join(repository, data)), data).toBe(true);
      });
    }
  };
  prepare(program);
  const words = wordsOf(line);
  await program.parseAsync(words, { from: "user" });
  expect(reached).toHaveLength(1);
});
