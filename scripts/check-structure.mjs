/** `node scripts/check-structure.mjs [folder]`: prints every place that breaks a structure rule; exit code 1 if any. */
import { fileURLToPath } from "node:url";
import { checkTree } from "./check-structure/rules.mjs";

const root = process.argv[2] ?? fileURLToPath(new URL("..", import.meta.url));
const { files, median, violations } = checkTree(root);
for (const { path, line, message } of violations) console.error(`${path}:${line}: ${message}`);
console.log(`structure: ${files} files, median ${median} lines, ${violations.length} broken rules`);
process.exitCode = violations.length > 0 ? 1 : 0;
