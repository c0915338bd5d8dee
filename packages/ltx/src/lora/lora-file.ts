/**
 * LoRA files: what diffusers and ComfyUI read and write, and how either lands on our transformer.
 *
 * Both dialects are safetensors with a pair of matrices per layer and differ in the prefix. Neither loader sees alpha,
 * so a scale other than 1 is folded into B, and the metadata then says alpha = rank.
 *
 * Source: huggingface/diffusers@58eb52c, `loaders/lora_base.py`, `loaders/peft.py`, `lora_conversion_utils.py`;
 * Lightricks/LTX-Video-Trainer@31b1273, `trainer.py`; Comfy-Org/ComfyUI, `comfy/lora.py`.
 */
import {
  areFinite,
  type DType,
  keep,
  type LinearLayer,
  noGrad,
  openTensors,
  scope,
  type Tensor,
  type TensorSource,
  writeSafetensors,
} from "@ltx-trainer/torch";
import type { KeyNames, VideoTransformer } from "../family.ts";
import { Lora, LoraAdapter, type LoraModule } from "./lora.ts";

export type LoraDialect = "diffusers" | "comfyui";

const prefixes: Readonly<Record<LoraDialect, string>> = {
  diffusers: "transformer.",
  comfyui: "diffusion_model.",
};

/**
 * The file's tensors under the dialect's names. B is multiplied by alpha / rank where that is not 1, so the result
 * means the same to a reader that knows no alpha.
 *
 * @param options.dtype default: as trained
 */
export function exportLora(
  lora: Lora,
  dialect: LoraDialect,
  options: { dtype?: DType } = {},
): Map<string, Tensor> {
  return noGrad(() =>
    scope(() => {
      const tensors = new Map<string, Tensor>();
      for (const [path, { adapter }] of lora.modules) {
        const name = prefixes[dialect] + (dialect === "comfyui" ? lora.keyNames.toOriginal(path) : path);
        const b_DR = adapter.scale === 1 ? adapter.b_DR : adapter.b_DR.mul(adapter.scale);
        tensors.set(`${name}.lora_A.weight`, adapter.a_RD.detach().to(options.dtype ?? adapter.a_RD.dtype));
        tensors.set(`${name}.lora_B.weight`, b_DR.detach().to(options.dtype ?? adapter.b_DR.dtype));
      }
      return tensors;
    }),
  );
}

/**
 * Writes a LoRA file, with what the loaders need in its metadata (`format`, `lora_adapter_metadata`).
 *
 * @param options.metadata further entries: base model, trigger phrase, ...
 * @throws LoraFileError when a weight is not finite; nothing is written then
 */
export function saveLora(
  path: string,
  lora: Lora,
  options: { dialect: LoraDialect; dtype?: DType; metadata?: Readonly<Record<string, string>> },
): void {
  scope(() => {
    const tensors = exportLora(
      lora,
      options.dialect,
      options.dtype === undefined ? {} : { dtype: options.dtype },
    );
    if (!areFinite(tensors.values())) {
      throw new LoraFileError(`${path}: got weights that are not finite; the LoRA was not written`);
    }
    writeSafetensors(path, tensors, { ...options.metadata, format: "pt", ...adapterMetadata(lora) });
  });
}

/** The PEFT configuration diffusers reads; left out when ranks differ, for then it reads them off the shapes. */
function adapterMetadata(lora: Lora): Record<string, string> {
  const isUniform = [...lora.modules.values()].every(({ adapter }) => adapter.rank === lora.rank);
  if (!isUniform) return {};
  const config = {
    "transformer.bias": "none",
    "transformer.lora_alpha": lora.rank,
    "transformer.lora_dropout": 0,
    "transformer.r": lora.rank,
    "transformer.target_modules": [...lora.targets],
  };
  return { lora_adapter_metadata: JSON.stringify(config, null, 2) };
}

/** A file that is no LoRA for this model. */
class LoraFileError extends Error {
  override readonly name = "LoraFileError";
}

export type LoadedLora = {
  readonly lora: Lora;
  /** Layers that now have an adapter. */
  readonly matched: readonly string[];
  /** Keys of the file that found no layer. */
  readonly unmatched: readonly string[];
};

/**
 * Reads a LoRA of either dialect (prefixes `transformer.`, `diffusion_model.`, `base_model.model.` or none; `lora_A`
 * or `lora_down` names) and puts it on the model.
 *
 * Alpha comes from `lora_adapter_metadata`, else from `<module>.alpha`, else it is the rank.
 *
 * @param options.dtype type the matrices are held in; default the model's
 * @param options.trainable default false
 * @param options.strength what the LoRA's effect is multiplied by; default 1
 * @throws LoraFileError when no layer matches, a pair is incomplete, or shapes belong to another model
 */
export function loadLora(
  transformer: VideoTransformer,
  file: string | LoraSource,
  options: { dtype?: DType; trainable?: boolean; strength?: number } = {},
): LoadedLora {
  const source = typeof file === "string" ? openTensors(file) : file;
  try {
    const { dtype = transformer.dtype, trainable = false, strength = 1 } = options;
    return loadFrom(transformer, source, { dtype, trainable, strength });
  } finally {
    if (typeof file === "string" && "close" in source) source.close();
  }
}

type LoraSource = TensorSource & { readonly metadata?: Readonly<Record<string, string>>; close?(): void };

function loadFrom(
  transformer: VideoTransformer,
  source: LoraSource,
  options: { dtype: DType; trainable: boolean; strength: number },
): LoadedLora {
  const { dtype, trainable, strength } = options;
  const { pairs, unmatched } = readPairs(source, transformer.keyNames);
  const alphas = alphaReader(source);
  const modules = new Map<string, LoraModule>();
  for (const [path, linear] of transformer.parameters.linears) {
    const pair = pairs.get(path);
    if (pair === undefined) continue;
    pairs.delete(path);
    if (linear.adapter !== undefined)
      throw new LoraFileError(`LoRA: ${path} already has an adapter. Remove it first`);
    const matrices = noGrad(() => keep(scope(() => readMatrices(source, path, pair, linear, dtype))));
    matrices.a_RD.requiresGrad_(trainable);
    matrices.b_DR.requiresGrad_(trainable);
    const { alpha, scale } = alphas(path, pair, matrices.a_RD.size(0));
    modules.set(path, { linear, adapter: new LoraAdapter(matrices, alpha, scale * strength) });
  }
  for (const pair of pairs.values())
    unmatched.push(...[pair.a, pair.b, pair.alpha].filter((key) => key !== undefined));
  if (modules.size === 0) {
    const example = source.names()[0] ?? "an empty file";
    throw new LoraFileError(
      `LoRA file: got ${example}, expected keys like transformer.<layer>.lora_A.weight`,
    );
  }
  const first = [...modules.values()][0]!.adapter;
  const rank = Math.max(...[...modules.values()].map(({ adapter }) => adapter.rank));
  const lora = new Lora({
    rank,
    alpha: first.alpha,
    targets: targetsOf([...modules.keys()]),
    modules,
    keyNames: transformer.keyNames,
  });
  return { lora, matched: [...modules.keys()], unmatched };
}

/** Keys of one layer's tensors in the file. */
type PairKeys = { a?: string; b?: string; alpha?: string };

const loraKey = /^(.+?)\.(?:lora_(A|B|down|up)(?:\.default)?\.weight|(alpha))$/;
const keyPrefix = /^(?:transformer|diffusion_model|base_model\.model)\./;

function readPairs(
  source: TensorSource,
  names: KeyNames,
): { pairs: Map<string, PairKeys>; unmatched: string[] } {
  const pairs = new Map<string, PairKeys>();
  const unmatched: string[] = [];
  for (const key of source.names()) {
    const found = loraKey.exec(key);
    if (found === null) {
      unmatched.push(key);
      continue;
    }
    const path = names.fromOriginal(found[1]!.replace(keyPrefix, ""));
    const pair = pairs.get(path) ?? {};
    if (found[3] !== undefined) pair.alpha = key;
    else if (found[2] === "A" || found[2] === "down") pair.a = key;
    else pair.b = key;
    pairs.set(path, pair);
  }
  return { pairs, unmatched };
}

function readMatrices(
  source: TensorSource,
  path: string,
  keys: PairKeys,
  linear: LinearLayer,
  dtype: DType,
): { a_RD: Tensor; b_DR: Tensor } {
  if (keys.a === undefined || keys.b === undefined) {
    throw new LoraFileError(
      `LoRA file, ${path}: got ${keys.a ?? keys.b ?? keys.alpha} alone, expected lora_A and lora_B`,
    );
  }
  const [out, inFeatures] = linear.weight.shape as readonly [number, number];
  const a = source.info(keys.a).shape;
  const b = source.info(keys.b).shape;
  if (a.length !== 2 || b.length !== 2 || a[1] !== inFeatures || b[0] !== out || a[0] !== b[1]) {
    const got = `A [${a.join(",")}] and B [${b.join(",")}]`;
    throw new LoraFileError(
      `LoRA file, ${path}: got ${got}, expected A [r,${inFeatures}] and B [${out},r]. It was made for another base model`,
    );
  }
  const target = { dtype, device: linear.weight.device };
  return { a_RD: source.tensor(keys.a).to(target).clone(), b_DR: source.tensor(keys.b).to(target).clone() };
}

type Scaling = { alpha: number; scale: number };

/** Where a layer's alpha comes from; see `loadLora`. */
function alphaReader(source: LoraSource): (path: string, keys: PairKeys, rank: number) => Scaling {
  const config = peftConfig(source.metadata?.lora_adapter_metadata);
  return (path, keys, rank) => {
    if (config !== undefined) {
      const pattern = Object.entries(config.alphaPattern).find(
        ([name]) => path === name || path.endsWith(`.${name}`),
      );
      const alpha = pattern?.[1] ?? config.alpha ?? rank;
      return { alpha, scale: alpha / (config.isRankStabilised ? Math.sqrt(rank) : rank) };
    }
    const alpha =
      keys.alpha === undefined ? rank : scope(() => source.tensor(keys.alpha!).to("float32").item());
    return { alpha, scale: alpha / rank };
  };
}

type PeftConfig = {
  alpha: number | undefined;
  alphaPattern: Readonly<Record<string, number>>;
  isRankStabilised: boolean;
};

function peftConfig(json: string | undefined): PeftConfig | undefined {
  if (json === undefined) return undefined;
  const values = JSON.parse(json) as Record<string, unknown>;
  const alpha = values["transformer.lora_alpha"];
  const pattern = (values["transformer.alpha_pattern"] ?? {}) as Record<string, number>;
  return {
    alpha: typeof alpha === "number" ? alpha : undefined,
    alphaPattern: Object.fromEntries(
      Object.entries(pattern).map(([name, value]) => [name.replace(/^\^/, ""), value]),
    ),
    isRankStabilised: values["transformer.use_rslora"] === true,
  };
}

/** Layer names without their place in the model: `to_q`, `to_out.0`, `ff.net.2`. */
function targetsOf(paths: readonly string[]): string[] {
  const endings = paths.map(
    (path) => /(?:to_[qkv]|to_out\.0|ff\.net\.\d+(?:\.proj)?)$/.exec(path)?.[0] ?? path,
  );
  return [...new Set(endings)];
}
