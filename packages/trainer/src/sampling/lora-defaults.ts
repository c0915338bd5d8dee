/**
 * How a LoRA wants to be sampled: the `config.json` that its training wrote beside it.
 *
 * The configuration counts only if it belongs to the file: both name the hash of the same dataset. A LoRA of another
 * program, or one that was copied without its configuration, has no wishes.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { AppError } from "@ltx-trainer/contract";
import { openTensors, TorchError } from "@ltx-trainer/torch";
import { z } from "zod";

const Config = z
  .object({
    base_model: z.string(),
    width: z.int().positive(),
    height: z.int().positive(),
    num_frames: z.int().positive(),
    frame_rate: z.number().positive(),
    num_inference_steps: z.int().positive(),
    guidance_scale: z.number().min(1),
    decode_timestep: z.number(),
    decode_noise_scale: z.number(),
    negative_prompt: z.string(),
  })
  .partial();

export type LoraDefaults = z.infer<typeof Config>;

/**
 * The wishes of a LoRA file; empty when it has none.
 *
 * @throws AppError `lora_invalid` when the file cannot be read
 */
export function readLoraDefaults(path: string): LoraDefaults {
  const { dataset_hash: dataset, base_model } = readMetadata(path);
  const known = base_model === undefined ? {} : { base_model };
  const configPath = join(dirname(path), "config.json");
  if (dataset === undefined || !existsSync(configPath)) return known;
  const config = readConfig(configPath);
  if (config?.dataset_hash !== dataset) return known;
  const { dataset_hash: _, ...defaults } = config;
  return { ...known, ...defaults };
}

function readMetadata(path: string): Readonly<Record<string, string>> {
  try {
    const file = openTensors(path);
    file.close();
    return file.metadata;
  } catch (cause) {
    throw toLoraFault(path, cause);
  }
}

/** What is wrong with a LoRA file, in the user's terms. */
export function toLoraFault(path: string, cause: unknown): unknown {
  if (!(cause instanceof Error) || cause instanceof AppError || cause instanceof TorchError) return cause;
  const isMissing = "code" in cause && cause.code === "ENOENT";
  const message = isMissing ? `lora: got ${path}, which does not exist` : `lora: ${cause.message}`;
  return new AppError({ code: "lora_invalid", message, facts: { lora: path }, cause });
}

/** A valid configuration, or undefined: one of another kind is no reason not to use the LoRA. */
function readConfig(path: string): (LoraDefaults & { readonly dataset_hash: string }) | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    return Config.extend({ dataset_hash: z.string() }).parse(value);
  } catch {
    return undefined;
  }
}
