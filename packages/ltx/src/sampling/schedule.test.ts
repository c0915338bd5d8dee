/** Noise levels and steps between them against the diffusers scheduler. */
import { tensor } from "@ltx-trainer/torch";
import { describe, expect, test } from "vitest";
import { ltxv090Scheduler, ltxv095Scheduler } from "../ltxv/config.ts";
import { expectClose } from "../testing/expect-close.ts";
import { Fixture } from "../testing/fixture.ts";
import { guide } from "./guidance.ts";
import {
  eulerStep,
  linearQuadraticSigmas,
  makeSchedule,
  type ScheduleRule,
  shiftForTokens,
  stochasticStep,
  tokenLevels,
} from "./schedule.ts";

const ulpTolerance = 1.2e-7;
const stepTolerance = {
  abs: 1e-6,
  why: "a multiply and an add in float32 (ltx-model.md 9.3, scheduler step)",
};

describe("noise levels", () => {
  const fixture = new Fixture("schedule/sigmas");
  const asked = fixture.case<{ custom_timesteps: number[]; mu: Record<string, number> }>();

  test.each(fixture.names("out.").filter((name) => name.endsWith(".sigmas")))("%s", (name) => {
    const label = name.slice(0, -".sigmas".length);
    const [kind, steps, tokens] = label.split("_") as [string, string | undefined, string | undefined];
    const schedule = makeSchedule(ruleOf(kind), {
      steps: Number(steps ?? 8),
      tokens: Number(tokens ?? 1024),
    });
    expectUlps(schedule.sigmas, `out.${label}.sigmas`);
    expectUlps(schedule.timesteps, `out.${label}.timesteps`);
    if (kind === "quadratic") expectUlps(linearQuadraticSigmas(Number(steps)), `out.${label}.raw`);
  });

  test.each(Object.entries(asked.mu))("shift of %s tokens", (tokens, mu) => {
    expect(shiftForTokens(Number(tokens), ltxv090Scheduler)).toBeCloseTo(mu, 12);
  });

  function ruleOf(kind: string): ScheduleRule {
    if (kind === "dynamic") return { kind: "flow-match", config: ltxv090Scheduler };
    if (kind === "linear") return { kind: "flow-match", config: ltxv095Scheduler };
    if (kind === "quadratic") return { kind: "linear-quadratic", config: ltxv095Scheduler };
    return { kind: "timesteps", config: ltxv095Scheduler, timesteps: asked.custom_timesteps };
  }

  function expectUlps(levels: readonly number[], key: string): void {
    const why = "one float32 ulp: exp may round differently (ltx-model.md 9.3, schedules)";
    const values = levels.map((level) => Math.fround(level));
    expect(values, `${key}: rounded to float32`).toEqual(levels);
    expectClose(`schedule/sigmas ${key}`, tensor([...levels]), fixture.tensor(key), {
      rel: ulpTolerance,
      why,
    });
  }
});

describe("steps between levels", () => {
  const fixture = new Fixture("schedule/steps");
  const sample = fixture.tensor("in.sample");
  const velocities = fixture.tensor("in.velocities").unbind(0);
  const noises = fixture.tensor("in.noises").unbind(0);

  test.each(["dynamic", "linear", "stochastic"])("%s", (kind) => {
    const sigmas = fixture.tensor(`out.${kind}.sigmas`).toArray();
    let x = sample;
    velocities.forEach((velocity, i) => {
      const levels = { sigma: sigmas[i]!, next: sigmas[i + 1]! };
      x =
        kind === "stochastic"
          ? stochasticStep(x, velocity, noises[i]!, levels)
          : eulerStep(x, velocity, levels);
      expectClose(`schedule/steps ${kind} ${i}`, x, fixture.tensor(`out.${kind}.sample_${i}`), stepTolerance);
    });
  });

  test("per token: each goes to the highest scheduled level below its own", () => {
    const schedule = { sigmas: fixture.tensor("out.per_token.sigmas").toArray(), timesteps: [] };
    velocities.forEach((velocity, i) => {
      const timesteps = fixture.tensor(`in.per_token.timesteps_${i}`).toArray();
      const levels = timesteps.map((timestep) => tokenLevels(timestep, schedule));
      const moves = tensor(levels.map(({ sigma, next }) => Math.fround(next - sigma))).reshape([2, 6, 1]);
      const stepped = sample.add(velocity.mul(moves));
      expectClose(
        `schedule/steps per_token ${i}`,
        stepped,
        fixture.tensor(`out.per_token.sample_${i}`),
        stepTolerance,
      );
    });
  });

  test("guidance, and guidance with its spread brought back", () => {
    const { guidance, rescale } = fixture.case<{ guidance: number; rescale: number }>();
    const predictions = { without_BTC: velocities[0]!, with_BTC: velocities[1]! };
    const guided = guide(predictions, guidance);
    const rescaled = guide(predictions, guidance, rescale);
    expectClose("schedule/steps guided", guided, fixture.tensor("out.guided"), stepTolerance);
    expectClose("schedule/steps rescaled", rescaled, fixture.tensor("out.guided_rescaled"), stepTolerance);
  });
});

describe("a schedule", () => {
  const rule: ScheduleRule = { kind: "flow-match", config: ltxv090Scheduler };

  test("of one step goes straight from noise to data", () => {
    expect(makeSchedule(rule, { steps: 1, tokens: 1024 })).toEqual({ sigmas: [1, 0], timesteps: [1000] });
  });

  test("falls from 1 to 0 without a turn", () => {
    for (const kind of ["flow-match", "linear-quadratic"] as const) {
      const { sigmas } = makeSchedule({ kind, config: ltxv095Scheduler }, { steps: 13, tokens: 777 });
      expect(sigmas[0]).toBe(1);
      expect(sigmas.at(-1)).toBe(0);
      expect(sigmas.every((sigma, i) => i === 0 || sigma < sigmas[i - 1]!)).toBe(true);
    }
  });

  test("refuses to have no steps", () => {
    expect(() => makeSchedule(rule, { steps: 0, tokens: 1 })).toThrow(
      /steps: got 0, expected a whole number/,
    );
    expect(() =>
      makeSchedule({ ...rule, kind: "timesteps", timesteps: [] }, { steps: 1, tokens: 1 }),
    ).toThrow(/empty/);
  });
});
