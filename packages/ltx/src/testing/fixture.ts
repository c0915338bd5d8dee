/** For tests: a parity fixture, which is a file of reference tensors and the configuration that made them. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  type Device,
  type DType,
  Parameters,
  SafetensorsFile,
  scope,
  type Tensor,
  type TensorSource,
} from "@ltx-trainer/torch";
import { ConfigFields } from "../config-fields.ts";

const fixturesFolder = fileURLToPath(new URL("../../../../fixtures/", import.meta.url));

/** Path of a file or folder under `fixtures/`. */
export function fixturePath(name: string): string {
  return fixturesFolder + name;
}

/** An open fixture file. `fixtures/README.md` describes the contents. */
export class Fixture {
  readonly file: SafetensorsFile;
  /** Device of its tensors and of the models made from them. */
  readonly device: Device;
  readonly name: string;

  /** @param name area and case, for example `transformer/t_a` */
  constructor(name: string, device: Device = "cpu") {
    const path = `${fixturesFolder}${name}.safetensors`;
    if (!existsSync(path))
      throw new Error(`fixture: got no file ${path}, expected one made by scripts/fixtures`);
    this.name = name;
    this.device = device;
    this.file = SafetensorsFile.open(path);
  }

  /** The configuration under its diffusers or transformers names. */
  get config(): ConfigFields {
    return new ConfigFields(JSON.parse(this.file.metadata.config ?? "{}"), this.name);
  }

  /** The inputs of the reference. */
  case<T>(): T {
    return JSON.parse(this.file.metadata.case ?? "{}") as T;
  }

  tensor(name: string): Tensor {
    return this.file.tensor(name).to({ device: this.device });
  }

  has(name: string): boolean {
    return this.file.has(name);
  }

  /** The names that begin with a prefix, without the prefix. */
  names(prefix: string): string[] {
    return this.file
      .names()
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length));
  }

  /**
   * The tensors whose names begin with `prefix`, under the rest of their names. Copies: a merged LoRA writes into the
   * weights, and the file's own would keep that for the next model.
   */
  source(prefix = "weights."): TensorSource {
    const names = this.names(prefix);
    return {
      names: () => names,
      has: (name) => names.includes(name),
      info: (name) => this.file.info(prefix + name),
      tensor: (name) => scope(() => this.file.tensor(prefix + name).clone()),
    };
  }

  /** Parameters of the weights below a prefix, for one part of a model. */
  parameters(prefix: string): Parameters {
    return Parameters.from(this.source(prefix), { dtype: "float32", device: this.device });
  }

  /** Builds a model from the fixture's weights. @throws CheckpointError unless it uses every key */
  model<M>(build: (p: Parameters) => M, options: { trainable?: boolean; dtype?: DType } = {}): M {
    const { trainable = false, dtype = "float32" } = options;
    const parameters = Parameters.from(this.source(), { dtype, trainable, device: this.device });
    const model = build(parameters);
    parameters.finish(this.name);
    return model;
  }
}
