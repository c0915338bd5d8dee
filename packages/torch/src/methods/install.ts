/**
 * Adds the methods to `Tensor`, in its type and in its prototype. The package's index imports it once.
 */
import { Tensor } from "../tensor/tensor.ts";
import { arithmetic } from "./arithmetic.ts";
import { inPlace } from "./in-place.ts";
import { read } from "./read.ts";
import { reduce } from "./reduce.ts";
import { shaping } from "./shape.ts";

type Arithmetic = typeof arithmetic;
type InPlace = typeof inPlace;
type Read = typeof read;
type Reduce = typeof reduce;
type Shaping = typeof shaping;

declare module "../tensor/tensor.ts" {
  interface Tensor extends Arithmetic, InPlace, Read, Reduce, Shaping {}
}

for (const table of [arithmetic, inPlace, read, reduce, shaping]) {
  for (const [name, method] of Object.entries(table)) {
    Object.defineProperty(Tensor.prototype, name, { value: method, writable: true, configurable: true });
  }
}
