/** Opening base models: by name and by folder, whole and damaged. */
import { cpSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BaseModel } from "@ltx-trainer/ltx";
import { afterAll, describe, expect, test } from "vitest";
import { listModels, openJobBase, profileOf } from "./base-models.ts";

const home = mkdtempSync(join(tmpdir(), "base-models-"));
afterAll(() => rmSync(home, { recursive: true }));
const tiny = fileURLToPath(new URL("../../../../fixtures/folder/tiny", import.meta.url));

/** A copy of the tiny model, installed as `name`. */
function install(name: string): string {
  const folder = join(home, "models", name);
  cpSync(tiny, folder, { recursive: true });
  return folder;
}

test("an installed model is opened by its name and listed", () => {
  const folder = install("mine");
  expect(openJobBase("mine", home, false).folder).toBe(folder);
  expect(listModels(home).models.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["ltx-nano", "mine"]),
  );
});

test("a name that is not installed is refused with those that are", () => {
  install("mine");
  expect(() => openJobBase("gpt-9", home, false)).toThrow(
    expect.objectContaining({
      code: "base_not_found",
      message: expect.stringMatching(/gpt-9.*ltx-nano, mine/),
    }),
  );
});

test("a model without wishes of its own gets its family's", () => {
  const profile = profileOf(openJobBase(tiny, home, false));
  expect(profile.sizes.high["16:9"].width % 32).toBe(0);
  expect(profile.sampler.steps).toBeGreaterThan(0);
});

describe("a damaged model is the user's to mend", () => {
  const weights = (folder: string, component: string) => {
    const name = readdirSync(join(folder, component)).find((file) => file.endsWith(".safetensors"));
    return join(folder, component, name as string);
  };
  const cut = (path: string) => truncateSync(path, Math.floor(statSync(path).size / 2));
  const cases: readonly (readonly [string, (folder: string) => void, (base: BaseModel) => unknown])[] = [
    ["transformer cut short", (f) => cut(weights(f, "transformer")), (base) => base.loadTransformer()],
    ["transformer missing", (f) => rmSync(weights(f, "transformer")), (base) => base.loadTransformer()],
    [
      "VAE full of zeros",
      (f) => writeFileSync(weights(f, "vae"), Buffer.alloc(999)),
      (base) => base.loadVae(),
    ],
    [
      "text encoder empty",
      (f) => truncateSync(weights(f, "text_encoder")),
      (base) => base.loadPromptEncoder(),
    ],
    ["tokenizer cut short", (f) => cut(join(f, "tokenizer", "spiece.model")), (base) => base.loadTokenizer()],
  ];

  test.each(cases)("%s", (name, damage, load) => {
    const folder = install(name);
    damage(folder);
    expect(() => load(openJobBase(name, home, false))).toThrow(
      expect.objectContaining({
        code: "base_invalid",
        message: expect.stringContaining(`base model in ${folder}`),
        remedy: expect.stringContaining("Copy a damaged one again"),
      }),
    );
  });

  test("a configuration that is not JSON is refused when the model is opened", () => {
    const folder = install("no JSON");
    writeFileSync(join(folder, "vae", "config.json"), "{");
    expect(() => openJobBase("no JSON", home, false)).toThrow(
      expect.objectContaining({ code: "base_invalid", facts: { folder } }),
    );
    expect(listModels(home).models.find((model) => model.name === "no JSON")?.problem).toMatch(/not JSON/);
  });
});
