/** A bucket on a real server that speaks S3, for tests. */
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
    port: wantedPort,
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
