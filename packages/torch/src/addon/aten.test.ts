import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { torchVersion } from "../index.ts";
import { native } from "./binding.ts";

/** Operators that a libtorch may lack. Every caller checks `hasOp` first. */
const optional = new Set(["scaled_dot_product_attention", "rms_norm", "_foreach_lerp_.Scalar"]);

const generated = readFileSync(new URL("./aten.generated.ts", import.meta.url), "utf8");
const declared = [...generated.matchAll(/^\/\*\* `aten::([\w.]+)\((.*)\) -> /gm)].map(
  ([, name = "", parameters = ""]) => ({ name, parameters }),
);
const found = new Map(
  native.schemas("aten::").map((schema) => {
    const open = schema.indexOf("(");
    return [schema.slice("aten::".length, open), schema.slice(open + 1, schema.lastIndexOf(") ->"))] as const;
  }),
);

const namesOf = (parameters: string) =>
  [...parameters.matchAll(/ ([a-z_]\w*)(?==|,|$)/g)].map(([, name]) => name);

test("every declared operator is in the found libtorch, or known to be optional", () => {
  expect(declared.length).toBeGreaterThan(100);
  const missing = declared.filter(({ name }) => !found.has(name) && !optional.has(name));
  expect(missing, `libtorch ${torchVersion()}`).toEqual([]);
});

test("the found libtorch takes our arguments in the order we pass them", () => {
  for (const { name, parameters } of declared) {
    const actual = found.get(name);
    if (actual === undefined) continue;
    const [ours, theirs] = [namesOf(parameters), namesOf(actual)];
    const common = Math.min(ours.length, theirs.length);
    expect(ours.slice(0, common), name).toEqual(theirs.slice(0, common));
  }
});
