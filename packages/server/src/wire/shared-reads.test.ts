/** Reads made once for many: sharing, age, forgetting, failing. */
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { SharedReads } from "./shared-reads.ts";

function counted(maxAgeMs: number) {
  let reads = 0;
  const shared = new SharedReads({ maxAgeMs, read: async (key) => `${key}${++reads}` });
  return shared;
}

test("callers at the same time share one read", async () => {
  const shared = counted(600_000);
  expect(await Promise.all([shared.get("a"), shared.get("a"), shared.get("b")])).toEqual(["a1", "a1", "b2"]);
});

test("what is too old or was forgotten is read anew", async () => {
  const shared = counted(20);
  expect(await shared.get("a")).toBe("a1");
  await delay(40);
  expect(await shared.get("a")).toBe("a2");
  shared.forget("a");
  expect(await shared.get("a")).toBe("a3");
  shared.clear();
  expect(await shared.get("a")).toBe("a4");
});

test("a read that was forgotten while under way does not come back", async () => {
  const waiting: ((value: string) => void)[] = [];
  const shared = new SharedReads({
    maxAgeMs: 600_000,
    read: () => new Promise<string>((resolve) => waiting.push(resolve)),
  });
  const old = shared.get("a");
  shared.forget("a");
  const current = shared.get("a");
  waiting[0]?.("old");
  waiting[1]?.("new");
  expect([await old, await current, await shared.get("a")]).toEqual(["old", "new", "new"]);
});

test("a failure is told to those who waited, and not kept", async () => {
  let reads = 0;
  const read = async () => {
    if (++reads === 1) throw new Error("away");
    return "here";
  };
  const shared = new SharedReads({ maxAgeMs: 600_000, read });
  await expect(shared.get("a")).rejects.toThrow("away");
  expect(await shared.get("a")).toBe("here");
});
