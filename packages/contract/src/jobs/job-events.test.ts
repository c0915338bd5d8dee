/** The line protocol between the trainer and whoever started it. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { AppError } from "../errors.ts";
import { decodeEvent, encodeEvent, failedEvent, type JobEvent } from "./job-events.ts";

const text = fc.string({ unit: "binary" });
const count = fc.nat();
const positive = fc.double({ min: 0, max: 1e12, noNaN: true }).map((value) => value + 0);

const events: fc.Arbitrary<JobEvent> = fc.oneof(
  fc.record({
    type: fc.constant("phase" as const),
    phase: fc.constant("cache" as const),
    title: text,
    done: count,
    total: count,
  }),
  fc.record({
    type: fc.constant("progress" as const),
    step: count,
    total: fc.integer({ min: 1 }),
    loss: fc.option(positive, { nil: null }),
    lr: positive,
    secondsPerStep: positive,
    etaSeconds: positive,
    memoryBytes: positive,
  }),
  fc.record({
    type: fc.constant("log" as const),
    level: fc.constantFrom("info" as const, "error" as const),
    message: text,
  }),
  fc.record({
    type: fc.constant("sample" as const),
    path: text,
    step: count,
    prompt: text,
    lora: fc.boolean(),
  }),
);

test("an event is one line, and comes back as it was", () => {
  fc.assert(
    fc.property(events, (event) => {
      const line = encodeEvent(event);
      expect(line.indexOf("\n")).toBe(line.length - 1);
      expect(decodeEvent(line.trimEnd())).toEqual(event);
    }),
  );
});

test("a training that has its LoRA says so before the videos are made", () => {
  const outputs = { lora_file: "/out/lora.safetensors", video: null, contact_sheet: null };
  expect(decodeEvent(encodeEvent({ type: "trained", outputs }))).toEqual({ type: "trained", outputs });
});

test("other lines are no events, and do no harm", () => {
  for (const line of [
    "",
    "warming up",
    "{",
    "{}",
    "[1]",
    '{"type":"nonsense"}',
    '{"type":"progress","step":"x"}',
  ]) {
    expect(decodeEvent(line)).toBeUndefined();
  }
  fc.assert(fc.property(text, (line) => void decodeEvent(line)));
});

test("a failure carries code, remedy and exit status", () => {
  const error = new AppError({
    code: "not_a_zip",
    message: "a.zip: got text, expected a zip",
    remedy: "Zip it.",
  });
  expect(decodeEvent(encodeEvent(failedEvent(error)))).toEqual({
    type: "failed",
    code: "not_a_zip",
    message: "a.zip: got text, expected a zip",
    remedy: "Zip it.",
    retryable: false,
    exitCode: 2,
  });
});
