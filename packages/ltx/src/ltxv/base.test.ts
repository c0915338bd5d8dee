/** Base model folders: described, loaded, hashed, refused. */
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CheckpointError, noGrad, openTensors, Parameters } from "@ltx-trainer/torch";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ConfigError, ConfigFields } from "../config-fields.ts";
import { gridOf } from "../latent-grid.ts";
import { expectClose } from "../testing/expect-close.ts";
import { Fixture, fixturePath } from "../testing/fixture.ts";
import { openLtxvBase } from "./base.ts";
import { ltxvCompression, parseTransformerConfig } from "./config.ts";
import { Transformer } from "./transformer/transformer.ts";

const tiny = fixturePath("folder/tiny");

test("a folder is described by its configurations", () => {
  const base = openLtxvBase(tiny);
  expect(base.name).toBe("tiny");
  expect(base.variant).toBe("custom");
  expect(base.transformerConfig).toMatchObject({
    numLayers: 2,
    numAttentionHeads: 4,
    inChannels: 8,
    captionChannels: 32,
  });
  expect(base.compression).toEqual({ temporal: 8, spatial: 32 });
  expect(base.defaults.causalTime, "its VAE is the kind of 0.9.5").toBe(true);
  expect(base.defaults.schedule).toEqual({ kind: "linear-quadratic", config: base.schedulerConfig });
  expect(base.defaults.textLength, "what its tokenizer says").toBe(128);
});

test("every component loads, shards included, with no key missing or left over", () => {
  const base = openLtxvBase(tiny);
  const models = [base.loadTransformer(), base.loadVae(), base.loadTextEncoder()];
  const stored = ["transformer", "vae", "text_encoder"].map((component) => {
    const source = openTensors(join(tiny, component));
    const count = source.names().length;
    source.close();
    return count;
  });
  expect(models.map((model) => model.parameters.all.size)).toEqual(stored);
  expect(base.loadTokenizer().encode("a circle", 8).ids.length).toBe(8);
  for (const model of models) model.parameters.free();
});

test("weights are cast as asked", () => {
  const model = openLtxvBase(tiny).loadTransformer({ dtype: "bfloat16" });
  expect(model.dtype).toBe("bfloat16");
  model.free();
});

test("a sharded transformer answers like the one in a single file", () => {
  const folder = fixturePath("sharded/t_c");
  const fixture = new Fixture("transformer/t_c");
  const source = openTensors(folder);
  const p = Parameters.from(source);
  const model = new Transformer(
    p,
    parseTransformerConfig(ConfigFields.fromFile(join(folder, "config.json"))),
  );
  p.finish("sharded");
  const output = noGrad(() =>
    model.forward({
      tokens_BTC: fixture.tensor("in.hidden_states"),
      text_BLD: fixture.tensor("in.encoder_hidden_states"),
      timestep_BT: fixture.tensor("in.timestep_scalar"),
      grid: gridOf({ F: 3, H: 2, W: 3 }, ltxvCompression),
      frameRate: 25,
    }),
  );
  const why = "float32 sums in another order (ltx-model.md 9.3, model)";
  expectClose("sharded/t_c", output, fixture.tensor("out.scalar.output"), { abs: 5e-5, why });
  model.free();
  source.close();
});

describe("a copy that was changed", () => {
  let folder: string;
  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), "base-")), "ltx-nano-copy");
    cpSync(tiny, folder, { recursive: true });
  });
  afterEach(() => rmSync(join(folder, ".."), { recursive: true }));

  function edit(file: string, change: (json: Record<string, unknown>) => void): void {
    const path = join(folder, file);
    const json = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    change(json);
    writeFileSync(path, JSON.stringify(json));
  }

  test("is a nano by its name, or whatever its index says", () => {
    expect(openLtxvBase(folder).variant).toBe("nano");
    edit("model_index.json", (json) => {
      json._ltx_trainer = { name: "mine", family: "2b", text_length: 64, causal_time: false };
    });
    const base = openLtxvBase(folder);
    expect(base).toMatchObject({
      name: "mine",
      variant: "2b",
      defaults: { textLength: 64, causalTime: false },
    });
    expect(base.defaults.schedule.kind).toBe("flow-match");
  });

  test("has another hash when a weight changes, and the same when nothing does", async () => {
    const before = await openLtxvBase(folder).hash();
    expect(before).toMatch(/^[0-9a-f]{64}$/);
    expect(await openLtxvBase(tiny).hash()).toBe(before);
    const path = join(folder, "text_encoder", "model.safetensors");
    const bytes = readFileSync(path);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(path, bytes);
    expect(await openLtxvBase(folder).hash()).not.toBe(before);
  });

  test("keeps its hash whatever lies beside the files that are loaded", async () => {
    const before = await openLtxvBase(folder).hash();
    for (const component of ["scheduler", "text_encoder", "tokenizer", "transformer", "vae"]) {
      mkdirSync(join(folder, component, ".ipynb_checkpoints"));
      mkdirSync(join(folder, component, "old"));
      for (const name of [".DS_Store", "._diffusion_pytorch_model.safetensors", "README.md", "model.bin"])
        writeFileSync(join(folder, component, name), "left behind");
    }
    expect(await openLtxvBase(folder).hash()).toBe(before);
    openLtxvBase(folder).loadVae().parameters.free();
  });

  test.each([
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "tokenizer/tokenizer_config.json",
    "transformer/config.json",
    "vae/config.json",
  ])("has another hash when %s changes", async (file) => {
    const before = await openLtxvBase(folder).hash();
    edit(file, (json) => {
      json.note = "changed";
    });
    expect(await openLtxvBase(folder).hash()).not.toBe(before);
  });

  test("has another hash when a shard or its index changes", async () => {
    const hashes = [await openLtxvBase(folder).hash()];
    const names = readdirSync(join(folder, "transformer")).filter((name) => name.includes(".safetensors"));
    expect(names).toHaveLength(3);
    for (const name of names) {
      appendFileSync(join(folder, "transformer", name), " ");
      hashes.push(await openLtxvBase(folder).hash());
    }
    expect(new Set(hashes).size).toBe(4);
  });

  test("with a tokenizer that has more ids than the text encoder has rows is refused", () => {
    edit("text_encoder/config.json", (json) => {
      json.vocab_size = 50;
    });
    expect(() => openLtxvBase(folder)).toThrow(ConfigError);
    expect(() => openLtxvBase(folder)).toThrow(
      /tokenizer: got \d+ token ids, expected at most 50, the text_encoder's vocab_size.*copy both folders/,
    );
  });

  test("names every key that does not fit", () => {
    edit("transformer/config.json", (json) => {
      json.num_layers = 3;
    });
    expect(() => openLtxvBase(folder).loadTransformer()).toThrow(CheckpointError);
    expect(() => openLtxvBase(folder).loadTransformer()).toThrow(/missing:\n.*transformer_blocks\.2\./);
  });

  test("without a component is refused", () => {
    rmSync(join(folder, "vae"), { recursive: true });
    expect(() => openLtxvBase(folder)).toThrow(/got no vae, expected the components scheduler, text_encoder/);
  });

  test.each([
    ["transformer/config.json", { patch_size: 2 }, /patch_size: got 2, expected 1/],
    [
      "transformer/config.json",
      { qk_norm: "layer_norm" },
      /qk_norm: got "layer_norm", expected "rms_norm_across_heads"/,
    ],
    [
      "transformer/config.json",
      { cross_attention_dim: 64 },
      /cross_attention_dim: got 64, expected 32, the width/,
    ],
    [
      "transformer/config.json",
      { num_layers: 0 },
      /num_layers: got 0, expected a whole number of at least 1/,
    ],
    [
      "transformer/config.json",
      { caption_channels: 48 },
      /d_model: got 32, expected 48, the transformer's caption_channels/,
    ],
    [
      "transformer/config.json",
      { in_channels: 16 },
      /in_channels: got 16, expected 8, the latent channels of the VAE/,
    ],
    [
      "scheduler/scheduler_config.json",
      { use_karras_sigmas: true },
      /use_karras_sigmas: got true, expected false/,
    ],
    [
      "model_index.json",
      { _class_name: "FluxPipeline" },
      /_class_name: got "FluxPipeline", expected "LTXPipeline"/,
    ],
  ])("%s with %j is refused", (file, change, message) => {
    edit(file, (json) => Object.assign(json, change));
    expect(() => openLtxvBase(folder)).toThrow(ConfigError);
    expect(() => openLtxvBase(folder)).toThrow(message);
  });
});

test("a folder that is not there says which file was looked for", () => {
  expect(() => openLtxvBase("/nowhere")).toThrow(
    "/nowhere/model_index.json: got no readable file, expected a JSON file",
  );
});
