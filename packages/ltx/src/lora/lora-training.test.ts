/** Five optimizer steps of a LoRA: model, adapter, gradients, clipping and AdamW together, as peft and torch do them. */
import { test } from "vitest";
import { Fixture } from "../testing/fixture.ts";
import { checkLoraSteps, loraTolerances } from "../testing/lora-checks.ts";

test.each(["plain", "conditioned"])("%s: losses, gradients and weights follow the reference", (name) => {
  checkLoraSteps(new Fixture(`train/${name}`), loraTolerances);
});
