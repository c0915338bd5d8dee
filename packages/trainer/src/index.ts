/**
 * What benchmarks and the pre-training of ltx-nano (`scripts/`) use of the trainer. The programs never import it: they
 * start `main.ts` by path.
 */
export { type BaseProfile, profileOf } from "./models/base-models.ts";
export type { Plan } from "./plan.ts";
export { addNoise, drawSigmas, type Noised, sigmaShift, velocityLoss } from "./train/objective.ts";
export { TrainingStep } from "./train/step.ts";
