/** The VAE's training: PSNR, initialisation, and a gradient for every weight. */
import { join } from "node:path";
import { ConfigFields, parseVaeConfig, Vae } from "@ltx-trainer/ltx";
import { backward, full, Generator, noGrad, zeros } from "@ltx-trainer/torch";
import { expect, test } from "vitest";
import { toClips, toPixels } from "./batches.ts";
import { drawForVae, streamOf } from "./curriculum.ts";
import { calmStart, psnr, vaeLoss } from "./vae-objective.ts";

const format = { width: 32, height: 32, frames: 9, fps: 25 };
const config = parseVaeConfig(ConfigFields.fromFile(join(import.meta.dirname, "../../vae/config.json")));

function freshVae(): { vae: Vae; generator: Generator } {
  const generator = new Generator(1);
  const vae = Vae.fresh(config, { generator });
  calmStart(vae, generator);
  return { vae, generator };
}

test("PSNR is 20 dB for an error of a tenth of the range, and is bounded for perfect pictures", () => {
  const black = full([1, 3, 1, 4, 4], -1);
  expect(psnr(black.add(0.2), black)[0]).toBeCloseTo(20, 3);
  expect(psnr(black, black)[0]).toBeCloseTo(60, 3);
});

test("drawn clips become pixels in [-1, 1] and come back unchanged", () => {
  const clip = drawForVae(streamOf(1, "vae", 3), format);
  const pixels_BCfhw = toPixels([clip]);
  expect(pixels_BCfhw.shape).toEqual([1, 3, 9, 32, 32]);
  const [back] = toClips(pixels_BCfhw, format);
  const largest = Math.max(...clip.pixels.map((value, index) => Math.abs(value - back!.pixels[index]!)));
  expect(largest).toBeLessThan(1e-6);
});

test("clips of different sizes are refused", () => {
  const small = drawForVae(streamOf(1, "vae", 4), { ...format, width: 16 });
  const large = drawForVae(streamOf(1, "vae", 5), format);
  expect(() => toPixels([large, small])).toThrow("clip 1");
});

test("a calm start has silent residual branches, and a low log-variance that is the same everywhere", () => {
  const { vae } = freshVae();
  const branches = [...vae.parameters.all].filter(([name]) => name.includes(".conv2.conv."));
  expect(branches.length).toBeGreaterThan(0);
  for (const [name, parameter] of branches) expect(parameter.abs().max().item(), name).toBe(0);
  const pixels_BCfhw = toPixels([drawForVae(streamOf(1, "vae", 6), format)]);
  const { logvar_B1FHW } = noGrad(() => vae.encode(pixels_BCfhw));
  expect(logvar_B1FHW.min().item()).toBeCloseTo(-5, 5);
  expect(logvar_B1FHW.max().item()).toBeCloseTo(-5, 5);
});

/** A block without residual layers has a timestep embedder like the others, and nobody who asks it. */
const unasked = /^decoder\.up_blocks\.2\.time_embedder\./;

test("the loss gives every weight that is used a finite gradient", () => {
  const { vae, generator } = freshVae();
  const clips = [0, 1].map((index) => drawForVae(streamOf(1, "vae", index), format));
  const loss = vaeLoss(vae, toPixels(clips), generator);
  backward([loss.total]);
  expect(Number.isFinite(loss.total.item())).toBe(true);
  for (const [name, parameter] of vae.parameters.all) {
    if (!parameter.requiresGrad) continue;
    if (unasked.test(name)) {
      expect(parameter.grad, name).toBeUndefined();
      continue;
    }
    expect(parameter.grad, name).toBeDefined();
    expect(Number.isFinite(parameter.grad!.abs().sum().item()), name).toBe(true);
  }
  expect(zeros([1]).sub(loss.divergence).item()).toBeLessThan(0);
});
