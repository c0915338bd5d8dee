/** Whether news arrive: directly, and through a pooler that swallows them as pgbouncer does in transaction mode. */
import { mkdirSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { silent, type TestDatabase, TestPostgres } from "../testing/postgres.ts";
import { ChangeFeed } from "./change-feed.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const socketName = ".s.PGSQL.5432";
let postgres: TestPostgres;
let database: TestDatabase;

beforeAll(async () => {
  postgres = await TestPostgres.start();
  database = await postgres.open();
});
afterAll(async () => {
  await database.close();
  await postgres.stop();
});

/** Passes a server's messages on, but for notifications. Source: postgresql.org/docs/18/protocol-message-formats.html. */
function withoutNotifications(from: Socket, to: Socket): void {
  let left = Buffer.alloc(0);
  from.on("data", (piece) => {
    left = Buffer.concat([left, piece as Buffer]);
    while (left.length >= 5) {
      const length = 1 + left.readInt32BE(1);
      if (left.length < length) return;
      if (left.toString("latin1", 0, 1) !== "A") to.write(left.subarray(0, length));
      left = left.subarray(length);
    }
  });
}

async function startPooler(folder: string): Promise<Server> {
  mkdirSync(folder, { recursive: true });
  const pooler = createServer((client) => {
    const server = connect(join(postgres.postgres.address.host, socketName));
    client.pipe(server);
    withoutNotifications(server, client);
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on("error", () => {});
      one.on("close", () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => pooler.listen(join(folder, socketName), resolve));
  return pooler;
}

test("a direct connection gets the notifications of another", async () => {
  expect(await database.feed.receivesNotifications(database.db, 60_000)).toBe(true);
});

test("one through a pooler in transaction mode listens without an error, and gets no notification", async () => {
  const folder = join(postgres.postgres.address.host, "pooler");
  const pooler = await startPooler(folder);
  const feed = new ChangeFeed({ ...postgres.postgres.address, host: folder }, silent);
  try {
    await feed.open();
    expect(await feed.receivesNotifications(database.db, 300)).toBe(false);
  } finally {
    await feed.close();
    await new Promise((resolve) => pooler.close(resolve));
  }
});
