/**
 * Makes a training's previews: which prompts, when, and into which files.
 */
import { mkdirSync } from "node:fs";
import { join, sep } from "node:path";
import type { Lora, PromptEmbedding, VideoTransformer } from "@ltx-trainer/ltx";
import { emptyCache } from "@ltx-trainer/torch";
import { type EncodeContext, encodeTexts } from "../cache/encode.ts";
import type { JobFolder } from "../job-folder.ts";
import { writeVideo } from "../media/encode-video.ts";
import { releaseModel } from "../models/device.ts";
import type { Plan } from "../plan.ts";
import { toFailure, withoutFolders } from "../process/failures.ts";
import { isInterruption } from "../process/interrupt.ts";
import type { SourcePolicy } from "../source/policy.ts";
import { encodeGiven } from "./inputs.ts";
import {
  decodeSampled,
  type PreviewContext,
  type PreviewPrompt,
  type PreviewVideo,
  sampleOnAndOff,
  samplePrompts,
} from "./previews.ts";

export type FinalPreviews = { readonly on: readonly PreviewVideo[]; readonly off: readonly PreviewVideo[] };

type PreviewerContext = EncodeContext & SourcePolicy;

export class Previewer {
  readonly #context: PreviewContext;
  readonly #folder: JobFolder;
  readonly #reverse: boolean;
  readonly #warned = new Set<string>();

  private constructor(context: PreviewContext, folder: JobFolder, reverse: boolean) {
    this.#context = context;
    this.#folder = folder;
    this.#reverse = reverse;
  }

  /** Encodes the prompts and what is given with them. Without prompts the dataset's first caption is shown. */
  static async make(
    plan: Plan,
    captions: readonly string[],
    encoding: PreviewerContext,
    folder: JobFolder,
  ): Promise<Previewer> {
    const { validation, objective } = plan;
    const fallback = [{ prompt: captions[0] ?? "" }];
    const wanted = validation.prompts.length > 0 ? validation.prompts : fallback;
    const texts = [...wanted.map(({ prompt }) => prompt), validation.negativePrompt];
    const embeddings = await encodeTexts(texts, objective, encoding);
    const { shape, prompts: sources } = validation;
    const given = await encodeGiven(sources, {
      ...{ ...encoding, shape, autoScale: plan.dataset.autoScale },
      scratch: folder.work,
    });
    const prompts: PreviewPrompt[] = wanted.map(({ prompt }, index) => ({
      prompt,
      positive: embeddings.get(prompt) as PromptEmbedding,
      ...given[index],
    }));
    const negative = embeddings.get(validation.negativePrompt) as PromptEmbedding;
    const settings = { ...validation, seed: plan.seed };
    return new Previewer({ ...encoding, settings, prompts, negative }, folder, validation.reverse);
  }

  get prompts(): readonly string[] {
    return this.#context.prompts.map(({ prompt }) => prompt);
  }

  /**
   * One video a prompt, with the LoRA, as it is after `step` steps. A preview that fails is a warning, once per cause: the
   * training goes on.
   *
   * @throws AppError `interrupted`
   */
  async duringTraining(transformer: VideoTransformer, lora: Lora, step: number): Promise<void> {
    const { signal, reporter } = this.#context;
    lora.setEnabled(true);
    try {
      const sampled = await samplePrompts(transformer, `Sampling after step ${step}`, this.#context);
      const videos = await decodeSampled(sampled, this.#context);
      await this.#writeEach(videos, `step-${String(step).padStart(6, "0")}`, { step, lora: true });
    } catch (error) {
      if (isInterruption(error, signal)) throw error;
      emptyCache();
      const { code, message } = this.explain(error);
      if (this.#warned.has(code)) return;
      this.#warned.add(code);
      reporter.warn(`preview after step ${step}: not made: ${message}. Training continues.`, { step, code });
    }
  }

  /** What went wrong with a preview, for people who do not know this machine's folders. */
  explain(error: unknown): { readonly code: string; readonly message: string } {
    const { signal, reporter } = this.#context;
    const around = { command: "train", signal, written: reporter.written, out: this.#folder.path };
    const failure = toFailure(error, around);
    const { code, message, facts } = failure;
    const reason = typeof facts.reason === "string" ? facts.reason : message;
    const inside = reason
      .replaceAll(`${this.#folder.path}${sep}`, "")
      .replaceAll(this.#folder.path, "output folder");
    return { code, message: withoutFolders(inside) };
  }

  /** Every prompt with and without the LoRA. Frees the transformer before the VAE is loaded. */
  async atTheEnd(transformer: VideoTransformer, lora: Lora, step: number): Promise<FinalPreviews> {
    const { on, off } = await sampleOnAndOff(transformer, lora, this.#context);
    lora.remove();
    releaseModel(transformer);
    const videos = await decodeSampled([...on, ...off], this.#context);
    const split = { on: videos.slice(0, on.length), off: videos.slice(on.length) };
    await this.#writeEach(split.on, "final-lora-on", { step, lora: true });
    await this.#writeEach(split.off, "final-lora-off", { step, lora: false });
    return split;
  }

  async #writeEach(
    videos: readonly PreviewVideo[],
    name: string,
    facts: { readonly step: number; readonly lora: boolean },
  ): Promise<void> {
    const { reporter, settings, signal } = this.#context;
    mkdirSync(this.#folder.samples, { recursive: true });
    for (const [index, { prompt, frames }] of videos.entries()) {
      const path = join(this.#folder.samples, `${name}-${index + 1}.mp4`);
      await writeVideo(path, [frames], { ...settings.shape, reverse: this.#reverse, signal });
      reporter.event({ type: "sample", path, prompt, ...facts });
    }
  }
}
