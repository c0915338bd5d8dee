/** Entry of the `ltx-trainer` process. */
import { runCli } from "./program.ts";

// A reader that closes early (`| head`) is no fault; without it there is nobody left to work for.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(1);
  throw error;
});

process.exitCode = await runCli(process.argv.slice(2));
