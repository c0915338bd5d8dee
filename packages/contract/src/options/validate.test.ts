/** What a user is told about wrong options. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { TrainingInput } from "../endpoints/ltx-video-trainer.ts";
import { AppError } from "../errors.ts";
import { LocalTrainingOptions } from "../jobs/local-training.ts";
import { parseOptions, unknownKeys } from "./validate.ts";

function refusal(input: unknown): AppError {
  try {
    parseOptions(TrainingInput, input);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error("the input was accepted");
}

test.each([
  [{ number_of_steps: 5 }, "number_of_steps: got 5, expected at least 100"],
  [{ number_of_frames: 500 }, "number_of_frames: got 500, expected at most 121"],
  [{ number_of_steps: 100.5 }, "number_of_steps: got 100.5, expected a whole number"],
  [{ rank: 12 }, "rank: got 12, expected one of 8, 16, 32, 64, 128"],
  [{ resolution: "huge" }, 'resolution: got "huge", expected one of low, medium, high'],
  [{ trigger_phrase: 3 }, "trigger_phrase: got 3, expected text"],
  [{ validation: [{}] }, "validation[0].prompt: missing, expected text"],
  [
    { validation: [{ prompt: "a" }, { prompt: "a" }, { prompt: "a" }] },
    "validation: got 3 items, expected at most 2 items",
  ],
  [{ training_data_url: "" }, "training_data_url: got 0 characters, expected at least 1 characters"],
  [{ training_data_url: undefined }, "training_data_url: missing, expected text"],
])("says what was got and what was expected: %j", (input, message) => {
  const error = refusal({ training_data_url: "a.zip", ...input });
  expect(error.message).toBe(message);
  expect(error).toMatchObject({ code: "invalid_options", exitCode: 2, retryable: false });
});

test("names every problem, in text and as facts", () => {
  const error = refusal({ training_data_url: "x", rank: 1, frame_rate: 100 });
  expect(error.message.split("\n")).toHaveLength(2);
  expect(error.facts).toMatchObject({ problems: [{ path: "rank" }, { path: "frame_rate" }] });
});

test("what is not an object is refused with one sentence", () => {
  expect(refusal(null).message).toBe("options: got null, expected a value of type object");
});

test("lists the keys that will be dropped, nested ones too", () => {
  const input = {
    training_data_url: "x",
    trigger_word: "TOK",
    validation: [{ prompt: "a" }, { prompt: "b", seed: 3 }],
  };
  expect(unknownKeys(TrainingInput, input)).toEqual(["trigger_word", "validation[1].seed"]);
  expect(unknownKeys(TrainingInput, "text")).toEqual([]);
});

test("unknown keys are exactly those the schema drops", () => {
  const keys = fc.constantFrom(
    "rank",
    "seed",
    "base",
    "steps",
    "__proto__",
    "toString",
    "validation_reverse",
  );
  fc.assert(
    fc.property(fc.uniqueArray(keys), (names) => {
      const input = Object.fromEntries(names.map((name) => [name, undefined]));
      const known = Object.keys(LocalTrainingOptions.shape);
      expect(unknownKeys(LocalTrainingOptions, input)).toEqual(names.filter((name) => !known.includes(name)));
    }),
  );
});

test("never throws anything but a refusal, whatever it is given", () => {
  fc.assert(
    fc.property(fc.anything(), (value) => {
      expect(refusal(value).code).toBe("invalid_options");
      expect(Array.isArray(unknownKeys(TrainingInput, value))).toBe(true);
    }),
  );
});
