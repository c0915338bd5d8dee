#!/usr/bin/env node
/** Entry of the `ltx-trainer` command: runs the compiled program, or says how to compile it. */
import { existsSync } from "node:fs";

const program = new URL("../dist/main.js", import.meta.url);
if (existsSync(program)) {
  await import(program.href).catch(explain);
} else {
  console.error("ltx-trainer: not built yet. Run `npm run setup` in the repository first.");
  process.exitCode = 1;
}

/** Node opens all modules of a program at once, some 150 files. */
function explain(error) {
  if (error.code !== "EMFILE" && error.code !== "ENFILE") throw error;
  console.error("error: too many open files: the program could not be loaded");
  console.error("Raise the limit with `ulimit -n 4096`, then run the same command again.");
  process.exitCode = 1;
}
