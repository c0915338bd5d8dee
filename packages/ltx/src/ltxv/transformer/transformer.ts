/**
 * The video transformer: predicts the velocity of noisy tokens from a caption and a noise level.
 *
 * Shapes: B batch, T video tokens, C latent channels, L text tokens, D width (of the text: caption channels),
 * G timestep groups (1, one per latent frame, or T).
 * Source: huggingface/diffusers@58eb52c, `transformer_ltx.py` (LTXVideoTransformer3DModel). Deliberate
 * difference: a timestep may be given per group of consecutive tokens, so conditioning a frame needs no per-token
 * modulation.
 */
import {
  checkpoint,
  type Device,
  type DType,
  Linear,
  layerNorm,
  type Parameters,
  scope,
  type Tensor,
} from "@ltx-trainer/torch";
import type { KeyNames, VelocityInputs } from "../../family.ts";
import { type TransformerConfig, transformerWidth } from "../config.ts";
import { ltxvKeyNames } from "../key-names.ts";
import { attentionTargets } from "../lora-targets.ts";
import { type BlockInputs, TransformerBlock } from "./block.ts";
import { CaptionProjection, modulate, TimeEmbedding, textBias } from "./conditioning.ts";
import { RopeCache, type RopeTables, ropeFromCoords } from "./rope.ts";

const normOutEps = 1e-6;

export type TransformerInputs = VelocityInputs & {
  /** Positions that are not a plain grid: seconds, pixel rows, pixel columns. Overrides grid and frame rate. */
  readonly coords_B3T?: Tensor | undefined;
  /** Tables made from such positions. The caller frees them. */
  readonly rope?: RopeTables | undefined;
  /** Called with the output of each block, `[B,T,D]`, in order. The tensor is freed with the forward pass. */
  readonly onBlock?: (x_BTD: Tensor, block: number) => void;
};

export class Transformer {
  readonly config: TransformerConfig;
  readonly parameters: Parameters;
  readonly keyNames: KeyNames = ltxvKeyNames;
  readonly loraTargets: readonly string[] = attentionTargets;
  readonly #projIn: Linear;
  readonly #scaleShiftTable_2D: Tensor;
  readonly #timeEmbed: TimeEmbedding;
  readonly #captionProjection: CaptionProjection;
  readonly #blocks: readonly TransformerBlock[];
  readonly #projOut: Linear;
  readonly #ropes: RopeCache;

  constructor(p: Parameters, config: TransformerConfig) {
    const width = transformerWidth(config);
    this.config = config;
    this.parameters = p;
    this.#projIn = new Linear(p.at("proj_in"), config.inChannels, width);
    this.#scaleShiftTable_2D = p.tensor("scale_shift_table", [2, width], { normal: width ** -0.5 });
    this.#timeEmbed = new TimeEmbedding(p.at("time_embed"), width);
    this.#captionProjection = new CaptionProjection(
      p.at("caption_projection"),
      config.captionChannels,
      width,
    );
    const blocks = p.at("transformer_blocks");
    this.#blocks = Array.from(
      { length: config.numLayers },
      (_, i) => new TransformerBlock(blocks.at(i), config),
    );
    this.#projOut = new Linear(p.at("proj_out"), width, config.outChannels);
    this.#ropes = new RopeCache(width);
  }

  /** Element type of the weights and of the computation. */
  get dtype(): DType {
    return this.#projIn.weight.dtype;
  }

  get device(): Device {
    return this.#projIn.weight.device;
  }

  get latentChannels(): number {
    return this.config.inChannels;
  }

  /**
   * The predicted velocity, `noise - latents`: `[B,T,outChannels]` in the weights' type.
   *
   * Tokens and text are cast to the weights' type. Positions and the timestep's sinusoid stay float32.
   *
   * @throws RangeError when tokens, timestep and grid do not match
   */
  forward(inputs: TransformerInputs): Tensor {
    // A recomputed block needs its inputs until the backward pass, so they belong to the caller's scope.
    return inputs.checkpointBlocks === true ? this.#run(inputs) : scope(() => this.#run(inputs));
  }

  #run(inputs: TransformerInputs): Tensor {
    const tokens_BTC = inputs.tokens_BTC.to(this.dtype);
    const timestep_BG = groupTimesteps(inputs.timestep_BT, tokens_BTC);
    const time = this.#timeEmbed.forward(timestep_BG, this.dtype);
    const shared: BlockInputs = {
      text_BLD: this.#captionProjection.forward(inputs.text_BLD.to(this.dtype)),
      textBias_B11L: inputs.textMask_BL && textBias(inputs.textMask_BL, this.dtype),
      modulation_BG6D: time.modulation_BG6D,
      rope: this.#rope(inputs),
    };
    let x_BTD = this.#projIn.forward(tokens_BTC);
    for (const [index, block] of this.#blocks.entries()) {
      x_BTD = runBlock(block, x_BTD, shared, inputs.checkpointBlocks ?? false);
      inputs.onBlock?.(x_BTD, index);
    }
    return this.#output(x_BTD, time.embedded_BGD);
  }

  /** Frees the weights and the position tables. */
  free(): void {
    this.#ropes.free();
    this.parameters.free();
  }

  #rope(inputs: TransformerInputs): RopeTables {
    const T = inputs.tokens_BTC.size(1);
    const { coords_B3T, grid, frameRate, videos = 1 } = inputs;
    const width = transformerWidth(this.config);
    const made = inputs.rope ?? (coords_B3T && ropeFromCoords({ width, coords_B3T, device: this.device }));
    if (made === undefined && videos * grid.tokens !== T) {
      const { F, H, W } = grid;
      const cells = `${videos === 1 ? "" : `${videos} videos of `}${F}x${H}x${W} cells`;
      throw new RangeError(`transformer: got ${T} tokens, expected ${videos * grid.tokens} for ${cells}`);
    }
    const timeRule = inputs.causalTime === true ? "causal" : "plain";
    return made ?? this.#ropes.get({ grid, frameRate, timeRule, videos }, this.device);
  }

  #output(x_BTD: Tensor, embedded_BGD: Tensor): Tensor {
    const rows_BG2D = this.#scaleShiftTable_2D.add(embedded_BGD.unsqueeze(2));
    const [shift_BGD, scale_BGD] = rows_BG2D.unbind(2) as [Tensor, Tensor];
    const normed_BTD = layerNorm(x_BTD, [x_BTD.size(-1)], undefined, undefined, normOutEps);
    return this.#projOut.forward(modulate(normed_BTD, scale_BGD, shift_BGD));
  }
}

/** Runs one block in its own scope, so that its intermediates are freed before the next block. */
function runBlock(block: TransformerBlock, x_BTD: Tensor, shared: BlockInputs, recompute: boolean): Tensor {
  if (!recompute) return scope(() => block.forward(x_BTD, shared));
  const inputs = [x_BTD, shared.text_BLD, shared.modulation_BG6D];
  return checkpoint((x, text_BLD, modulation_BG6D) => {
    return block.forward(x, { ...shared, text_BLD, modulation_BG6D });
  }, inputs);
}

function groupTimesteps(timestep: Tensor, tokens_BTC: Tensor): Tensor {
  const [B, T] = tokens_BTC.shape as readonly [number, number];
  const timestep_BG = timestep.ndim === 1 ? timestep.unsqueeze(1) : timestep;
  if (timestep_BG.ndim !== 2 || timestep_BG.size(0) !== B || T % timestep_BG.size(1) !== 0) {
    const shape = `[${timestep.shape.join(",")}]`;
    throw new RangeError(`timestep: got ${shape}, expected [${B}], or [${B},G] with G dividing ${T} tokens`);
  }
  return timestep_BG;
}
