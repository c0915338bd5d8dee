/** The command of `test/echo`: reads its job, writes a file and prints its events. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [, , command, jobFile = ""] = process.argv;
const { words, attachment, out } = JSON.parse(readFileSync(jobFile, "utf8"));
/** @param {Record<string, unknown>} event */
const print = (event) => console.log(JSON.stringify(event));

if (words === "fail") {
  const message = "cannot be read";
  print({ type: "failed", code: "media_unreadable", message, retryable: false, exitCode: 1 });
  process.exit(1);
}
mkdirSync(out, { recursive: true });
const file = join(out, "echo.json");
const content = attachment === undefined ? null : readFileSync(attachment, "utf8");
writeFileSync(file, JSON.stringify({ command, words, content }));
print({ type: "log", level: "info", message: `echoes ${words}` });
print({ type: "finished", outputs: { words, file } });
