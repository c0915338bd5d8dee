#!/usr/bin/env node
/** Entry of the `ltx-trainer` command: runs the compiled program, or says how to compile it. */
import { existsSync } from "node:fs";

const program = new URL("../dist/main.js", import.meta.url);
if (existsSync(program)) {
  await import(program.href);
} else {
  console.error("ltx-trainer: not built yet. Run `npm run setup` in the repository first.");
  process.exitCode = 1;
}
