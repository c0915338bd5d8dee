/**
 * Generates clips with ltx-nano like the trainer's previews: with the same sampler and the settings in the model's folder.
 */
import { join } from "node:path";
import {
  decodeVideo,
  encodePrompt,
  type Lora,
  type LtxvBase,
  latentGrid,
  loadLora,
  openLtxvBase,
  type PromptEmbedding,
  sampleLatents,
  type T5Encoder,
  type T5Tokenizer,
  type Transformer,
  type Vae,
} from "@ltx-trainer/ltx";
import { Generator, scope } from "@ltx-trainer/torch";
import { type BaseProfile, profileOf } from "@ltx-trainer/trainer";
import type { Clip } from "./clips/draw.ts";
import type { ClipFormat } from "./clips/scene.ts";
import { toClips } from "./learning/batches.ts";

export const nanoFolder = join(import.meta.dirname, "..");

export type SampleOptions = {
  readonly format: ClipFormat;
  readonly seed: number;
  /** Default: the model's own. */
  readonly steps?: number | undefined;
  readonly guidance?: number | undefined;
};

export class Studio {
  readonly base: LtxvBase;
  readonly profile: BaseProfile;
  readonly vae: Vae;
  readonly #tokenizer: T5Tokenizer;
  readonly #encoder: T5Encoder;
  readonly #transformer: Transformer;
  readonly #lora: Lora | undefined;

  /** @param loraFile a LoRA to put on; it begins switched on */
  constructor(loraFile?: string, folder = nanoFolder) {
    const dtype = "float32";
    this.base = openLtxvBase(folder);
    this.profile = profileOf(this.base);
    this.#tokenizer = this.base.loadTokenizer();
    this.#encoder = this.base.loadTextEncoder({ dtype });
    this.#transformer = this.base.loadTransformer({ dtype });
    this.vae = this.base.loadVae({ dtype });
    this.#lora = loraFile === undefined ? undefined : loadLora(this.#transformer, loraFile).lora;
  }

  setLora(isOn: boolean): void {
    this.#lora?.setEnabled(isOn);
  }

  /** One clip; the same prompt, format and seed always give the same one. */
  sample(prompt: string, { format, seed, steps, guidance }: SampleOptions): Clip {
    const { sampler } = this.profile;
    return scope(() => {
      const generator = new Generator(seed);
      const latents_BCFHW = sampleLatents({
        transformer: this.#transformer,
        positive: this.#embed(prompt),
        negative: this.#embed(""),
        guidance: guidance ?? sampler.guidance,
        schedule: this.base.defaults.schedule,
        steps: steps ?? sampler.steps,
        grid: latentGrid(format, this.base.compression),
        frameRate: format.fps,
        causalTime: this.base.defaults.causalTime,
        generator,
      });
      const { decodeTimestep, decodeNoiseScale } = sampler;
      const pixels = decodeVideo(this.vae, latents_BCFHW, { decodeTimestep, decodeNoiseScale, generator });
      return toClips(pixels, format)[0]!;
    });
  }

  #embed(text: string): PromptEmbedding {
    return encodePrompt(this.#tokenizer, this.#encoder, text, this.base.defaults.textLength, {
      maskPadding: true,
    });
  }
}
