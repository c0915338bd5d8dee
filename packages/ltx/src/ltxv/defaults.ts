/**
 * How a checkpoint of LTX-Video is trained and sampled: one named default per decision.
 *
 * Most depend on one property of the checkpoint: whether it was trained with causal time, as all since 0.9.5 were.
 *
 * Source: Lightricks/LTX-Video-Trainer@31b1273, `configs/`; huggingface/diffusers@58eb52c, `pipeline_ltx.py` and
 * `pipeline_ltx_condition.py`.
 */
import type { ModelDefaults } from "../family.ts";
import type { ScheduleRule, SchedulerConfig } from "../sampling/schedule.ts";
import type { LtxvVariant } from "./config.ts";
import { ltxvSizes } from "./sizes.ts";

type Checkpoint = {
  readonly causalTime: boolean;
  readonly scheduler: SchedulerConfig;
  readonly isTimestepConditioned: boolean;
};

/** All defaults but the text length, which the tokenizer may set. */
export function defaultsOf(
  variant: LtxvVariant,
  { causalTime, scheduler, isTimestepConditioned }: Checkpoint,
): Omit<ModelDefaults, "textLength"> {
  return {
    causalTime,
    // LTXConditionPipeline, made for 0.9.5 and later, hides padding; LTXPipeline shows it.
    maskTextPadding: causalTime,
    schedule: scheduleOf(causalTime, scheduler),
    sampler: {
      steps: 40,
      guidance: 3,
      decodeTimestep: isTimestepConditioned ? 0.05 : 0,
      decodeNoiseScale: isTimestepConditioned ? 0.025 : 0,
    },
    firstFrameConditioningP: firstFrameConditioning[variant],
    recomputesOnGpu: variant === "13b",
    sizes: ltxvSizes,
  };
}

/** Linear-quadratic with causal time, unless the scheduler shifts by the number of tokens. */
function scheduleOf(causalTime: boolean, config: SchedulerConfig): ScheduleRule {
  return { kind: causalTime && !config.useDynamicShifting ? "linear-quadratic" : "flow-match", config };
}

/** Source: Lightricks/LTX-Video-Trainer@31b1273, `configs/`: 0.5 for 13B, 0.1 for 2B. */
const firstFrameConditioning: Readonly<Record<LtxvVariant, number>> = {
  nano: 0.5,
  "13b": 0.5,
  "2b": 0.1,
  custom: 0.1,
};
