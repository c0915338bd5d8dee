/** Children of this process under the trainers' account: running trainers stay, leftovers are killed. */
import { type ChildProcess, spawn } from "node:child_process";
import { expect, onTestFinished, test } from "vitest";
import { endLeftovers, liveTrainers } from "./leftovers.ts";

const isRoot = process.getuid?.() === 0;
/** Of no trainer that another test runs meanwhile. */
const uid = 61_979;

function start(): ChildProcess {
  const confined = ["--reuid", String(uid), "--regid", String(uid), "--clear-groups", "--no-new-privs"];
  const child = spawn("setpriv", [...confined, "--", "sh", "-c", "echo up; exec sleep 600"], {
    detached: true,
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

test.runIf(isRoot)("a server that is init ends what it adopted, and no trainer", async () => {
  const [adopted, trainer] = [start(), start()];
  for (const { stdout } of [adopted, trainer]) await new Promise((resolve) => stdout?.once("data", resolve));
  const ended = new Promise((resolve) => adopted.once("exit", (_code, signal) => resolve(signal)));
  liveTrainers.add(trainer.pid ?? 0);
  await endLeftovers(uid, undefined);
  expect(await ended).toBe("SIGKILL");
  expect([trainer.exitCode, trainer.signalCode]).toEqual([null, null]);
  await endLeftovers(uid, trainer.pid);
  expect(liveTrainers.has(trainer.pid ?? 0)).toBe(false);
});
