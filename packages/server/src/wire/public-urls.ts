/**
 * Builds the URLs in our responses.
 *
 * Everything has one origin: the queue under /queue, synchronous runs under /run, files under /files. A client that reaches
 * us under fal's own host names (through DNS or a proxy) gets URLs with those.
 */

/**
 * Host names of the hosted service, and our path for each.
 *
 * `rest.alpha.fal.ai` and `fal.media`: clients until the end of 2025. `falrun.com`: the fallback of fal_client from 1.0.3 when
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

/** The address that a request was sent to. */
export type ReachedAs = {
  readonly protocol: string;
  /** With the port. */
  readonly host: string;
  readonly configured: PublicUrl | undefined;
};

/** Returns the origin to build URLs from. */
export function publicUrlOf({ protocol, host, configured }: ReachedAs): PublicUrl {
  if (Object.hasOwn(falHosts, host)) return `https://${host}`;
  return configured ?? `${protocol}://${host}`;
}

/** Returns the URL of the queue, for `requestUrls`. */
export function queueBase(publicUrl: PublicUrl): string {
  return isFalHost(publicUrl) ? "https://queue.fal.run" : `${publicUrl}/queue`;
}

/** Returns the URL of a file. */
export function fileUrl(
  publicUrl: PublicUrl,
  file: { readonly store: string; readonly name: string },
): string {
  return `${filesBase(publicUrl)}/files/b/${file.store}/${encodeURIComponent(file.name)}`;
}

/** Returns the base URL of files, for clients that build the rest themselves. */
export function filesBase(publicUrl: PublicUrl): string {
  return isFalHost(publicUrl) ? "https://v3.fal.media" : publicUrl;
}

function isFalHost(publicUrl: PublicUrl): boolean {
  return Object.hasOwn(falHosts, publicUrl.replace(/^https:\/\//, ""));
}
