/** Refusals of the API in pydantic's words. Expected values: what pydantic 2 answers to the same body. */

import { TrainingInput } from "@ltx-trainer/contract";
import { expect, test } from "vitest";
import { pydanticDetail } from "./pydantic.ts";

function detailOf(input: unknown) {
  const result = TrainingInput.safeParse(input);
  return result.success ? [] : pydanticDetail(TrainingInput, result.error.issues, input);
}

const url = "https://example.com/a.zip";

test.each([
  [{}, { loc: ["body", "training_data_url"], type: "missing", msg: "Field required", input: {} }],
  [
    { training_data_url: 3 },
    {
      loc: ["body", "training_data_url"],
      type: "string_type",
      msg: "Input should be a valid string",
      input: 3,
    },
  ],
  [{ training_data_url: null }, { type: "string_type", input: null }],
  [
    { training_data_url: url, rank: 7 },
    {
      loc: ["body", "rank"],
      type: "literal_error",
      msg: "Input should be 8, 16, 32, 64 or 128",
      ctx: { expected: "8, 16, 32, 64 or 128" },
      input: 7,
    },
  ],
  [
    { training_data_url: url, number_of_steps: 50 },
    {
      type: "greater_than_equal",
      msg: "Input should be greater than or equal to 100",
      ctx: { ge: 100 },
      url: "https://docs.fal.ai/errors/#greater_than_equal",
    },
  ],
  [
    { training_data_url: url, frame_rate: 61 },
    { type: "less_than_equal", ctx: { le: 60 }, input: 61 },
  ],
  [
    { training_data_url: url, number_of_steps: 100.5 },
    { type: "int_from_float", msg: "Input should be a valid integer, got a number with a fractional part" },
  ],
  [
    { training_data_url: url, number_of_steps: "many" },
    {
      type: "int_parsing",
      msg: "Input should be a valid integer, unable to parse string as an integer",
      input: "many",
    },
  ],
  [
    { training_data_url: url, learning_rate: "fast" },
    { type: "float_parsing", msg: "Input should be a valid number, unable to parse string as a number" },
  ],
  [
    { training_data_url: url, validation_reverse: "maybe" },
    { type: "bool_parsing", msg: "Input should be a valid boolean, unable to interpret input" },
  ],
  [
    { training_data_url: url, resolution: "huge" },
    { type: "literal_error", msg: "Input should be 'low', 'medium' or 'high'" },
  ],
  [
    { training_data_url: url, validation: "a cat" },
    { type: "list_type", msg: "Input should be a valid list", input: "a cat" },
  ],
  [
    { training_data_url: url, validation: [{ prompt: "a" }, {}] },
    { loc: ["body", "validation", 1, "prompt"], type: "missing", input: {} },
  ],
  [
    { training_data_url: url, validation: [{ prompt: "a" }, { prompt: "b" }, { prompt: "c" }] },
    {
      type: "too_long",
      msg: "List should have at most 2 items after validation, not 3",
      ctx: { field_type: "List", max_length: 2, actual_length: 3 },
    },
  ],
  [
    { training_data_url: url, validation: [{ prompt: "a", image_url: url }, { prompt: "b" }] },
    { loc: ["body", "validation", 1, "image_url"] },
  ],
  [[], { loc: ["body"], type: "model_attributes_type", input: [] }],
  ["text", { loc: ["body"], type: "model_attributes_type", input: "text" }],
])("%j is refused as pydantic does", (input, expected) => {
  expect(detailOf(input)).toMatchObject([expected]);
});

test("every problem has its entry", () => {
  const types = detailOf({ rank: 1, frame_rate: 100, aspect_ratio: "2:1" }).map(({ type }) => type);
  expect(types).toEqual(["missing", "literal_error", "less_than_equal", "literal_error"]);
});

test("numbers and booleans may come as text, as pydantic takes them", () => {
  const input = { training_data_url: url, rank: "16", number_of_steps: "200", learning_rate: "1e-4" };
  expect(
    TrainingInput.parse({ ...input, validation_reverse: "True", split_input_into_scenes: 0 }),
  ).toMatchObject({
    rank: 16,
    number_of_steps: 200,
    learning_rate: 1e-4,
    validation_reverse: true,
    split_input_into_scenes: false,
  });
});

test("long values are not repeated in full", () => {
  const [detail] = detailOf({ training_data_url: url, resolution: "x".repeat(10_000) });
  expect(String(detail?.input)).toMatch(/^x{500}\.\.\. \(10000 characters\)$/);
});
