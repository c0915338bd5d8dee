/** Where a sampling's noise comes from. */
import { Generator, randn } from "@ltx-trainer/torch";
import { expect, test } from "vitest";
import { drawNoise } from "./noise.ts";

const cpu = { dtype: "float32", device: "cpu" } as const;

test("a generator draws in the type that was asked for", () => {
  const noise = drawNoise({ generator: new Generator(1) }, [4, 8], { dtype: "bfloat16", device: "cpu" });
  expect(noise.dtype).toBe("bfloat16");
  expect(noise.shape).toEqual([4, 8]);
});

test("a tensor can stand for the type and device it has", () => {
  const like = randn([2]).to("bfloat16");
  expect(drawNoise({ generator: new Generator(1) }, [3], like).dtype).toBe("bfloat16");
});

test("a given draw wins over the generator, and is cast", () => {
  const given = randn([3]);
  const noise = drawNoise({ generator: new Generator(1), draw: () => given }, [3], {
    dtype: "float64",
    device: "cpu",
  });
  expect(noise.dtype).toBe("float64");
  expect(noise.toArray()).toEqual(given.toArray());
});

test("noise of another shape is refused", () => {
  expect(() => drawNoise({ draw: () => randn([2, 3]) }, [3, 2], cpu)).toThrow(
    "noise: got [2,3], expected [3,2]",
  );
});

test("no source at all is refused", () => {
  expect(() => drawNoise({}, [1], cpu)).toThrow("got neither generator nor draw");
});
