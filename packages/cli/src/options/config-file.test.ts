/** What `--config` takes: options, the configuration of a finished training, and what it refuses. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppError, InspectJob, TrainJob } from "@ltx-trainer/contract";
import { afterAll, describe, expect, test } from "vitest";
import { readConfig } from "./config-file.ts";

const folder = mkdtempSync(join(tmpdir(), "config-file-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "c.json");

function read(content: string | Buffer, schema: typeof TrainJob | typeof InspectJob = TrainJob) {
  writeFileSync(path, content);
  return readConfig(path, schema);
}

function refusalOf(content: string | Buffer): AppError {
  try {
    read(content);
  } catch (error) {
    expect(error).toBeInstanceOf(AppError);
    return error as AppError;
  }
  return expect.unreachable();
}

test("options by name, with a byte order mark or without, and comments beside them", () => {
  const options = { rank: 8, validation: [{ prompt: "a cube" }] };
  expect(read(JSON.stringify(options))).toEqual({ options, ignored: [] });
  expect(read(`\uFEFF${JSON.stringify(options)}`).options).toEqual(options);
  expect(read(JSON.stringify({ _comment: "mine", $schema: "x", rank: 8 })).options).toEqual({ rank: 8 });
  expect(read("{}").options).toEqual({});
});

test.each([TrainJob, InspectJob])("the config.json of a finished training means its input", (schema) => {
  const input = { training_data_url: "clips.zip", rank: 8, number_of_steps: 20, made_by_a_later_version: 1 };
  const written = { base_model: "ltx-nano", width: 64, seed: 42, input, plan: { steps: 20 } };
  expect(read(JSON.stringify(written), schema)).toEqual({
    options: input,
    ignored: ["input.made_by_a_later_version"],
  });
});

describe("refused", () => {
  test.each([
    [{ "number-of-steps": 5 }, '"number-of-steps" is probably number_of_steps.'],
    [{ numberOfSteps: 5 }, '"numberOfSteps" is probably number_of_steps.'],
    [{ learning_rte: 1 }, '"learning_rte" is probably learning_rate.'],
    [{ rank: 8, colour: "red" }, "with _ for -"],
    [{ validation: [{ prompt: "a", seed: 1 }] }, "with _ for -"],
  ])("an option that there is not: %j", (options, remedy) => {
    const refusal = refusalOf(JSON.stringify(options));
    expect(refusal).toMatchObject({ code: "invalid_options", exitCode: 2 });
    expect(refusal.message).toContain("which no option is called");
    expect(refusal.remedy).toContain(remedy);
  });

  test.each([
    ["a list", "[1]", /got something else than an object/],
    ["text that is not JSON", "{rank: 8}", /JSON/],
    ["an empty file", "", /JSON/],
    ["UTF-16", Buffer.from("\uFEFF{}", "utf16le"), /the text is UTF-16, expected UTF-8/],
  ])("%s", (_, content, words) => {
    expect(refusalOf(content).message).toMatch(words);
  });

  test("a file that is not there", () => {
    expect(() => readConfig(join(folder, "nowhere.json"), TrainJob)).toThrow(/nowhere\.json: ENOENT/);
  });
});
