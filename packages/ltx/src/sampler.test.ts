/** Whole samplings against the three diffusers pipelines, replayed with their recorded noise. */
import { Generator, liveTensors, scope, type Tensor } from "@ltx-trainer/torch";
import { afterAll, describe, expect, test } from "vitest";
import { openBase } from "./base.ts";
import { type Condition, sampleConditioned } from "./conditions.ts";
import { LTXV_090_SCHEDULER, type SchedulerConfig } from "./config.ts";
import type { PromptEmbedding } from "./guidance.ts";
import { type LatentGrid, latentGrid } from "./latent-grid.ts";
import { decodeVideo, encodePrompt } from "./pipeline.ts";
import { type SampleProgress, sampleLatents } from "./sampler.ts";
import { expectClose } from "./testing/expect-close.ts";
import { Fixture, fixturePath } from "./testing/fixture.ts";

const LATENTS = { abs: 2e-4, why: "float32 through three steps of a model (ltx-model.md 9.3, pipelines)" };
const DECODED = { abs: 2e-4, why: "float32 convolutions after the loop (ltx-model.md 9.3, decode stage)" };
const EMBEDDED = { abs: 5e-5, why: "float32 sums in another order in the text encoder (ltx-model.md 9.3)" };

const base = openBase(fixturePath("folder/tiny"));
const transformer = base.loadTransformer({ dtype: "float32" });
const vae = base.loadVae({ dtype: "float32" });
const encoder = base.loadTextEncoder({ dtype: "float32" });
afterAll(() => {
  transformer.free();
  for (const model of [vae, encoder]) model.parameters.free();
});

type Case = {
  scheduler: "dynamic" | "linear" | "stochastic";
  guidance_scale: number;
  guidance_rescale?: number;
  frame_rate: number;
  num_frames: number;
  height?: number;
  width?: number;
  prompt: string | string[];
  frame_index?: number;
  strength?: number;
  image_cond_noise_scale?: number;
};

function scheduler(kind: Case["scheduler"]): SchedulerConfig {
  if (kind === "dynamic") return LTXV_090_SCHEDULER;
  return { ...base.schedulerConfig, stochasticSampling: kind === "stochastic" };
}

/** Everything one recorded run gave its pipeline, noise in the order of its draws. */
function runOf(fixture: Fixture) {
  const asked = fixture.case<Case>();
  const noises = fixture.names("in.noise_").map((_, i) => fixture.tensor(`in.noise_${i}`));
  const text = fixture.tensor("in.text");
  const mask = fixture.tensor("in.text_mask");
  const guided = asked.guidance_scale > 1;
  const B = text.size(0) / (guided ? 2 : 1);
  const rows = (from: number): PromptEmbedding => {
    return { text_1LD: text.narrow(0, from, B), mask_1L: mask.narrow(0, from, B) };
  };
  const { num_frames: frames, height = 64, width = 96 } = asked;
  return {
    asked,
    noises,
    options: {
      transformer,
      steps: 3,
      positive: rows(guided ? B : 0),
      negative: guided ? rows(0) : undefined,
      guidance: asked.guidance_scale,
      guidanceRescale: asked.guidance_rescale,
      grid: latentGrid({ frames, height, width }),
      frameRate: asked.frame_rate,
      draw: () => noises.shift()!,
    },
  };
}

function checkSteps(name: string, fixture: Fixture): (progress: SampleProgress) => void {
  return ({ step, sigma, tokens_BTC }) => {
    expect(sigma).toBe(fixture.tensor("out.sigmas").toArray()[step - 1]);
    expectClose(
      `pipeline/${name} step ${step}`,
      tokens_BTC,
      fixture.tensor(`out.latents_${step - 1}`),
      LATENTS,
    );
  };
}

/** Pixels to normalised latents with the recorded posterior noise. */
function encoded(pixels: Tensor, noise: Tensor): Tensor {
  const pixels_BCfhw = pixels.to("float32").div(127.5).sub(1).transpose(0, 1).unsqueeze(0);
  return vae.normalize(vae.sample(vae.encode(pixels_BCfhw), { noise }));
}

describe("text to video like LTXPipeline", () => {
  test.each(["t2v_cfg", "t2v_batch", "t2v_rescale", "t2v_stochastic"])("%s", (name) => {
    const fixture = new Fixture(`pipeline/${name}`);
    const { asked, options, noises } = runOf(fixture);
    const onStep = checkSteps(name, fixture);
    sampleLatents({
      ...options,
      schedule: { kind: "flow-match", config: scheduler(asked.scheduler) },
      onStep,
    });
    expect(noises, "recorded draws left over").toEqual([]);
    expect.assertions(options.steps * 3 + 1);
  });
});

describe("image to video like LTXImageToVideoPipeline", () => {
  test.each(["i2v_cfg", "i2v_plain"])("%s", (name) => {
    const fixture = new Fixture(`pipeline/${name}`);
    const { asked, options, noises } = runOf(fixture);
    const firstFrame_BC1HW = encoded(fixture.tensor("in.pixels"), noises.shift()!);
    const onStep = checkSteps(name, fixture);
    const schedule = { kind: "flow-match", config: scheduler(asked.scheduler) } as const;
    const latents = sampleLatents({ ...options, schedule, firstFrame_BC1HW, onStep });
    expectClose(`pipeline/${name} first frame`, latents.narrow(2, 0, 1), firstFrame_BC1HW, {
      abs: 0,
      why: "held",
    });
    expect(noises, "recorded draws left over").toEqual([]);
  });
});

describe("conditions like LTXConditionPipeline", () => {
  const cases = ["text", "image", "image_noise", "image_soft", "image_at8", "video_at8"];
  test.each(cases)("condition_%s", (label) => {
    const name = `condition_${label}`;
    const fixture = new Fixture(`pipeline/${name}`);
    const { asked, options, noises } = runOf(fixture);
    const conditions: Condition[] = [];
    if (fixture.has("in.pixels")) {
      // The pipeline draws the posterior's noise after the start noise.
      const [posterior] = noises.splice(1, 1);
      const { frame_index: frameIndex = 0, strength = 1 } = asked;
      conditions.push({
        latents_BCFHW: encoded(fixture.tensor("in.pixels"), posterior!),
        frameIndex,
        strength,
      });
    }
    const latents = sampleConditioned({
      ...options,
      conditions,
      schedule: { kind: "linear-quadratic", config: scheduler(asked.scheduler) },
      imageNoiseScale: asked.image_cond_noise_scale,
      onStep: checkSteps(name, fixture),
    });
    expectClose(`pipeline/${name} final`, latents, fixture.tensor("out.unpacked"), LATENTS);
    expect(noises, "recorded draws left over").toEqual([]);
  });
});

describe("prompts", () => {
  const tokenizer = base.loadTokenizer();

  test.each([
    ["t2v_cfg", false],
    ["condition_text", true],
  ])("are embedded like the reference's: %s, padding masked: %s", (name, maskPadding) => {
    const fixture = new Fixture(`pipeline/${name}`);
    const prompt = fixture.case<Case>().prompt as string;
    const embedded = encodePrompt(tokenizer, encoder, prompt, 32, { maskPadding });
    const text = fixture.tensor("in.text");
    const row = text.size(0) - 1;
    expectClose(`pipeline/${name} text`, embedded.text_1LD, text.narrow(0, row, 1), EMBEDDED);
    expect(embedded.mask_1L.toArray()).toEqual(fixture.tensor("in.text_mask").select(0, row).toArray());
  });
});

describe("decoding", () => {
  test("mixes in noise and decodes like the end of LTXPipeline", () => {
    const fixture = new Fixture("pipeline/decode");
    const asked =
      fixture.case<Record<"decode_timestep" | "decode_noise_scale" | "row_step" | "column_step", number>>();
    const grid = latentGrid({ frames: 9, height: 64, width: 96 });
    const pixels = decodeVideo(
      vae,
      fixture.tensor("in.latents").transpose(1, 2).unflatten(2, [grid.F, grid.H, grid.W]),
      {
        decodeTimestep: asked.decode_timestep,
        decodeNoiseScale: asked.decode_noise_scale,
        draw: () => fixture.tensor("in.decode_noise"),
      },
    );
    const stepped = pixels.slice(3, 0, undefined, asked.row_step).slice(4, 0, undefined, asked.column_step);
    expectClose("pipeline/decode pixels", stepped, fixture.tensor("out.pixels_stepped"), DECODED);
  });

  test("needs noise for a timestep-conditioned decoder", () => {
    const latents = new Fixture("pipeline/decode").tensor("in.decode_noise");
    expect(() => decodeVideo(vae, latents)).toThrow(/got neither generator nor draw/);
  });
});

describe("sampling", () => {
  const grid: LatentGrid = latentGrid({ frames: 9, height: 32, width: 32 });
  const { positive } = runOf(new Fixture("pipeline/t2v_stochastic")).options;
  const schedule = { kind: "flow-match", config: base.schedulerConfig } as const;
  const options = { transformer, positive, guidance: 1, grid, frameRate: 25, steps: 2, schedule };

  test("twice with one seed gives the same latents, and leaves nothing else behind", () => {
    const sampled = () => sampleLatents({ ...options, generator: new Generator(5) });
    const first = sampled();
    const before = liveTensors();
    const second = sampled();
    expect(second.toArray()).toEqual(first.toArray());
    expect(liveTensors()).toBe(before + 1);
  });

  test("refuses guidance without a negative prompt", () => {
    expect(() => sampleLatents({ ...options, guidance: 3, generator: new Generator(5) })).toThrow(
      /guidance: got 3/,
    );
  });

  test("refuses to sample without noise", () => {
    expect(() => sampleLatents(options)).toThrow(/got neither generator nor draw/);
  });

  test("refuses a first frame where there is nothing else", () => {
    scope(() => {
      const still = latentGrid({ frames: 1, height: 32, width: 32 });
      const firstFrame_BC1HW = new Fixture("pipeline/i2v_plain").tensor("in.noise_0");
      const run = () =>
        sampleLatents({ ...options, grid: still, firstFrame_BC1HW, generator: new Generator(5) });
      expect(run).toThrow(/one latent frame, expected more/);
    });
  });

  test("refuses a condition of another size", () => {
    const latents_BCFHW = new Fixture("pipeline/i2v_plain").tensor("in.noise_0");
    const conditions = [{ latents_BCFHW, frameIndex: 0, strength: 1 }];
    const run = () => sampleConditioned({ ...options, conditions, generator: new Generator(5) });
    expect(run).toThrow(/got 2x3 cells, expected the video's 1x1/);
  });
});
