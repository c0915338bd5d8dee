/** Error codes, exit statuses and the JSON form of errors. */
import { expect, test } from "vitest";
import { AppError, type ErrorCode, errorKinds, toAppError } from "./errors.ts";

test("the list of codes is closed: growing it is a change of the public surface", () => {
  expect(Object.keys(errorKinds).sort()).toMatchInlineSnapshot(`
    [
      "address_not_allowed",
      "address_unusable",
      "base_invalid",
      "base_not_found",
      "checkpoint_damaged",
      "checkpoint_mismatch",
      "checkpoint_not_found",
      "database_unusable",
      "dataset_empty",
      "device_unavailable",
      "disk_full",
      "download_failed",
      "download_too_large",
      "file_unreadable",
      "internal",
      "interrupted",
      "invalid_options",
      "libtorch_missing",
      "lora_invalid",
      "media_unreadable",
      "no_usable_media",
      "not_a_zip",
      "out_of_memory",
      "output_busy",
      "output_exists",
      "output_foreign",
      "source_not_found",
      "source_unsupported",
      "tool_failed",
      "tool_missing",
      "trainer_died",
      "training_diverged",
      "zip_damaged",
      "zip_encrypted",
      "zip_too_large",
    ]
  `);
});

test("whose fault it is decides the exit status", () => {
  const exitCodeOf = (code: ErrorCode): number => new AppError({ code, message: "" }).exitCode;
  expect(exitCodeOf("not_a_zip")).toBe(2);
  expect(exitCodeOf("disk_full")).toBe(1);
  expect(exitCodeOf("interrupted")).toBe(130);
  expect(exitCodeOf("internal")).toBe(1);
});

test("travels as JSON with its facts and without empty fields", () => {
  const error = new AppError({ code: "disk_full", message: "m", retryable: true, facts: { freeBytes: 3 } });
  expect(JSON.parse(JSON.stringify(error))).toEqual({
    code: "disk_full",
    message: "m",
    retryable: true,
    facts: { freeBytes: 3 },
  });
});

test("anything else that is thrown is a fault of ours, and keeps its cause", () => {
  const cause = new TypeError("x is undefined");
  expect(toAppError(cause)).toMatchObject({ code: "internal", cause, exitCode: 1 });
  const known = new AppError({ code: "not_a_zip", message: "m" });
  expect(toAppError(known)).toBe(known);
});
