/** `ltx-trainer keys` as a user runs it: the compiled command, a database of its own, no service. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test, vi } from "vitest";
import { processesWith } from "../testing/processes.ts";

// Each call starts a database of its own, on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 600_000 });

const command = fileURLToPath(new URL("../../bin/ltx-trainer.js", import.meta.url));
const home = mkdtempSync(join(tmpdir(), "ltx-keys-"));
chmodSync(home, 0o755);
afterAll(() => rmSync(home, { recursive: true, force: true }));

function keys(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, "keys", ...args, "--home", home], {
    env: { PATH: process.env.PATH, HOME: home },
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

const json = (...args: readonly string[]) => {
  const { status, stdout } = keys(...args, "--json");
  return { status, answer: JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") };
};

test("a key is made, listed without its secret, and revoked; no database stays behind", () => {
  const { status, answer } = json("create", "--name", "laptop", "--user", "ana");
  expect(status).toBe(0);
  expect(answer).toEqual({
    key: expect.stringMatching(/^[0-9a-f-]{36}:[0-9a-f]{32}$/),
    name: "laptop",
    id: expect.any(String),
    scope: "api",
    user: "ana",
  });
  const people = keys("create", "--scope", "admin");
  expect(people.stdout).toMatch(
    /Key "key" of user local, scope admin, shown this once:\n\n {2}export FAL_KEY="/,
  );
  expect(json("revoke", answer.id)).toEqual({ status: 0, answer: { id: answer.id, name: "laptop" } });
  const { answer: list } = json("list");
  expect(list.keys).toMatchObject([
    { name: "key", scope: "admin", revoked_at: null },
    { name: "laptop", id: answer.id, last_used_at: null, revoked_at: expect.stringMatching(/Z$/) },
  ]);
  expect(JSON.stringify(list)).not.toContain(answer.key.split(":")[1]);
  expect(processesWith(home)).toEqual([]);
});

test.each([
  [["create", "--scope", "root"], /scope: got "root", expected one of api, admin/],
  [["create", "--user", "a b"], /user: got "a b", expected letters/],
  [["revoke", "nonsense"], /id: got "nonsense", expected the id of a key/],
  [["revoke", "0190c000-0000-4000-8000-000000000000"], /expected the id of an active key/],
])("%j is refused with the status of wrong usage", (args, message) => {
  const { status, stderr } = keys(...args);
  expect(status).toBe(2);
  expect(stderr).toMatch(message);
});
