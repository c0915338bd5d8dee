/** A bucket on a real server that speaks S3, for tests. */
import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import S3rver from "s3rver";

export type TestBucket = {
  readonly name: string;
  readonly endpoint: string;
  readonly close: () => Promise<void>;
};

/**
 * Starts it, and sets its fixed credentials in the environment, where the AWS SDK looks.
 *
 * @param directory where it keeps its objects
 * @param wantedPort of one that was closed and comes back
 */
export async function startBucket(name: string, directory: string, wantedPort = 0): Promise<TestBucket> {
  process.env.AWS_ACCESS_KEY_ID = "S3RVER";
  process.env.AWS_SECRET_ACCESS_KEY = "S3RVER";
  const server = new S3rver({
    port: wantedPort || (await freePort()),
    address: "127.0.0.1",
    silent: true,
    directory,
    configureBuckets: [{ name, configs: [] }],
  });
  const { port } = await server.run();
  return {
    name,
    endpoint: `http://127.0.0.1:${port}`,
    close: async () => {
      const closed = server.close();
      server.httpServer.closeAllConnections();
      await closed;
    },
  };
}

/**
 * Below the range that the system gives to outgoing connections: there, one of them may take the port of a bucket that is
 * away for a while.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 30_000);
    const isFree = await new Promise<boolean>((resolve) => {
      const probe = createServer();
      probe.once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}
