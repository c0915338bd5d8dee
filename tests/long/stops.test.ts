/** A server that is stopped, in every way there is: the training writes a checkpoint, and the next server goes on with it. */
import { afterEach, expect, test } from "vitest";
import {
  LongTraining,
  signal,
  stopsOfNpm,
  stopsOfService,
  type Way,
} from "../../packages/server/src/testing/long-training.ts";
import { familyOf } from "../../packages/server/src/testing/processes.ts";
import { serverProgram } from "../../packages/server/src/testing/server-process.ts";

let training: LongTraining | undefined;

afterEach(async () => {
  await training?.end();
  training = undefined;
});

const ways: Way[] = [
  stopsOfNpm,
  {
    what: "SIGTERM to npx",
    command: ["npx", "ltx-trainer", "serve"],
    stop: ({ child }) => signal(child.pid, "SIGTERM"),
  },
  stopsOfService,
  {
    what: "Ctrl-C that arrives twice, as it does through npm",
    command: stopsOfService.command,
    stop: ({ child }) => {
      child.kill("SIGINT");
      setTimeout(() => child.kill("SIGINT"), 100);
    },
  },
];

test("however it is stopped, the training goes on with the next server", async () => {
  training = await LongTraining.start({}, ways[0]?.command);
  for (const [place, way] of ways.entries()) await training.stop(way, ways[place + 1]?.command);
  await training.cancel();
});

const isRoot = process.getuid?.() === 0;
const unlessRoot = "making a process namespace needs root";

test.skipIf(!isRoot)(
  `pid 1 of a container that is sent SIGTERM drains (skipped: ${unlessRoot})`,
  async () => {
    const command = [
      "unshare",
      "--pid",
      "--fork",
      "--mount-proc",
      "--kill-child",
      process.execPath,
      serverProgram,
    ];
    const first = {
      what: "SIGTERM to pid 1 of a container",
      command,
      stop: ({ child }: { readonly child: { readonly pid?: number | undefined } }) => {
        const [, pid] = familyOf(child.pid);
        signal(pid, "SIGTERM");
      },
    };
    training = await LongTraining.start({}, command);
    await training.stop(first, command);
    await training.cancel();
    expect((await training.lease()).state).toBe("cancelled");
  },
);
