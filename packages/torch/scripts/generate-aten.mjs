/**
 * Writes `src/addon/aten.generated.ts`: one typed function per operator in `operators.mjs`, from libtorch's schemas.
 *
 * Run it when `operators.mjs` changes: `npm run generate -w @ltx-trainer/torch`. Operators that this libtorch lacks keep
 * their declaration. Generate a new one once with a libtorch that has it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { operators } from "./operators.mjs";

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const target = here("../src/addon/aten.generated.ts");
const native = createRequire(import.meta.url)("../build/ltx_torch.node");

/** @type {Map<string, string>} */
const schemas = new Map();
for (const schema of native.schemas("aten::"))
  schemas.set(schema.slice("aten::".length, schema.indexOf("(")), schema);

const tsTypes = new Map([
  ["Tensor", "Tensor"],
  ["Scalar", "number"],
  ["int", "number"],
  ["SymInt", "number"],
  ["float", "number"],
  ["bool", "boolean"],
  ["str", "string"],
  ["ScalarType", "DType"],
  ["Layout", "number"],
  ["MemoryFormat", "number"],
  ["Device", "Device"],
  ["Generator", "Generator"],
]);

/** @param {string} text one argument of a schema, such as `int[2] stride=1` or `Tensor(a!) self` */
function parseArgument(text) {
  const match = /^(\w+)(?:\([^)]*\))?(\??)(\[\d*\])?(\??) (\w+)(?:=(.*))?$/.exec(text.trim());
  if (!match) throw new Error(`cannot read the argument "${text}"`);
  const [, base = "", innerOptional, list, outerOptional, name = "", byDefault] = match;
  const element = tsTypes.get(base);
  if (!element) throw new Error(`unknown type "${base}" in "${text}"`);
  const item = list && innerOptional ? `(${element} | undefined)` : element;
  const isOptional = byDefault !== undefined || (list ? outerOptional === "?" : innerOptional === "?");
  return { name, base, isList: list !== undefined, isOptional, type: list ? `readonly ${item}[]` : element };
}

/** @param {string} text the comma-separated arguments of a schema; commas also occur inside default lists */
function splitArguments(text) {
  const parts = [];
  let depth = 0;
  let from = 0;
  for (let i = 0; i <= text.length; i++) {
    const char = text[i];
    if (char === "[" || char === "(") depth++;
    if (char === "]" || char === ")") depth--;
    if (i === text.length || (char === "," && depth === 0)) {
      parts.push(text.slice(from, i).trim());
      from = i + 1;
    }
  }
  return parts.filter((part) => part !== "" && part !== "*").map(parseArgument);
}

const camel = (/** @type {string} */ name) => {
  const plain = name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
  return plain === "default" || plain === "function" ? `${plain}_` : plain;
};

/** @param {ReturnType<typeof parseArgument>} argument */
function crossing(argument) {
  const name = camel(argument.name);
  const mark = argument.isOptional ? "?" : "";
  if (argument.isList && argument.base === "Tensor") return `${name}${mark}.map(handleOf)`;
  if (argument.base === "Tensor" || argument.base === "Generator") return `${name}${mark}.handle`;
  if (argument.base === "ScalarType")
    return argument.isOptional ? `${name} && dtypeCode(${name})` : `dtypeCode(${name})`;
  return name;
}

const results = new Map([
  ["Tensor", { type: "Tensor", wrap: (/** @type {string} */ call) => `wrap(${call} as number)` }],
  ["Tensor[]", { type: "Tensor[]", wrap: (/** @type {string} */ call) => `wrapAll(${call} as number[])` }],
]);

/** @param {string} text @param {boolean} inPlace */
function resultOf(text, inPlace) {
  if (inPlace || text.trim() === "()")
    return { type: "void", wrap: (/** @type {string} */ call) => `void ${call}` };
  const plain = text.replace(/\([a-z!*| ]*(?:->[^)]*)?\)/g, "").trim();
  const known = results.get(plain);
  if (known) return known;
  const tuple = /^\((.*)\)$/.exec(plain);
  if (tuple) {
    const count = (tuple[1] ?? "").split(",").length;
    return {
      type: `[${Array(count).fill("Tensor").join(", ")}]`,
      wrap: (/** @type {string} */ call) =>
        `wrapAll(${call} as number[]) as [${Array(count).fill("Tensor").join(", ")}]`,
    };
  }
  throw new Error(`unknown result "${text}"`);
}

/** @param {string} operator */
function generate(operator) {
  const schema = schemas.get(operator);
  if (!schema) return undefined;
  const open = schema.indexOf("(");
  const arrow = schema.lastIndexOf(" -> ");
  const parameters = splitArguments(schema.slice(open + 1, schema.lastIndexOf(")", arrow)));
  // In TypeScript optional parameters come last. One before a required parameter is typed `| undefined` instead.
  const lastRequired = parameters.findLastIndex((parameter) => !parameter.isOptional);
  const signature = parameters.map((parameter, index) => {
    const name = camel(parameter.name);
    if (!parameter.isOptional) return `${name}: ${parameter.type}`;
    return index < lastRequired
      ? `${name}: ${parameter.type} | undefined`
      : `${name}?: ${parameter.type} | undefined`;
  });
  const [name = "", overload = ""] = operator.split(".");
  const id = operator.replace(".", "_");
  const inPlace = /^Tensor\([a-z]!\)/.test(schema.slice(arrow + 4));
  const result = resultOf(schema.slice(arrow + 4), inPlace);
  const call = `(op ??= resolve("${name}", "${overload}"))(${parameters.map(crossing).join(", ")})`;
  return [
    `/** \`${schema.replace(/\*\//g, "* /")}\` */`,
    `export const ${id} = (() => {`,
    "  let op: NativeOperator | undefined;",
    `  return (${signature.join(", ")}): ${result.type} => ${result.wrap(call)};`,
    "})();",
  ].join("\n");
}

/** @returns {Map<string, string>} the blocks of the existing file, by operator */
function readExisting() {
  /** @type {Map<string, string>} */
  const blocks = new Map();
  let text = "";
  try {
    text = readFileSync(target, "utf8");
  } catch {
    return blocks;
  }
  for (const block of text.split("\n\n")) {
    const match = /^\/\*\* `aten::([\w.]+)\(/.exec(block);
    if (match?.[1]) blocks.set(match[1], block.trim());
  }
  return blocks;
}

const before = readExisting();
const header = `/**
 * Generated by scripts/generate-aten.mjs from libtorch's own schemas: one typed function per operator. Do not edit.
 */
import type { Device, DType } from "../tensor/dtype.ts";
import { dtypeCode } from "../tensor/dtype.ts";
import type { NativeOperator } from "./binding.ts";
import { resolve } from "./binding.ts";
import type { Generator } from "../tensor/generator.ts";
import { handleOf, type Tensor, wrap, wrapAll } from "../tensor/tensor.ts";`;

const missing = [];
const blocks = [];
for (const operator of operators) {
  const block = generate(operator) ?? before.get(operator);
  if (block) blocks.push(block);
  else missing.push(operator);
}
if (missing.length > 0) {
  console.error(
    `libtorch ${native.version()} has no ${missing.join(", ")}, and no earlier run declared them.`,
  );
  process.exitCode = 1;
}
writeFileSync(target, `${header}\n\n${blocks.join("\n\n")}\n`);
console.log(
  `${blocks.length} operators written to src/addon/aten.generated.ts (libtorch ${native.version()})`,
);
