import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startVitest } from "vitest/node";
import { countTests, formatSummary } from "./summary.mjs";

const tests = `
import { describe, expect, test } from "vitest";
test("adds", () => { expect(1 + 1).toBe(2); });
test("is wrong", () => { expect(1 + 1).toBe(3); });
describe("on a GPU", () => {
  test.skip("multiplies", () => {});
  test("divides", (context) => { context.skip("no CUDA device"); });
});
`;

test("counts what a real run did and names what it skipped", async () => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "summary-")));
  writeFileSync(join(root, "some.test.mjs"), tests);
  writeFileSync(join(root, "broken.test.mjs"), 'import "./missing.mjs";\n');
  const keep = { exitCode: process.exitCode };
  try {
    const vitest = await startVitest("test", [], { root, watch: false, config: false, reporters: [{}] });
    const counts = countTests(vitest.state.getTestModules(), 0, root);
    await vitest.close();
    expect(counts).toEqual({
      passed: 1,
      failed: 2,
      skipped: [
        { file: "some.test.mjs", name: "on a GPU > multiplies", reason: "its name says why" },
        { file: "some.test.mjs", name: "on a GPU > divides", reason: "no CUDA device" },
      ],
    });
  } finally {
    process.exitCode = keep.exitCode;
    rmSync(root, { recursive: true });
  }
});

test("an error outside every test is a failure", () => {
  expect(countTests([], 2, "/")).toEqual({ passed: 0, failed: 2, skipped: [] });
});

test("the last line is the counts, and skipped tests stand above it", () => {
  const skipped = [{ file: "a.test.ts", name: "on a GPU", reason: "no CUDA device" }];
  expect(formatSummary({ passed: 3, failed: 0, skipped })).toBe(
    "SKIPPED, and so not proven by this run: 1\n  a.test.ts > on a GPU (no CUDA device)\n3 passed, 0 failed, 1 skipped",
  );
  expect(formatSummary({ passed: 3, failed: 1, skipped: [] })).toBe("3 passed, 1 failed, 0 skipped");
});
