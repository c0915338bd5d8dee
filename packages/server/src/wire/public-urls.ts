/**
 * The addresses under which clients reach us.
 *
 * Everything hangs under one origin: the queue under /queue, synchronous runs under /run, files under /files. A client
 * that reaches us under fal's own host names (through DNS or a proxy) is told those.
 */

/**
 * Host names of the hosted service, and the part of ours that stands for each.
 *
 * `rest.alpha.fal.ai` and `fal.media`: clients until the end of 2025. `falrun.com`: where fal_client from 1.0.3 turns when
 * fal's own names do not answer. Which client asks which host: `tests/clients/versions/versions.ts`.
 */
export const falHosts: Readonly<Record<string, string>> = {
  "queue.fal.run": "/queue",
  "queue.falrun.com": "/queue",
  "fal.run": "/run",
  "falrun.com": "/run",
  "rest.fal.ai": "/rest",
  "rest.alpha.fal.ai": "/rest",
  "api.fal.ai": "",
  "fal.media": "",
  "v3.fal.media": "",
  "v3b.fal.media": "",
};

/** `https://host`, without a slash at its end. */
export type PublicUrl = string;

/** What a request came in as. */
export type ReachedAs = {
  readonly protocol: string;
  /** With the port. */
  readonly host: string;
  readonly configured: PublicUrl | undefined;
};

/** The origin to build addresses from. */
export function publicUrlOf({ protocol, host, configured }: ReachedAs): PublicUrl {
  if (Object.hasOwn(falHosts, host)) return `https://${host}`;
  return configured ?? `${protocol}://${host}`;
}

/** Where the queue is, for `requestUrls`. */
export function queueBase(publicUrl: PublicUrl): string {
  return isFalHost(publicUrl) ? "https://queue.fal.run" : `${publicUrl}/queue`;
}

/** The address of a file. */
export function fileUrl(
  publicUrl: PublicUrl,
  file: { readonly store: string; readonly name: string },
): string {
  return `${filesBase(publicUrl)}/files/b/${file.store}/${encodeURIComponent(file.name)}`;
}

/** Where files are uploaded to and read from, for clients that build addresses by themselves. */
export function filesBase(publicUrl: PublicUrl): string {
  return isFalHost(publicUrl) ? "https://v3.fal.media" : publicUrl;
}

function isFalHost(publicUrl: PublicUrl): boolean {
  return Object.hasOwn(falHosts, publicUrl.replace(/^https:\/\//, ""));
}
