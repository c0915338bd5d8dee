/**
 * The tensors of one model, by the names of its released checkpoint.
 *
 * A model requests each of its tensors: `p.at("attn1", "to_q").tensor("weight", [D, D], init)`. The creator of `p`
 * decides whether they come from a checkpoint or from a random generator. Each name is therefore spelled once, where the
 * tensor is used.
 */

import { ones, rand, randn, zeros } from "../ops/create.ts";
import { type Device, type DType, dtypeBytes } from "../tensor/dtype.ts";
import type { Generator } from "../tensor/generator.ts";
import { keep, scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** How a tensor starts when there is no checkpoint: a constant, U(-bound, bound), or N(0, deviation). */
export type Init = "zeros" | "ones" | { readonly uniform: number } | { readonly normal: number };

export type TensorInfo = { readonly dtype: DType; readonly shape: readonly number[] };

/** Its output is added to that of a linear layer. A LoRA is one. */
export type Adapter = { forward(x: Tensor): Tensor };

/** A registered linear layer: its weight `[out, in]` and its adapter, if any. */
export type LinearLayer = {
  readonly weight: Tensor;
  readonly inFeatures: number;
  readonly outFeatures: number;
  adapter: Adapter | undefined;
};

/** Named tensors to build a model from: a safetensors file, a folder of shards, or a view of either under other names. */
export type TensorSource = {
  names(): readonly string[];
  has(name: string): boolean;
  info(name: string): TensorInfo;
  tensor(name: string): Tensor;
};

/** A checkpoint does not match the model. The message lists every missing, unexpected and misshapen tensor. */
export class CheckpointError extends Error {
  override readonly name = "CheckpointError";
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly misshapen: readonly string[];

  constructor(what: string, problems: Pick<CheckpointError, "missing" | "unexpected" | "misshapen">) {
    const lines = [
      listNames("missing", problems.missing),
      listNames("unexpected", problems.unexpected),
      listNames("of another shape", problems.misshapen),
    ];
    const text = lines.filter((line) => line !== "").join("\n");
    super(`${what}: the checkpoint does not fit the model's configuration.\n${text}`);
    this.missing = problems.missing;
    this.unexpected = problems.unexpected;
    this.misshapen = problems.misshapen;
  }
}

function listNames(title: string, names: readonly string[]): string {
  if (names.length === 0) return "";
  const shown = names.slice(0, 12).map((name) => `    ${name}`);
  if (names.length > shown.length) shown.push(`    … and ${names.length - shown.length} more`);
  return [`  ${names.length} ${title}:`, ...shown].join("\n");
}

type Placement = { readonly dtype?: DType | undefined; readonly device?: Device | undefined };
type Maker = (name: string, shape: readonly number[], init: Init) => Tensor;

/** State that all `Parameters` of one model share. */
type Registry = {
  readonly make: Maker;
  readonly tensors: Map<string, Tensor>;
  readonly linears: Map<string, LinearLayer>;
  readonly missing: string[];
  readonly misshapen: string[];
  readonly offered: readonly string[];
};

export class Parameters {
  /** The names so far, joined with dots; empty at the root. */
  readonly path: string;
  readonly #registry: Registry;

  private constructor(path: string, registry: Registry) {
    this.path = path;
    this.#registry = registry;
  }

  /** Random parameters, drawn in the order of the model's requests. Default device: the generator's. */
  static random(
    options: Placement & { readonly generator: Generator; readonly trainable?: boolean },
  ): Parameters {
    const { generator, trainable = false } = options;
    const make: Maker = (_name, shape, init) =>
      scope(() => initialise(shape, init, generator).to(toTensorOptions(options)).requiresGrad_(trainable));
    return new Parameters("", registryOf(make, []));
  }

  /** Parameters of a checkpoint, each cast and moved when it is requested. Call `finish()` when the model is built. */
  static from(source: TensorSource, options: Placement & { readonly trainable?: boolean } = {}): Parameters {
    const registry: Registry = registryOf((name, shape) => {
      const problem = source.has(name) ? shapeProblem(name, source.info(name).shape, shape) : undefined;
      if (!source.has(name)) registry.missing.push(name);
      else if (problem) registry.misshapen.push(problem);
      else {
        return scope(() => {
          const loaded = source.tensor(name).to(toTensorOptions(options));
          return options.trainable ? loaded.clone().requiresGrad_() : loaded;
        });
      }
      return zeros(shape);
    }, source.names());
    return new Parameters("", registry);
  }

  /** The scope of a child: `at("transformer_blocks", 3)`. */
  at(...path: readonly (string | number)[]): Parameters {
    const parts = this.path === "" ? path : [this.path, ...path];
    return new Parameters(parts.join("."), this.#registry);
  }

  /** The tensor of that name and shape, kept until `free()`. @throws RangeError when a name is requested twice */
  tensor(name: string, shape: readonly number[], init: Init): Tensor {
    const full = this.path === "" ? name : `${this.path}.${name}`;
    if (this.#registry.tensors.has(full)) throw new RangeError(`parameters: ${full} was asked for twice`);
    const made = keep(this.#registry.make(full, shape, init));
    this.#registry.tensors.set(full, made);
    return made;
  }

  /** Called by each linear layer, so that LoRA finds it by name. */
  register(linear: LinearLayer): void {
    this.#registry.linears.set(this.path, linear);
  }

  /** Every tensor made so far, by its full name. */
  get all(): ReadonlyMap<string, Tensor> {
    return this.#registry.tensors;
  }

  /** Every linear layer made so far, by its full name. */
  get linears(): ReadonlyMap<string, LinearLayer> {
    return this.#registry.linears;
  }

  /** Bytes of all tensors together. */
  get bytes(): number {
    let total = 0;
    for (const tensor of this.all.values()) total += tensor.numel * dtypeBytes(tensor.dtype);
    return total;
  }

  /** @throws CheckpointError naming every missing, unexpected and misshapen tensor of the checkpoint */
  finish(what: string): void {
    const { missing, misshapen, offered, tensors } = this.#registry;
    const unexpected = offered.filter((name) => !tensors.has(name));
    if (missing.length + misshapen.length + unexpected.length === 0) return;
    this.free();
    throw new CheckpointError(what, { missing, misshapen, unexpected });
  }

  free(): void {
    for (const tensor of this.#registry.tensors.values()) tensor.free();
  }
}

function registryOf(make: Maker, offered: readonly string[]): Registry {
  return { make, offered, tensors: new Map(), linears: new Map(), missing: [], misshapen: [] };
}

function toTensorOptions(options: Placement): { dtype?: DType; device?: Device } {
  return {
    ...(options.dtype && { dtype: options.dtype }),
    ...(options.device && { device: options.device }),
  };
}

function shapeProblem(name: string, got: readonly number[], wanted: readonly number[]): string | undefined {
  const same = got.length === wanted.length && got.every((size, axis) => size === wanted[axis]);
  return same ? undefined : `${name}: got [${got.join(", ")}], expected [${wanted.join(", ")}]`;
}

function initialise(shape: readonly number[], init: Init, generator: Generator): Tensor {
  const { device } = generator;
  if (init === "zeros") return zeros(shape, { device });
  if (init === "ones") return ones(shape, { device });
  if ("uniform" in init) return rand(shape, { generator }).mul(2).sub(1).mul(init.uniform);
  return randn(shape, { generator }).mul(init.normal);
}
