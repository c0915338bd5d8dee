/**
 * Loads the addon. Every other file calls libtorch through the functions declared here.
 */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { TorchError } from "./error.ts";

export type NativeOperator = (...args: unknown[]) => unknown;
type Handle = number;

type Native = {
  resolve(name: string, overload: string): NativeOperator | undefined;
  schemas(prefix: string): string[];
  setErrorFactory(make: (operator: string, schema: string, shapes: string, detail: string) => Error): void;
  shape(tensor: Handle): number[];
  dtype(tensor: Handle): number;
  device(tensor: Handle): string;
  free(tensor: Handle): void;
  freeAll(handles: Float64Array, count: number): void;
  isLive(tensor: Handle): boolean;
  alias(tensor: Handle): Handle;
  fromBytes(bytes: ArrayBufferView, shape: readonly number[], dtype: number): Handle;
  readBytes(tensor: Handle, into: ArrayBufferView): void;
  requiresGrad(tensor: Handle): boolean;
  setRequiresGrad(tensor: Handle, on: boolean): void;
  grad(tensor: Handle): Handle | undefined;
  setGrad(tensor: Handle, gradient: Handle | undefined): void;
  gradsOf(tensors: readonly Handle[]): (Handle | undefined)[];
  clearGrads(tensors: readonly Handle[]): void;
  hasGraph(tensor: Handle): boolean;
  backward(outputs: Handle[], gradients: Handle[] | undefined, retainGraph: boolean): void;
  gradients(
    outputs: Handle[],
    inputs: Handle[],
    gradients: Handle[] | undefined,
    retainGraph: boolean,
    allowUnused: boolean,
  ): (Handle | undefined)[];
  setGradMode(on: boolean): boolean;
  makeGenerator(device: string, seed: number | bigint): number;
  defaultGenerator(device: string): number;
  seedGenerator(generator: number, seed: number | bigint): void;
  freeGenerator(generator: number): void;
  generatorState(generator: number): Handle;
  setGeneratorState(generator: number, state: Handle): void;
  setNumThreads(count: number): void;
  numThreads(): number;
  setDeterministic(on: boolean): void;
  knowsDType(code: number): boolean;
  version(): string;
  configuration(): string;
  cudaDeviceCount(): number;
  synchronize(device: string): void;
  cudaMemory(index: number): [number, number, number, number] | undefined;
  resetCudaPeak(index: number): void;
  setTf32(on: boolean): void;
  emptyCache(): void;
  liveTensors(): number;
  liveGenerators(): number;
  liveBytes(): number;
  cachedBytes(): number;
  setCacheLimit(bytes: number): void;
  reportMemory(): void;
  recordEvent(device: string): number;
  elapsedMilliseconds(from: number, to: number): number;
  openMapping(path: string): number;
  closeMapping(mapping: number): void;
  mappedTensor(mapping: number, offset: number, shape: readonly number[], dtype: number): Handle;
};

/** Path of the addon that `npm run setup` builds. `LTX_TRAINER_ADDON` overrides it, to test another libtorch. */
export function addonPath(): string {
  return (
    process.env.LTX_TRAINER_ADDON ?? fileURLToPath(new URL("../../build/ltx_torch.node", import.meta.url))
  );
}

/**
 * Makes libtorch's threads sleep between two operators. Its OpenMP runtime reads these variables once, when it is loaded.
 *
 * By default the threads spin for long. With another program on the same cores that made a training step 15 times
 * slower. A short spin, then sleep, costs little when the machine is idle (LOG.md). OpenBLAS's threads spin for 2^20
 * cycles and yield to other threads. Variables that are already set win.
 */
function letThreadsSleep(): void {
  if (process.env.OMP_WAIT_POLICY === undefined) process.env.GOMP_SPINCOUNT ??= "500";
  process.env.OPENBLAS_THREAD_TIMEOUT ??= "20";
}

function load(): Native {
  letThreadsSleep();
  const path = addonPath();
  let addon: Native;
  try {
    addon = createRequire(import.meta.url)(path) as Native;
  } catch (cause) {
    throw new Error(
      `torch: could not load the addon ${path}; run \`npm run setup\`, then \`npx ltx-trainer doctor\``,
      {
        cause,
      },
    );
  }
  addon.setErrorFactory(
    (operator, schema, shapes, detail) => new TorchError(operator, schema, shapes, detail),
  );
  return addon;
}

export const native: Native = load();

/** The operator as a function of handles and plain values. @throws TorchError when this libtorch lacks it */
export function resolve(name: string, overload: string): NativeOperator {
  const operator = native.resolve(`aten::${name}`, overload);
  if (operator) return operator;
  const full = overload ? `${name}.${overload}` : name;
  throw new TorchError(
    `aten::${full}`,
    "",
    "",
    `libtorch ${native.version()} does not have this operator; ask hasOp() first`,
  );
}

const found = new Map<string, boolean>();

/** Whether this libtorch has `name` or `name.overload`. Code branches on this, never on version numbers. */
export function hasOp(operator: string): boolean {
  let answer = found.get(operator);
  if (answer === undefined) {
    const [name = "", overload = ""] = operator.split(".");
    answer = native.resolve(`aten::${name}`, overload) !== undefined;
    found.set(operator, answer);
  }
  return answer;
}
