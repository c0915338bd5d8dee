/** The transformer in bfloat16 against diffusers in bfloat16. */
import { noGrad, type Tensor } from "@ltx-trainer/torch";
import { expect, test } from "vitest";
import { parseTransformerConfig } from "../config.ts";
import { gridOf } from "../latent-grid.ts";
import { expectClose } from "../testing/expect-close.ts";
import { Fixture } from "../testing/fixture.ts";
import { Transformer } from "./transformer.ts";

const HALF = {
  rel: 2e-2,
  why: "bfloat16 keeps 8 bits and kernels round at different places (ltx-model.md 9.3)",
};

const base = new Fixture("transformer/t_a");
const fixture = new Fixture("bf16/transformer");

test.each(["scalar", "token", "coords"])(
  "in bfloat16 answers like the reference in bfloat16: %s",
  (forward) => {
    const { forwards } = base.case<{
      forwards: Record<string, { timestep: string; fps: number; masked: boolean }>;
    }>();
    const asked = forwards[forward]!;
    const model = base.model((p) => new Transformer(p, parseTransformerConfig(base.config)), {
      dtype: "bfloat16",
    });
    const output = noGrad(() =>
      model.forward({
        tokens_BTC: base.tensor("in.hidden_states"),
        text_BLD: base.tensor("in.encoder_hidden_states"),
        textMask_BL: asked.masked ? base.tensor("in.encoder_attention_mask") : undefined,
        timestep_BT: base.tensor(asked.timestep),
        grid: gridOf({ F: 3, H: 2, W: 3 }),
        frameRate: asked.fps,
        coords_B3T: forward === "coords" ? base.tensor("in.video_coords") : undefined,
      }),
    );
    expect(output.dtype).toBe("bfloat16");
    const reference = fixture.tensor(`out.${forward}.output`);
    expectClose(`bf16/transformer ${forward}`, output, reference, HALF);
    expect(cosine(output, reference)).toBeGreaterThan(0.9995);
  },
);

function cosine(a: Tensor, b: Tensor): number {
  const [x, y] = [a.to("float32"), b.to("float32")];
  return x.mul(y).sum().div(x.norm().mul(y.norm())).item();
}
