/** One block, stage by stage, against what diffusers recorded inside it. */
import { noGrad, type Tensor } from "@ltx-trainer/torch";
import { describe, test } from "vitest";
import { expectClose } from "../../testing/expect-close.ts";
import { Fixture } from "../../testing/fixture.ts";
import { parseTransformerConfig } from "../config.ts";
import { Attention } from "./attention.ts";
import { TransformerBlock } from "./block.ts";
import { textBias } from "./conditioning.ts";
import { applyRope, type RopeTables } from "./rope.ts";

const stageTolerance = {
  abs: 1e-5,
  why: "float32 sums in another order within one stage (ltx-model.md 9.3, one block)",
};

/** Each stage gets the reference's own input, so that an error shows where it is made. */
describe.each([
  ["t_a", "token", true],
  ["t_b", "scalar", false],
] as const)("stages of a block, %s with timestep %s", (name, forward, isMasked) => {
  const fixture = new Fixture(`transformer/${name}`);
  const config = parseTransformerConfig(fixture.config);
  const recorded = (key: string): Tensor => fixture.tensor(`out.${forward}.${key}`);
  const check = (key: string, actual: Tensor) =>
    expectClose(`${name} ${forward} ${key}`, actual, recorded(key), stageTolerance);
  const [B, T, D] = recorded("block0.out").shape as readonly [number, number, number];
  const bias = isMasked ? textBias(fixture.tensor("in.encoder_attention_mask"), "float32") : undefined;
  const rope = signedTables(recorded("rope_cos"), recorded("rope_sin"));

  test.each([0, 1])("block %i", (i) => {
    const at = `block${i}`;
    const weights = `weights.transformer_blocks.${i}.`;
    noGrad(() => {
      check(`${at}.q_rope`, applyRope(recorded(`${at}.q_norm`), rope));
      check(`${at}.k_rope`, applyRope(recorded(`${at}.k_norm`), rope));
      const attn1 = new Attention(fixture.parameters(`${weights}attn1.`), config);
      check(`${at}.attn1`, attn1.forward(recorded(`${at}.attn1_in`), { rope }));
      const attn2 = new Attention(fixture.parameters(`${weights}attn2.`), config);
      const text = { text_BSD: recorded("captions"), bias_B11S: bias };
      check(`${at}.attn2`, attn2.forward(recorded(`${at}.attn2_in`), text));
      const block = new TransformerBlock(fixture.parameters(weights), config);
      const input = recorded(i === 0 ? "proj_in" : `block${i - 1}.out`);
      const inputs = {
        text_BLD: recorded("captions"),
        textBias_B11L: bias,
        modulation_BG6D: recorded("temb").reshape([B, -1, 6, D]),
        rope,
      };
      check(`${at}.out`, block.forward(input, inputs));
    });
  });

  /** The reference keeps plain sines; ours carry the sign of the swapped pair. */
  function signedTables(cos_BTD: Tensor, sin_BTD: Tensor): RopeTables {
    const pairs = sin_BTD.reshape([B, T, D / 2, 2]).clone();
    pairs.select(3, 0).mul_(-1);
    return { cos_BTD, sin_BTD: pairs.flatten(2, 3) };
  }
});
