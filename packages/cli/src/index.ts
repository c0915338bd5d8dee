/** The `ltx-trainer` command as a function. */
export { runCli } from "./program.ts";
