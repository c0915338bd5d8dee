/**
 * Every published version of fal's clients that can name the endpoint, by how it reaches a server of one's own.
 *
 * Read from the packages themselves (2026-11-27). `@fal-ai/serverless-client` until 0.7.4 builds
 * `https://<id>.gateway.alpha.fal.ai`, which an id with a slash cannot be: it cannot name `fal-ai/ltx-video-trainer`.
 * Version 0.12.0 is left out: its `subscribe` streams the status from `queue.fal.run` past every middleware.
 */

export type JsClient = {
  readonly name: "@fal-ai/client" | "@fal-ai/serverless-client";
  readonly version: string;
  /** Option of `fal.config` that leads a program outside a browser here. */
  readonly by: "proxyUrl" | "requestMiddleware";
  /** Where the package asks for an address to upload to. */
  readonly rest: "rest.fal.ai" | "rest.alpha.fal.ai";
};

const versions = (text: string) => text.split(" ");

const client = (by: JsClient["by"], rest: JsClient["rest"], list: string): JsClient[] =>
  versions(list).map((version) => ({ name: "@fal-ai/client", version, by, rest }));

export const jsClients: readonly JsClient[] = [
  ...client("proxyUrl", "rest.fal.ai", "1.10.1 1.10.0"),
  ...client("requestMiddleware", "rest.fal.ai", "1.9.6 1.9.5 1.9.4 1.9.3"),
  ...client(
    "requestMiddleware",
    "rest.alpha.fal.ai",
    "1.9.2 1.9.1 1.9.0 1.8.5 1.8.4 1.8.3 1.8.2 1.8.1 1.8.0",
  ),
  ...client("requestMiddleware", "rest.alpha.fal.ai", "1.7.2 1.7.0 1.6.2 1.6.1 1.6.0 1.5.0 1.4.0 1.3.0"),
  ...client(
    "requestMiddleware",
    "rest.alpha.fal.ai",
    "1.2.3 1.2.2 1.2.1 1.2.0 1.1.2 1.1.1 1.1.0 1.0.4 1.0.3 1.0.2",
  ),
  ...versions(
    "0.15.0 0.14.3 0.14.2 0.13.0 0.11.0 0.10.4 0.10.2 0.10.0 0.9.3 0.9.1 0.9.0 0.8.6 0.8.5 0.8.2",
  ).map(
    (version): JsClient => ({
      name: "@fal-ai/serverless-client",
      version,
      by: "requestMiddleware",
      rest: "rest.alpha.fal.ai",
    }),
  ),
];

export type PythonClient = {
  readonly version: string;
  /** Whether `FAL_QUEUE_RUN_HOST` exists; without it the queue is always `queue.<FAL_RUN_HOST>`. */
  readonly hasQueueHost: boolean;
  /** The host asked first when a file is uploaded; no variable changes it. */
  readonly uploads: "rest.fal.ai" | "rest.alpha.fal.ai" | "fal.media";
};

const python = (hasQueueHost: boolean, uploads: PythonClient["uploads"], list: string): PythonClient[] =>
  versions(list).map((version) => ({ version, hasQueueHost, uploads }));

export const pythonClients: readonly PythonClient[] = [
  ...python(true, "rest.fal.ai", "1.0.3 1.0.2 1.0.1 1.0.0 0.14.1 0.14.0 0.13.2 0.13.1"),
  ...python(true, "rest.alpha.fal.ai", "0.13.0 0.12.0 0.11.0"),
  ...python(
    false,
    "rest.alpha.fal.ai",
    "0.10.0 0.9.1 0.8.1 0.8.0 0.7.0 0.6.0 0.5.9 0.5.8 0.5.7 0.5.6 0.5.5 0.5.4 0.5.3",
  ),
  ...python(false, "fal.media", "0.5.2 0.5.1 0.5.0"),
];

/** The newest and the oldest of each kind, kinds being versions that differ in nothing but their number. */
export function endsOfKinds<Client extends { readonly version: string }>(
  clients: readonly Client[],
): Client[] {
  const kindOf = ({ version: _, ...kind }: Client) => JSON.stringify(kind);
  return clients.filter((client, index) =>
    [clients[index - 1], clients[index + 1]].some(
      (neighbour) => neighbour === undefined || kindOf(neighbour) !== kindOf(client),
    ),
  );
}
