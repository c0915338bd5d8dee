/** For tests: the text encoder's fixture as a model, and the comparisons that every device must pass. */
import { noGrad, Parameters, type Tensor, type TensorSource } from "@ltx-trainer/torch";
import { parseT5Config } from "../ltxv/t5/config.ts";
import { T5Encoder } from "../ltxv/t5/encoder.ts";
import { expectClose, expectRoundingOnly, type Tolerance } from "./expect-close.ts";
import type { Fixture } from "./fixture.ts";

/** Tolerances of float32 on a CPU. */
export const t5Tolerances = {
  stage: { abs: 1e-5, why: "one block of float32 sums in another order" },
  whole: { abs: 5e-5, why: "three blocks of float32 sums in another order, values up to 4" },
} satisfies Record<string, Tolerance>;

const exact = { abs: 0, why: "whole numbers and table rows" };
const labels = ["masked", "unmasked"] as const;

export function encoderOf(fixture: Fixture): T5Encoder {
  return fixture.model((p) => new T5Encoder(p, parseT5Config(fixture.config)));
}

const maskOf = (fixture: Fixture, label: string, length: number): Tensor | undefined =>
  label === "masked" ? fixture.tensor(`in.mask_${length}`) : undefined;

/** The bias of every pair of positions equals the reference's row of the table. */
export function checkPositionBias(fixture: Fixture, encoder: T5Encoder): void {
  expectClose("position bias", encoder.attentionBias(7), fixture.tensor("out.position_bias_7"), exact);
}

/** Prompts with and without a mask agree stage by stage. */
export function checkStages(
  fixture: Fixture,
  encoder: T5Encoder,
  { stage, whole }: { stage: Tolerance; whole: Tolerance },
): void {
  for (const label of labels) {
    const check = (name: string, actual: Tensor, tolerance = stage): void => {
      expectClose(`${label} ${name}`, actual, fixture.tensor(`out.${label}_7.${name}`), tolerance);
    };
    const [first, ...others] = encoder.blocks;
    const bias = encoder.attentionBias(7, maskOf(fixture, label, 7));
    const embedded = encoder.embed(fixture.tensor("in.ids_7"));
    check("embedded", embedded, exact);
    check("block0.norm", first!.attentionNorm.forward(embedded));
    const attended = first!.afterAttention(embedded, bias);
    check("block0.after_attention", attended);
    let x = first!.feedForward(attended);
    check("block0.out", x);
    for (const block of others) x = block.forward(x, bias);
    check("block_last.out", x, whole);
  }
}

/** Prompts of 7, 128 or 256 tokens agree with and without the mask. */
export function checkPrompts(fixture: Fixture, encoder: T5Encoder, length: number, whole: Tolerance): void {
  for (const label of labels) {
    const actual = encoder.forward(fixture.tensor(`in.ids_${length}`), maskOf(fixture, label, length));
    const reference = fixture.tensor(`out.${label}_${length}.last_hidden_state`);
    expectClose(`${label} ${length}`, actual, reference, whole);
  }
}

/**
 * bfloat16 weights give the embeddings of float32 but for as much rounding as the reference's.
 *
 * @param half the reference's bfloat16 answers, `fixture` its float32 ones and the weights
 * @param source weights to take instead of `fixture`'s
 */
export function checkHalfT5(fixture: Fixture, half: Fixture, source: TensorSource = fixture.source()): void {
  const parameters = Parameters.from(source, { dtype: "bfloat16", device: fixture.device });
  const model = new T5Encoder(parameters, parseT5Config(fixture.config));
  for (const label of labels) {
    const actual = noGrad(() => model.forward(fixture.tensor("in.ids_7"), maskOf(fixture, label, 7)));
    const [exact, reference] = [fixture, half].map((of) => of.tensor(`out.${label}_7.last_hidden_state`));
    expectRoundingOnly(`bf16 t5 ${label}`, actual, { exact: exact!, reference: reference! });
  }
  parameters.free();
}
