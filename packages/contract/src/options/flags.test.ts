/** Flags made from the schema: names, kinds, values. */
import { expect, test } from "vitest";
import { z } from "zod";
import { AppError } from "../errors.ts";
import { GenerateOptions, generateFields } from "../jobs/jobs.ts";
import { LocalTrainingOptions, localFields } from "../jobs/local-training.ts";
import { flagsOf, flagValue } from "./flags.ts";

function flag(name: string) {
  const found = flagsOf(localFields).find((item) => item.flag === name);
  if (found === undefined) throw new Error(`no flag ${name}`);
  return found;
}

test("every field of the schema becomes one flag", () => {
  expect(flagsOf(localFields).map((item) => item.field)).toEqual(Object.keys(LocalTrainingOptions.shape));
  expect(flagsOf(generateFields).map((item) => item.field)).toEqual(Object.keys(GenerateOptions.shape));
});

test("a flag says type, choices, range, default and whether it is required", () => {
  expect(flag("--number-of-steps")).toMatchObject({
    kind: "integer",
    placeholder: "<number>",
    fallback: 1000,
  });
  expect(flag("--number-of-steps").range).toBe("1 to 1000000");
  expect(flag("--resolution")).toMatchObject({
    kind: "text",
    placeholder: "<low|medium|high>",
    fallback: "medium",
  });
  expect(flag("--auto-scale-input")).toMatchObject({ kind: "boolean", placeholder: "", fallback: false });
  expect(flag("--lora-targets")).toMatchObject({ kind: "list", placeholder: "<a,b,...>" });
  expect(flag("--validation")).toMatchObject({ kind: "objects", fallback: [] });
  expect(flag("--training-data-url").required).toBe(true);
  expect(flag("--seed")).toMatchObject({ required: false, range: "from 0" });
  expect(flag("--lora-alpha").range).toBe("more than 0");
  expect(flag("--base").fallback).toBeUndefined();
});

test("text becomes a value of the flag's type", () => {
  expect(flagValue(flag("--rank"), "16")).toBe(16);
  expect(flagValue(flag("--learning-rate"), "1e-4")).toBe(1e-4);
  expect(flagValue(flag("--trigger-phrase"), " TOK ")).toBe(" TOK ");
  expect(flagValue(flag("--lora-targets"), "to_q, to_k")).toEqual(["to_q", "to_k"]);
  expect(flagValue(flag("--validation"), "a red cube")).toEqual({ prompt: "a red cube" });
  expect(flagValue(flag("--validation"), '{"prompt":"a","image_url":"b.png"}')).toEqual({
    prompt: "a",
    image_url: "b.png",
  });
});

test.each(["", " ", "many", "1,5", "NaN", "Infinity"])(
  "refuses %j as a number and names the flag",
  (text) => {
    expect(() => flagValue(flag("--rank"), text)).toThrow(
      /^--rank: got ".*", expected a number \(1 to 1024\)$/,
    );
  },
);

test("refuses broken JSON with the form that is expected", () => {
  expect(() => flagValue(flag("--validation"), '{"prompt": ')).toThrow(AppError);
});

test("defaults in the help are the defaults of the schema", () => {
  const parsed = z.object(localFields).parse({ training_data_url: "x" }) as Record<string, unknown>;
  for (const { field, fallback } of flagsOf(localFields)) {
    if (field !== "training_data_url") expect.soft(fallback, field).toEqual(parsed[field]);
  }
});
