/** How failures of a training look to a client. */
import { expect, test } from "vitest";
import { failureOf } from "./failures.ts";
import { trainingFailures } from "./training-failures.ts";

test("a diverged training is a model error that names the learning rate", () => {
  const failure = failureOf(
    trainingFailures,
    { code: "training_diverged", facts: { step: 3, checkpoint: "/srv/requests/1/checkpoints/step-000002" } },
    { learning_rate: 1 },
  );
  expect(failure.status).toBe(422);
  expect(failure.body.detail).toMatchObject([
    { loc: ["body", "learning_rate"], msg: expect.stringContaining("lower learning_rate"), input: 1 },
  ]);
  expect(JSON.stringify(failure)).not.toContain("/srv");
});
