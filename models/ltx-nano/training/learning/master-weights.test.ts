/** Master weights: small updates accumulate, which they would not in bfloat16. */
import { noGrad, tensor } from "@ltx-trainer/torch";
import { expect, test } from "vitest";
import { MasterWeights } from "./master-weights.ts";

test("updates below the last bit of the model's weight add up in the master", () => {
  const weight = tensor([1]).to("bfloat16").requiresGrad_();
  const master = new MasterWeights(new Map([["weight", weight]]));
  noGrad(() => {
    for (let step = 0; step < 8; step++) {
      master.all.get("weight")!.add_(0.001);
      master.publish();
    }
  });
  const alone = tensor([1]).to("bfloat16");
  for (let step = 0; step < 8; step++) alone.add_(0.001);
  expect(weight.detach().to("float32").item()).toBeCloseTo(1.0078125, 6);
  expect(alone.to("float32").item()).toBe(1);
});

test("gradients move to the masters", () => {
  const weight = tensor([2, 3]).to("bfloat16").requiresGrad_();
  const master = new MasterWeights(new Map([["weight", weight]]));
  weight.square().sum().backward();
  master.takeGradients();
  expect(weight.grad).toBeUndefined();
  expect(master.all.get("weight")!.grad!.toArray()).toEqual([4, 6]);
});
