/** Whole samplings against the three diffusers pipelines, replayed with their recorded noise. */
import { cat, full, Generator, liveTensors, randn, scope, zeros } from "@ltx-trainer/torch";
import { afterAll, describe, expect, test } from "vitest";
import { type LatentGrid, latentGrid, packLatents, unpackLatents } from "../latent-grid.ts";
import { sampleConditioned } from "../ltxv/conditions.ts";
import { ltxvCompression } from "../ltxv/config.ts";
import { encodePrompt } from "../ltxv/encode-prompt.ts";
import { causalCoords, secondsOf } from "../ltxv/transformer/rope.ts";
import { expectClose } from "../testing/expect-close.ts";
import { Fixture } from "../testing/fixture.ts";
import {
  checkConditioned,
  checkDecoded,
  checkVideo,
  Models,
  type PipelineCase,
  runOf,
  samplingTolerances,
} from "../testing/sampling-checks.ts";
import { decodeVideo } from "./decode-video.ts";
import { sampleLatents } from "./sampler.ts";

const models = new Models();
const { base, transformer, vae } = models;
const encoder = base.loadTextEncoder({ dtype: "float32" });
afterAll(() => {
  models.free();
  encoder.parameters.free();
});

describe("text to video like LTXPipeline", () => {
  test.each(["t2v_cfg", "t2v_batch", "t2v_rescale", "t2v_stochastic"])("%s", (name) => {
    checkVideo(new Fixture(`pipeline/${name}`), models, samplingTolerances.latents);
  });
});

describe("image to video like LTXImageToVideoPipeline", () => {
  test.each(["i2v_cfg", "i2v_plain"])("%s", (name) => {
    checkVideo(new Fixture(`pipeline/${name}`), models, samplingTolerances.latents);
  });
});

describe("conditions like LTXConditionPipeline", () => {
  const cases = ["text", "image", "image_noise", "image_soft", "image_at8", "video_at8"];
  test.each(cases)("condition_%s", (label) => {
    checkConditioned(new Fixture(`pipeline/condition_${label}`), models, samplingTolerances.latents);
  });
});

describe("prompts", () => {
  const tokenizer = base.loadTokenizer();

  test.each([
    ["t2v_cfg", false],
    ["condition_text", true],
  ])("are embedded like the reference's: %s, padding masked: %s", (name, maskPadding) => {
    const fixture = new Fixture(`pipeline/${name}`);
    const prompt = fixture.case<PipelineCase>().prompt as string;
    const embedded = encodePrompt(tokenizer, encoder, prompt, 32, { maskPadding });
    const text = fixture.tensor("in.text");
    const row = text.size(0) - 1;
    const reference = text.narrow(0, row, 1);
    expectClose(`pipeline/${name} text`, embedded.text_1LD, reference, samplingTolerances.embedded);
    expect(embedded.mask_1L.toArray()).toEqual(fixture.tensor("in.text_mask").select(0, row).toArray());
  });
});

describe("decoding", () => {
  test("mixes in noise and decodes like the end of LTXPipeline", () => {
    checkDecoded(new Fixture("pipeline/decode"), models, samplingTolerances.decoded);
  });

  test("needs noise for a timestep-conditioned decoder", () => {
    const latents = new Fixture("pipeline/decode").tensor("in.decode_noise");
    expect(() => decodeVideo(vae, latents)).toThrow(/got neither generator nor draw/);
  });
});

describe("sampling", () => {
  const grid: LatentGrid = latentGrid({ frames: 9, height: 32, width: 32 }, ltxvCompression);
  const { positive } = runOf(new Fixture("pipeline/t2v_stochastic"), models).options;
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

  test("a reference stands clean in front, at the video's own positions", () => {
    scope(() => {
      const long = latentGrid({ frames: 17, height: 32, width: 64 }, ltxvCompression);
      const shape = [1, transformer.config.inChannels, long.F, long.H, long.W];
      const [reference, noise] = [1, 2].map((seed) => randn(shape, { generator: new Generator(seed) }));
      const sampled = sampleLatents({
        ...options,
        grid: long,
        steps: 1,
        causalTime: true,
        reference_BCFHW: reference!,
        draw: () => noise!,
      });
      const coords_B3T = secondsOf(causalCoords(long), 25);
      const velocity = transformer.forward({
        tokens_BTC: cat([packLatents(reference!), packLatents(noise!)], 1),
        text_BLD: positive.text_1LD,
        textMask_BL: positive.mask_1L,
        timestep_BT: cat([zeros([1, long.tokens]), full([1, long.tokens], 1000)], 1),
        coords_B3T: cat([coords_B3T, coords_B3T], 2),
        grid: long,
        frameRate: 25,
      });
      const own = velocity.narrow(1, long.tokens, long.tokens);
      const expected = unpackLatents(packLatents(noise!).sub(own), long);
      expectClose("one step from sigma 1 to 0", sampled, expected, {
        abs: 1e-5,
        why: "per-token modulation",
      });
    });
  });

  test("refuses a reference of another grid", () => {
    const reference_BCFHW = zeros([1, transformer.config.inChannels, 3, 1, 1]);
    const run = () => sampleLatents({ ...options, reference_BCFHW, generator: new Generator(5) });
    expect(run).toThrow("reference: got 3x1x1 cells, expected the video's 2x1x1");
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
      const still = latentGrid({ frames: 1, height: 32, width: 32 }, ltxvCompression);
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
