/** The addon in worker threads: separate tables, one shared registry of operators, clean exit. */
import { spawnSync } from "node:child_process";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { addonPath } from "./binding.ts";

/** The source of a worker that calls `body` with `addon`. It loads only the addon, because a worker thread cannot load TypeScript. */
function makeProgram(body: string): string {
  return `
    const { parentPort } = require("node:worker_threads");
    const addon = require(${JSON.stringify(addonPath())});
    const answer = (() => { ${body} })();
    parentPort?.postMessage(answer);
  `;
}

function runInWorker(body: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(makeProgram(body), { eval: true });
    let answer: unknown;
    worker.on("message", (message) => {
      answer = message;
    });
    worker.on("error", reject);
    worker.on("exit", () => resolve(answer));
  });
}

const calculateProgram = `
  const names = addon.schemas("aten::").map((schema) => schema.slice(0, schema.indexOf("(")));
  for (const name of names.slice(0, 1500)) addon.resolve(...(name + ".").split(".").slice(0, 2));
  const ones = addon.resolve("aten::ones", "");
  const multiply = addon.resolve("aten::matmul", "");
  const weight = ones([64, 64], 6);
  addon.setRequiresGrad(weight, true);
  let out = weight;
  for (let i = 0; i < 3; i++) out = multiply(out, weight);
  const loss = addon.resolve("aten::sum", "")(out);
  addon.backward([loss], undefined, false);
  const gradient = addon.grad(weight);
  const values = new Float32Array(64 * 64);
  addon.readBytes(gradient, values);
  addon.makeGenerator("cpu", 1);
  return { first: values[0], tensors: addon.liveTensors(), generators: addon.liveGenerators() };
`;

test("worker threads calculate at the same time, each with tensors and generators of its own", async () => {
  const answers = await Promise.all(Array.from({ length: 4 }, () => runInWorker(calculateProgram)));
  // d/dW of the sum of W^4 with ones everywhere: 4 * 64^3.
  for (const answer of answers) expect(answer).toEqual({ first: 4 * 64 ** 3, tensors: 6, generators: 1 });
});

test("a process whose worker threads hold tensors ends with 0, one of them being terminated", () => {
  const holding = makeProgram(`${calculateProgram.replace("return", "globalThis.held = out; return")}`);
  const main = `
    const { once } = require("node:events");
    const { Worker } = require("node:worker_threads");
    const addon = require(${JSON.stringify(addonPath())});
    globalThis.held = addon.resolve("aten::ones", "")([1000], 6);
    const held = ${JSON.stringify(holding)};
    const first = new Worker(held, { eval: true });
    const second = new Worker(held + "; setInterval(() => {}, 1000)", { eval: true });
    // Terminated before its environment is made, a thread ends with 0: so not until it has answered.
    Promise.all([once(first, "exit"), once(second, "message")]).then(() => second.terminate());
    second.on("exit", (code) => process.stdout.write("second " + code));
  `;
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ["-e", main], { encoding: "utf8" });
  expect({ status, signal, stdout, stderr }).toEqual({
    status: 0,
    signal: null,
    stdout: "second 1",
    stderr: "",
  });
});

test("a worker thread that is being terminated gets nothing from the addon, and no stray values", () => {
  // reallyExit() asks for the thread's end and returns; without a loop or a call of JavaScript the thread then runs on.
  const ending = makeProgram(`
    const ones = addon.resolve("aten::ones", "");
    const cat = addon.resolve("aten::cat", "");
    const unbind = addon.resolve("aten::unbind", "int");
    const [a, b] = [ones([3], 6), ones([3], 6)];
    process.reallyExit(7);
    const found = typeof addon.resolve("aten::ones", "") + " " + typeof cat([a, b], 0) + " " + typeof addon.gradsOf([a, b]);
    addon.shape(a);
    unbind(a, 0);
    addon.schemas("aten::add");
    addon.backward([a], undefined, false);
    return found;
  `);
  const main = `
    const { Worker } = require("node:worker_threads");
    const worker = new Worker(${JSON.stringify(ending)}, { eval: true });
    worker.on("message", (message) => process.stdout.write(message));
    worker.on("exit", (code) => process.stdout.write(" exit " + code));
  `;
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ["-e", main], { encoding: "utf8" });
  expect({ status, signal, stdout, stderr }).toEqual({
    status: 0,
    signal: null,
    stdout: "undefined undefined undefined exit 7",
    stderr: "",
  });
});
