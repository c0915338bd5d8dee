/**
 * A second model family, for tests: a folder beside `ltxv/` would look like this.
 *
 * Everything in it is different on purpose: 4x compression in time and 16x in space, 6 latent channels, an encoder that hashes
 * characters, one block with layers of its own names.
 */
import {
  full,
  Generator,
  Linear,
  layerNorm,
  Parameters,
  scope,
  type Tensor,
  tensor,
  zeros,
} from "@ltx-trainer/torch";
import type {
  BaseModel,
  KeyNames,
  LoadOptions,
  ModelFamily,
  PromptEncoder,
  VelocityInputs,
  VideoTransformer,
  VideoVae,
} from "../../family.ts";
import type { SchedulerConfig } from "../../sampling/schedule.ts";

const [channels, width, textWidth] = [6, 16, 8];
const compression = { temporal: 4, spatial: 16 };

const scheduler: SchedulerConfig = {
  numTrainTimesteps: 1000,
  shift: 1,
  useDynamicShifting: false,
  baseShift: 0.5,
  maxShift: 1.15,
  baseImageSeqLen: 256,
  maxImageSeqLen: 4096,
  shiftTerminal: undefined,
  timeShiftType: "exponential",
  stochasticSampling: false,
};

const keyNames: KeyNames = {
  toOriginal: (path) => path.replace(/^mix\./, "mixer."),
  fromOriginal: (key) => key.replace(/^mixer\./, "mix."),
};

const fresh = ({ dtype, device, trainable }: LoadOptions) =>
  Parameters.random({
    generator: new Generator(7),
    ...(dtype === undefined ? {} : { dtype }),
    ...(device === undefined ? {} : { device }),
    ...(trainable === undefined ? {} : { trainable }),
  });

class Mixer implements VideoTransformer {
  readonly latentChannels = channels;
  readonly keyNames = keyNames;
  readonly loraTargets: readonly string[] = ["mix.in", "mix.out"];
  readonly parameters: Parameters;
  readonly #in: Linear;
  readonly #text: Linear;
  readonly #out: Linear;

  constructor(p: Parameters) {
    this.parameters = p;
    this.#in = new Linear(p.at("mix.in"), channels, width);
    this.#text = new Linear(p.at("mix.text"), textWidth, width);
    this.#out = new Linear(p.at("mix.out"), width, channels);
  }

  get dtype() {
    return this.#in.weight.dtype;
  }

  get device() {
    return this.#in.weight.device;
  }

  forward({ tokens_BTC, text_BLD }: VelocityInputs): Tensor {
    return scope(() => {
      const text_B1D = this.#text.forward(text_BLD.to(this.dtype)).mean([1], true);
      const x_BTD = this.#in.forward(tokens_BTC.to(this.dtype)).add(text_B1D);
      return this.#out.forward(layerNorm(x_BTD, [width], undefined, undefined, 1e-5).sigmoid());
    });
  }

  free(): void {
    this.parameters.free();
  }
}

/** Latents are means of cells; decoding repeats them. */
function makeVae(options: LoadOptions): VideoVae {
  const { temporal, spatial } = compression;
  const { dtype = "float32", device = "cpu" } = options;
  return {
    dtype,
    device,
    parameters: fresh(options),
    isTimestepConditioned: false,
    encode: (pixels_BCfhw) =>
      scope(() => {
        const [B, , f, h, w] = pixels_BCfhw.shape as [number, number, number, number, number];
        const shape = [B, channels, (f - 1) / temporal + 1, h / spatial, w / spatial];
        const mean = pixels_BCfhw.mean([1, 2, 3, 4], true).expand(shape).contiguous();
        return { mean_BCFHW: mean, logvar_B1FHW: full([B, 1, ...shape.slice(2)], -30) };
      }),
    sample: ({ mean_BCFHW }) => mean_BCFHW.clone(),
    mode: ({ mean_BCFHW }) => mean_BCFHW.clone(),
    normalize: (latents) => latents.clone(),
    denormalize: (latents) => latents.clone(),
    decode: (latents) =>
      scope(() => {
        const [B, , F, H, W] = latents.shape as [number, number, number, number, number];
        return zeros([B, 3, (F - 1) * temporal + 1, H * spatial, W * spatial]).add(latents.mean().item());
      }),
  };
}

const loadPromptEncoder = (options: LoadOptions = {}): PromptEncoder => ({
  parameters: fresh(options),
  encode: (text, { length }) => {
    const codes = Array.from({ length }, (_, i) => text.charCodeAt(i) || 0);
    return {
      text_1LD: tensor([
        codes.map((code) => Array.from({ length: textWidth }, (_, d) => Math.sin(code * (d + 1)))),
      ]),
      mask_1L: tensor([codes.map((code) => (code === 0 ? 0 : 1))], { dtype: "int64" }),
    };
  },
});

const size = { width: 32, height: 32 };
const row = { "16:9": size, "1:1": size, "9:16": size };

/** Folders whose `model_index.json` says `DoublePipeline`. */
export const double: ModelFamily = {
  name: "double",
  pipelines: ["DoublePipeline"],
  open: (folder): BaseModel => ({
    folder,
    name: "double",
    variant: "tiny",
    latentChannels: channels,
    textWidth,
    compression,
    loraTargets: ["mix.in", "mix.text", "mix.out"],
    defaults: {
      causalTime: false,
      maskTextPadding: false,
      textLength: 5,
      schedule: { kind: "flow-match", config: scheduler },
      sampler: { steps: 3, guidance: 1, decodeTimestep: 0, decodeNoiseScale: 0 },
      firstFrameConditioningP: 0,
      recomputesOnGpu: false,
      sizes: { low: row, medium: row, high: row },
    },
    loadTransformer: (options = {}) => new Mixer(fresh(options)),
    loadVae: (options = {}) => makeVae(options),
    loadPromptEncoder,
    loadTokenizer: () => ({
      count: (text) => text.length,
      tokenize: (text) => [...text].map((letter) => letter.charCodeAt(0)),
    }),
    hash: async () => "double",
  }),
};
