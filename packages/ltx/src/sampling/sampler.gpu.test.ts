/** Whole samplings on a GPU against the three diffusers pipelines. */
import { Generator, noGrad } from "@ltx-trainer/torch";
import { afterAll, beforeAll, expect, test } from "vitest";
import { encodePrompt } from "../ltxv/encode-prompt.ts";
import { compare } from "../testing/expect-close.ts";
import { Fixture } from "../testing/fixture.ts";
import { describeOnGpu, onGpu, testDevice } from "../testing/gpu.ts";
import {
  checkConditioned,
  checkDecoded,
  checkVideo,
  Models,
  runOf,
  samplingTolerances,
} from "../testing/sampling-checks.ts";
import { sampleLatents } from "./sampler.ts";

const latents = onGpu(samplingTolerances.latents);
const fixtureOn = (name: string) => new Fixture(`pipeline/${name}`, testDevice);

describeOnGpu("sampling", () => {
  let models: Models;
  beforeAll(() => {
    models = new Models({ device: testDevice });
  });
  afterAll(() => models.free());

  test.each(["t2v_cfg", "t2v_stochastic", "i2v_cfg"])("%s", (name) => {
    checkVideo(fixtureOn(name), models, latents);
  });

  test.each(["condition_image_noise", "condition_video_at8"])("%s", (name) => {
    checkConditioned(fixtureOn(name), models, latents);
  });

  test("decodes like the end of LTXPipeline", () => {
    checkDecoded(fixtureOn("decode"), models, onGpu(samplingTolerances.decoded));
  });

  test("a prompt and a seed give the CPU's latents", () => {
    const onDevice = (device: typeof testDevice) => {
      const { base, transformer } = device === testDevice ? models : new Models({ device });
      const encoder = base.loadTextEncoder({ dtype: "float32", device });
      const positive = encodePrompt(base.loadTokenizer(), encoder, "a red ball", 32);
      const { options } = runOf(new Fixture("pipeline/t2v_cfg", device), { transformer } as Models);
      const { draw: _, negative: __, ...rest } = options;
      const schedule = { kind: "flow-match", config: base.schedulerConfig } as const;
      return noGrad(() =>
        sampleLatents({ ...rest, schedule, positive, guidance: 1, generator: new Generator(4) }),
      );
    };
    expect(compare(onDevice(testDevice), onDevice("cpu")).abs).toBeLessThan(latents.abs ?? 0);
  });
});
