import { expect, test } from "vitest";
import { ltxvSizes } from "./sizes.ts";

test("every named size is a multiple of 32 and turns on its side", () => {
  for (const row of Object.values(ltxvSizes)) {
    for (const { width, height } of Object.values(row)) expect([width % 32, height % 32]).toEqual([0, 0]);
    expect(row["9:16"]).toEqual({ width: row["16:9"].height, height: row["16:9"].width });
    expect(row["1:1"].width).toBe(row["1:1"].height);
  }
});
