/** For tests: the transformer's fixtures as models and inputs, and the comparisons that every device must pass. */
import {
  backwardThrough,
  type DType,
  keep,
  noGrad,
  Parameters,
  scope,
  type Tensor,
  type TensorSource,
} from "@ltx-trainer/torch";
import { gridOf } from "../latent-grid.ts";
import { ltxvCompression, parseTransformerConfig } from "../ltxv/config.ts";
import { Transformer, type TransformerInputs } from "../ltxv/transformer/transformer.ts";
import { expectClose, expectRoundingOnly, type Tolerance } from "./expect-close.ts";
import type { Fixture } from "./fixture.ts";

type Forward = {
  timestep: string;
  masked: boolean;
  coords: "grid" | "video_coords";
  fps: number;
  hidden_states: string;
};
type Case = { forwards: Record<string, Forward>; clip_grid: Size; image_grid: Size };
type Size = [number, number, number];

/** Tolerances of float32 on a CPU. */
export const transformerTolerances = {
  output: { abs: 5e-5, why: "float32 sums in another order, two blocks deep (ltx-model.md 9.3, model)" },
  loss: { rel: 1e-5, why: "ltx-model.md 9.3" },
  gradient: { rel: 1e-4, why: "float32 sums in another order, forward and backward (ltx-model.md 9.3)" },
  recomputed: { rel: 1e-5, why: "the text's gradient is summed over the blocks in another order" },
} satisfies Record<string, Tolerance>;

export function transformerOf(
  fixture: Fixture,
  options: { trainable?: boolean; dtype?: DType } = {},
): Transformer {
  return fixture.model((p) => new Transformer(p, parseTransformerConfig(fixture.config)), options);
}

/** Names of the forward passes a fixture holds. */
export function forwardsOf(fixture: Fixture): string[] {
  return Object.keys(fixture.case<Case>().forwards);
}

export function inputsOf(fixture: Fixture, name: string): TransformerInputs {
  const { forwards, clip_grid, image_grid } = fixture.case<Case>();
  const asked = forwards[name]!;
  const [F, H, W] = asked.hidden_states === "in.hidden_states" ? clip_grid : image_grid;
  return {
    tokens_BTC: fixture.tensor(asked.hidden_states),
    text_BLD: fixture.tensor("in.encoder_hidden_states"),
    textMask_BL: asked.masked ? fixture.tensor("in.encoder_attention_mask") : undefined,
    timestep_BT: fixture.tensor(asked.timestep),
    grid: gridOf({ F, H, W }, ltxvCompression),
    frameRate: asked.fps,
    coords_B3T: asked.coords === "video_coords" ? fixture.tensor("in.video_coords") : undefined,
  };
}

/** One forward pass answers like the reference. */
export function checkForward(fixture: Fixture, forward: string, tolerance: Tolerance): void {
  const model = transformerOf(fixture);
  const output = noGrad(() => model.forward(inputsOf(fixture, forward)));
  expectClose(`${fixture.name} ${forward}`, output, fixture.tensor(`out.${forward}.output`), tolerance);
  model.free();
}

/** Loss and gradients of weights and inputs are the reference's. */
export function checkGradients(fixture: Fixture, tolerance: { loss: Tolerance; gradient: Tolerance }): void {
  const model = transformerOf(fixture, { trainable: true });
  const tokens_BTC = fixture.tensor("in.hidden_states").clone().requiresGrad_();
  const text_BLD = fixture.tensor("in.encoder_hidden_states").clone().requiresGrad_();
  const inputs = { ...inputsOf(fixture, "token"), tokens_BTC, text_BLD };
  const loss = model.forward(inputs).sub(fixture.tensor("in.target")).square().mean();
  loss.backward();
  expectClose(`${fixture.name} loss`, loss, fixture.tensor("out.loss"), tolerance.loss);
  const inputGradients: Record<string, Tensor> = {
    hidden_states: tokens_BTC,
    encoder_hidden_states: text_BLD,
  };
  for (const key of fixture.names("grad.")) {
    const leaf = key.startsWith("in.") ? inputGradients[key.slice(3)]! : model.parameters.all.get(key)!;
    const reference = fixture.tensor(`grad.${key}`);
    expectClose(`${fixture.name} grad ${key}`, leaf.grad!, reference, tolerance.gradient);
  }
  model.free();
}

/** Recomputing blocks in the backward pass changes neither loss nor gradients. */
export function checkRecomputed(fixture: Fixture, tolerance: Tolerance): void {
  const [kept, recomputed] = [false, true].map((checkpointBlocks) => {
    const model = transformerOf(fixture, { trainable: true });
    const loss = scope(() =>
      backwardThrough(() => {
        const output = model.forward({ ...inputsOf(fixture, "token"), checkpointBlocks });
        return output.sub(fixture.tensor("in.target")).square().mean();
      }),
    );
    const gradients = [...model.parameters.all].map(([key, weight]) => [key, weight.grad!.clone()] as const);
    const found = keep(new Map(gradients));
    model.free();
    return found.set("loss", loss);
  }) as [Map<string, Tensor>, Map<string, Tensor>];
  for (const [key, gradient] of kept)
    expectClose(`recomputed ${key}`, recomputed.get(key)!, gradient, tolerance);
}

/**
 * In bfloat16 the answer is that of float32 but for as much rounding as the reference's.
 *
 * @param half the reference's bfloat16 answers, `base` its float32 ones and everything else
 * @param source weights to take instead of `base`'s
 */
export function checkHalf(
  base: Fixture,
  half: Fixture,
  forward: string,
  source: TensorSource = base.source(),
): void {
  const parameters = Parameters.from(source, { dtype: "bfloat16", device: base.device });
  const model = new Transformer(parameters, parseTransformerConfig(base.config));
  const output = noGrad(() => model.forward(inputsOf(base, forward)));
  const [exact, reference] = [base, half].map((of) => of.tensor(`out.${forward}.output`));
  expectRoundingOnly(`${half.name} ${forward}`, output, { exact: exact!, reference: reference! });
  model.free();
}
