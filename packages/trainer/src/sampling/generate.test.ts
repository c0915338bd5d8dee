/** Videos from a tiny model and LoRAs made on the spot: whose numbers apply, what is refused, what is left behind. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { GenerateJob, type JobEvent } from "@ltx-trainer/contract";
import { exportLora, injectLora, openBase, saveLora } from "@ltx-trainer/ltx";
import { Generator, noGrad, type Tensor, writeSafetensors } from "@ltx-trainer/torch";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Reporter } from "../process/events.ts";
import { generateVideo } from "./generate.ts";

const root = mkdtempSync(join(tmpdir(), "generate-"));
afterAll(() => rmSync(root, { recursive: true }));
const home = join(root, "home");
const tiny = join(home, "models", "tiny");
const trained = join(root, "trained");
const lora = join(trained, "lora.safetensors");

/** What a training on the tiny model leaves beside its LoRA. */
const config = {
  base_model: "tiny",
  dataset_hash: "d1",
  width: 96,
  height: 64,
  num_frames: 9,
  frame_rate: 12,
  num_inference_steps: 3,
  guidance_scale: 1,
  negative_prompt: "dull",
};

beforeAll(() => {
  cpSync(fileURLToPath(new URL("../../../../fixtures/folder/tiny", import.meta.url)), tiny, {
    recursive: true,
  });
  const index = join(tiny, "model_index.json");
  const size = { width: 32, height: 32 };
  const row = { "16:9": { width: 64, height: 32 }, "1:1": size, "9:16": { width: 32, height: 64 } };
  const own = { sizes: { low: row, medium: row, high: row }, sampler: { steps: 2, guidance: 1 } };
  const fields = JSON.parse(readFileSync(index, "utf8"));
  writeFileSync(index, JSON.stringify({ ...fields, _ltx_trainer: { ...own, name: "tiny" } }));
  mkdirSync(trained);
  withLora((made) =>
    saveLora(lora, made, { dialect: "diffusers", metadata: { base_model: "tiny", dataset_hash: "d1" } }),
  );
  writeFileSync(join(trained, "config.json"), JSON.stringify(config));
});

/** A LoRA with an effect, on the tiny model. */
function withLora(use: (made: ReturnType<typeof injectLora>) => void): void {
  const transformer = openBase(tiny).loadTransformer();
  const made = injectLora(transformer, { rank: 2, generator: new Generator(3) });
  for (const { adapter } of made.modules.values()) noGrad(() => adapter.b_DR.add_(0.1));
  use(made);
}

async function generate(options: Readonly<Record<string, unknown>>) {
  const events: JobEvent[] = [];
  const job = GenerateJob.parse({ prompt: "a pattern", home, threads: 1, ...options });
  const reporter = new Reporter((event) => events.push(event));
  const outputs = await generateVideo(job, reporter, new AbortController().signal);
  const said = events.flatMap((event) => ("message" in event ? [event.message] : []));
  return { outputs, said };
}

let count = 0;
const freshFile = () => join(root, `video-${++count}.mp4`);

describe("numbers that were not given", () => {
  test("are those of the LoRA's own training", async () => {
    const out = freshFile();
    const { outputs, said } = await generate({ lora, out });
    expect(outputs).toMatchObject({
      width: 96,
      height: 64,
      frames: 9,
      frame_rate: 12,
      lora_keys_unmatched: 0,
    });
    expect(said).toContain(
      "tiny: 96x64, 9 frames at 12/s, 3 steps, guidance 1; what was not given is the LoRA's own (config.json)",
    );
    const probed = execFileSync("ffprobe", ["-v", "error", "-show_streams", "-of", "json", out]);
    expect(JSON.parse(probed.toString()).streams[0]).toMatchObject({
      width: 96,
      height: 64,
      nb_frames: "9",
      r_frame_rate: "12/1",
    });
  });

  test("are the user's where they were given", async () => {
    const given = { aspect_ratio: "9:16", number_of_frames: 2, frame_rate: 5, steps: 1 };
    const prompt = "a pattern ".repeat(300);
    const { outputs, said } = await generate({ lora, prompt, out: freshFile(), ...given });
    expect(said).toContainEqual(
      expect.stringMatching(/^prompt: \d+ tokens, and tiny reads \d+: it does not see "/),
    );
    expect(outputs).toMatchObject({ width: 32, height: 64, frames: 1, frame_rate: 5 });
    expect(said.join("\n")).toContain("1 frames at 5/s, 1 steps");
    expect(said).toContain("number_of_frames: 2 became 1, the nearest 8k + 1 not above it");
  });

  test("are the base model's without a LoRA, and with one whose config.json is another's", async () => {
    const stranger = join(root, "stranger");
    mkdirSync(stranger);
    cpSync(lora, join(stranger, "lora.safetensors"));
    writeFileSync(join(stranger, "config.json"), JSON.stringify({ ...config, dataset_hash: "d2" }));
    const few = { base: "tiny", number_of_frames: 1 };
    const without = await generate({ ...few, out: freshFile() });
    expect(without.outputs).toMatchObject({ width: 32, height: 32, frame_rate: 25, lora_modules: null });
    const other = await generate({ ...few, lora: join(stranger, "lora.safetensors"), out: freshFile() });
    expect(other.outputs).toMatchObject({ width: 32, height: 32, frame_rate: 25 });
    expect(other.said.join("\n")).not.toContain("config.json");
  });
});

describe("a LoRA file", () => {
  test("whose keys partly match no layer says which", async () => {
    const path = join(root, "partly.safetensors");
    withLora((made) => {
      const renamed = [...exportLora(made, "diffusers")].map(([key, tensor], index): [string, Tensor] => [
        index < 6 ? key.replace("blocks.0", "blocks.7") : key,
        tensor,
      ]);
      writeSafetensors(path, new Map(renamed));
    });
    const { outputs, said } = await generate({
      base: "tiny",
      lora: path,
      number_of_frames: 1,
      out: freshFile(),
    });
    expect(outputs.lora_keys_unmatched).toBe(6);
    expect(outputs.lora_modules).toBeGreaterThan(0);
    expect(said.join("\n")).toMatch(
      /lora: 6 keys of the file match no layer of tiny and were not applied: transformer\.transformer_blocks\.7\.\S+, .* and 2 more/,
    );
  });

  test("of another program's names is refused", async () => {
    const path = join(root, "kohya.safetensors");
    withLora((made) => {
      const renamed = [...exportLora(made, "diffusers")].map(([key, tensor]): [string, Tensor] => [
        `lora_unet_${key.replaceAll(".", "_")}`,
        tensor,
      ]);
      writeSafetensors(path, new Map(renamed));
    });
    await expect(generate({ base: "tiny", lora: path, out: freshFile() })).rejects.toMatchObject({
      code: "lora_invalid",
      message: expect.stringMatching(/lora_unet_.*expected keys like transformer/),
    });
  });

  test("with weights that are not finite is refused", async () => {
    const path = join(root, "diverged.safetensors");
    withLora((made) => {
      const spoilt = [...exportLora(made, "diffusers")].map(([key, tensor]): [string, Tensor] => [
        key,
        tensor.mul(Number.NaN),
      ]);
      writeSafetensors(path, new Map(spoilt));
    });
    await expect(generate({ base: "tiny", lora: path, out: freshFile() })).rejects.toMatchObject({
      code: "lora_invalid",
      message: expect.stringContaining("its training diverged"),
    });
  });

  test("that is not there, or is no such file, is refused before anything is loaded", async () => {
    const missing = join(root, "nowhere.safetensors");
    await expect(generate({ lora: missing, out: freshFile() })).rejects.toMatchObject({
      code: "lora_invalid",
      message: `lora: got ${missing}, which does not exist`,
    });
    const text = join(root, "notes.txt");
    writeFileSync(text, "not a LoRA at all");
    await expect(generate({ lora: text, out: freshFile() })).rejects.toMatchObject({
      code: "lora_invalid",
      message: expect.stringContaining("notes.txt"),
    });
  });
});

describe("the output file", () => {
  const refusals: readonly (readonly [string, () => string, RegExp])[] = [
    ["in a folder that is not there", () => join(root, "no", "such", "v.mp4"), /there is no folder .*such/],
    ["that is a folder", () => trained, /which is a folder; expected the name of a file/],
    ["of a format that is not written", () => join(root, "v.gif"), /expected a name that ends in \.mp4/],
    ["without an extension", () => join(root, "cube"), /expected a name that ends in \.mp4/],
    ["below a file", () => join(lora, "v.mp4"), /there is no folder .*lora\.safetensors/],
  ];
  test.each(refusals)("%s is refused before anything is loaded", async (_, path, words) => {
    const before = readdirSync(root);
    await expect(generate({ base: "no such base", out: path() })).rejects.toMatchObject({
      code: "invalid_options",
      message: expect.stringMatching(words),
      remedy: expect.any(String),
    });
    expect(readdirSync(root)).toEqual(before);
  });

  test("that exists is kept, unless it may be replaced", async () => {
    const out = join(root, "mine.mp4");
    writeFileSync(out, "a video of mine");
    const few = { base: "tiny", number_of_frames: 1, out };
    await expect(generate(few)).rejects.toMatchObject({
      code: "output_exists",
      remedy: expect.stringContaining("--overwrite"),
    });
    expect(readFileSync(out, "utf8")).toBe("a video of mine");
    await generate({ ...few, overwrite: true });
    expect(readFileSync(out).subarray(4, 8).toString()).toBe("ftyp");
  });

  test("is the only file that is made", async () => {
    const folder = join(root, "alone");
    mkdirSync(folder);
    await generate({ base: "tiny", number_of_frames: 1, out: join(folder, "v.MP4") });
    expect(readdirSync(folder)).toEqual(["v.MP4"]);
  });
});
