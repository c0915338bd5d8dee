/** Entry of the `ltx-trainer` process. */
import { isatty } from "node:tty";
import { runCli } from "./program.ts";

// A reader that closes early (`| head`) is no fault; without it there is nobody left to work for.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(1);
  throw error;
});

// Nobody reads on (`2>&1 | head`): stop in good order, once. A terminal that closed says so by SIGHUP, or wants the work
// to go on without it.
process.stderr.on("error", () => {});
process.stderr.once("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.kill(process.pid, "SIGTERM");
});

const terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor));

process.exitCode = await runCli(process.argv.slice(2));

// Node aborts at its end when it cannot set the mode of a terminal that closed. End as programs do there.
if (terminals.some((descriptor) => !isatty(descriptor))) process.kill(process.pid, "SIGHUP");
