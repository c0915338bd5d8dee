/**
 * Which base models there are, and what each wants that diffusers' configuration files do not say.
 *
 * A model's own values are in `model_index.json` under `_ltx_trainer`; released models have none and get the defaults of
 * their family.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { AppError, type InstalledModel, type ModelsOutputs } from "@ltx-trainer/contract";
import { type BaseModel, type ModelDefaults, openBase } from "@ltx-trainer/ltx";
import { TorchError } from "@ltx-trainer/torch";
import { z } from "zod";

const bundled = fileURLToPath(new URL("../../../../models", import.meta.url));
const bundledName = "ltx-nano";

const size = z.object({ width: z.int().positive(), height: z.int().positive() });
const row = z.object({ "16:9": size, "1:1": size, "9:16": size });
const Profile = z.object({
  sizes: z.object({ low: row, medium: row, high: row }).optional(),
  sampler: z
    .object({
      steps: z.int().positive(),
      guidance: z.number().min(1),
      decode_timestep: z.number().min(0).max(1),
      decode_noise_scale: z.number().min(0),
    })
    .partial()
    .optional(),
  first_frame_conditioning_p: z.number().min(0).max(1).optional(),
});

/** How a model is best sampled and trained. */
export type BaseProfile = Pick<ModelDefaults, "sizes" | "sampler" | "firstFrameConditioningP">;

/**
 * Opens the model a job asks for: a folder, an installed name, or the default.
 *
 * @throws AppError `base_not_found` naming what is installed, or `base_invalid`
 */
export function openJobBase(wanted: string | undefined, home: string, hasGpu: boolean): BaseModel {
  const name = wanted ?? process.env.LTX_TRAINER_BASE ?? defaultBase(home, hasGpu);
  const folder = findBase(name, home);
  if (!folder) {
    const installed = listModels(home).models.map((model) => model.name);
    throw new AppError({
      code: "base_not_found",
      message: `base: got "${name}", expected a folder or one of ${installed.join(", ")}`,
      remedy: `Put the model's diffusers folder under ${modelsFolder(home)}, or give its path.`,
      facts: { base: name, installed },
    });
  }
  try {
    return withBaseFaults(openBase(folder));
  } catch (cause) {
    throw toBaseFault(folder, cause);
  }
}

/** The same base with damaged files as the user's to mend: loading throws AppError `base_invalid` with the folder. */
function withBaseFaults(base: BaseModel): BaseModel {
  const guard = <T>(load: () => T): T => {
    try {
      return load();
    } catch (cause) {
      throw toBaseFault(base.folder, cause);
    }
  };
  const { folder, name, variant, latentChannels, textWidth, compression, defaults, loraTargets } = base;
  return {
    ...{ folder, name, variant, latentChannels, textWidth, compression, defaults, loraTargets },
    loadTransformer: (options) => guard(() => base.loadTransformer(options)),
    loadVae: (options) => guard(() => base.loadVae(options)),
    loadPromptEncoder: (options) => guard(() => base.loadPromptEncoder(options)),
    loadTokenizer: () => guard(() => base.loadTokenizer()),
    hash: () =>
      base.hash().catch((cause: unknown) => {
        throw toBaseFault(folder, cause);
      }),
  };
}

/** What libtorch says (memory, devices) is no fault of the files, and a TypeError is one of this program. */
function toBaseFault(folder: string, cause: unknown): unknown {
  if (cause instanceof AppError || cause instanceof TorchError || cause instanceof TypeError) return cause;
  return new AppError({
    code: "base_invalid",
    message: `base model in ${folder}: ${messageOf(cause)}`,
    remedy: "`npx ltx-trainer models list` says which models can be used. Copy a damaged one again.",
    facts: { folder },
    cause,
  });
}

/** The sizes, sampler and conditioning of a model: its own, else its family's. @throws AppError `base_invalid` */
export function profileOf(base: BaseModel): BaseProfile {
  const index: Record<string, unknown> = JSON.parse(
    readFileSync(join(base.folder, "model_index.json"), "utf8"),
  );
  const parsed = Profile.safeParse(index._ltx_trainer ?? {});
  if (!parsed.success) {
    throw new AppError({
      code: "base_invalid",
      message: `${base.name}: model_index.json: ${parsed.error.message}`,
    });
  }
  const { sizes, sampler = {}, first_frame_conditioning_p: share } = parsed.data;
  const { defaults } = base;
  return {
    sizes: sizes ?? defaults.sizes,
    sampler: {
      steps: sampler.steps ?? defaults.sampler.steps,
      guidance: sampler.guidance ?? defaults.sampler.guidance,
      decodeTimestep: sampler.decode_timestep ?? defaults.sampler.decodeTimestep,
      decodeNoiseScale: sampler.decode_noise_scale ?? defaults.sampler.decodeNoiseScale,
    },
    firstFrameConditioningP: share ?? defaults.firstFrameConditioningP,
  };
}

/** Every model that can be named, with its size and, when it cannot be used, the reason. */
export function listModels(home: string): ModelsOutputs {
  const models: InstalledModel[] = [];
  for (const [root, source] of [
    [bundled, "bundled"],
    [modelsFolder(home), "installed"],
  ] as const) {
    if (!existsSync(root)) continue;
    for (const name of readdirSync(root).toSorted()) {
      const folder = join(root, name);
      if (existsSync(join(folder, "model_index.json"))) models.push(describe(name, folder, source));
    }
  }
  return { models };
}

function describe(name: string, folder: string, source: InstalledModel["source"]): InstalledModel {
  const facts = { name, folder, source, sizeBytes: bytesUnder(folder) };
  try {
    return { ...facts, family: openBase(folder).variant };
  } catch (error) {
    return { ...facts, family: "unknown", problem: messageOf(error) };
  }
}

function bytesUnder(folder: string): number {
  let total = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) total += statSync(join(entry.parentPath, entry.name)).size;
  }
  return total;
}

function modelsFolder(home: string): string {
  return join(home, "models");
}

function findBase(name: string, home: string): string | undefined {
  const places =
    isAbsolute(name) || name.startsWith(".")
      ? [resolve(name)]
      : [join(bundled, name), join(modelsFolder(home), name), resolve(name)];
  return places.find((folder) => existsSync(join(folder, "model_index.json")));
}

/** Without a GPU the small bundled model; with one, the largest usable model that is installed. */
function defaultBase(home: string, hasGpu: boolean): string {
  if (!hasGpu) return bundledName;
  const usable = listModels(home).models.filter((model) => !model.problem);
  return usable.toSorted((a, b) => b.sizeBytes - a.sizeBytes)[0]?.name ?? bundledName;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
