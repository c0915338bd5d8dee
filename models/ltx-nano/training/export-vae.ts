/**
 * Exports the VAE from its last checkpoint to the model folder, with measured latent statistics.
 *
 * Run: npx tsx --conditions=source models/ltx-nano/training/export-vae.ts [--from DIR]
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ConfigFields, parseVaeConfig, Vae } from "@ltx-trainer/ltx";
import { Generator, type Tensor } from "@ltx-trainer/torch";
import { drawClip } from "./clips/draw.ts";
import { sampleScene } from "./clips/scene.ts";
import { exportWeights, measureLatents, readWeights, scaleLatents } from "./export.ts";
import { toPixels } from "./learning/batches.ts";
import { streamOf } from "./learning/curriculum.ts";

const root = join(import.meta.dirname, "../../..");
const model = join(root, "models/ltx-nano");
const seed = 77;
const batches = 24;

const { values: options } = parseArgs({
  options: {
    from: { type: "string", default: join(root, "out/nano/vae") },
    "decoder-only": { type: "boolean", default: false },
  },
});

/** Plain scenes, as the transformer will see them. */
function* plainClips(): Iterable<Tensor> {
  for (let index = 0; index < batches; index++) {
    const random = streamOf(seed, "held out", index);
    const format = { width: 80, height: 80, frames: 25, fps: 25 };
    yield toPixels(Array.from({ length: 4 }, () => drawClip(sampleScene(random, format), format)));
  }
}

const vae = Vae.fresh(parseVaeConfig(ConfigFields.fromFile(join(model, "vae/config.json"))), {
  generator: new Generator(0),
});
readWeights(vae.parameters, join(options.from, "checkpoint.safetensors"), "model.");
if (!options["decoder-only"]) {
  measureLatents(vae, plainClips());
  scaleLatents(vae);
}
const count = exportWeights(
  join(model, "vae/diffusion_pytorch_model.safetensors"),
  vae.parameters.all,
  "float16",
);
process.stdout.write(`VAE: ${count} numbers\n`);
const rounded = (values: Tensor): string =>
  values
    .toArray()
    .map((value) => value.toFixed(2))
    .join(" ");
process.stdout.write(
  `latents_mean ${rounded(vae.latentsMean_C)}\nlatents_std ${rounded(vae.latentsStd_C)}\n`,
);
