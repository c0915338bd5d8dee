/** What a training passes on names no file, address or data of the user. */
import { parseOptions, TrainJob } from "@ltx-trainer/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Plan } from "./plan.ts";
import { portableFields, portableJob, portablePlan } from "./portable.ts";

const marker = "S3CR3T";
const sources = [
  `https://user:${marker}@bucket.example/clips.zip`,
  `https://bucket.example/clips.zip?X-Amz-Signature=${marker}`,
  `https://bucket.example/clips.zip#${marker}`,
  `data:application/zip;base64,${marker}`,
  `/home/${marker}/clips.zip`,
  `./${marker}/clips.zip`,
  `file:///home/${marker}/clips.zip`,
];

test("no source-like field shows more than a name, whatever it holds", () => {
  const source = fc.constantFrom(...sources);
  const cases = fc.record({
    data: source,
    image: source,
    reference: source,
    folder: fc.constant(`/srv/${marker}`),
  });
  fc.assert(
    fc.property(cases, ({ data, image, reference, folder }) => {
      const job = parseOptions(TrainJob, {
        ...{ training_data_url: data, reference_videos: true, out: folder, home: folder, base: folder },
        ...{ source_names: { [`/x/${marker}`]: marker } },
        validation: [{ prompt: "a cube", image_url: image, reference_url: reference }],
      });
      const validation = { prompts: [{ prompt: "a cube", image, reference }], negativePrompt: "dull" };
      const plan = { base: { name: "nano" }, validation, out: folder } as unknown as Plan;
      const written = JSON.stringify([portableJob(job, plan), portablePlan(plan, job.source_names)]);
      expect(written).not.toContain(marker);
      expect(written).toContain("a cube");
    }),
  );
});

test("every option is either passed on or known to be private", () => {
  const known = ["out", "home", "resume", "address_policy", "source_names", "on_bad_checkpoint"];
  const named = ["base", "training_data_url", "validation"];
  const all = [...portableFields, ...known, ...named].toSorted();
  expect(all).toEqual(Object.keys(TrainJob.shape).toSorted());
});
