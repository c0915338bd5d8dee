/**
 * Which endpoint and request an address of the queue means.
 *
 * Clients leave the sub-path of an endpoint out of the addresses of its requests; older documentation keeps it, and adds
 * `/response`. Both are understood, with or without a slash at the end.
 */

export type RequestPath = {
  /** `owner/alias`. */
  readonly endpoint: string;
  /** What comes after it; usually nothing. */
  readonly path: string;
  /** Absent when a request is submitted there. */
  readonly request?: { readonly id: string; readonly part: RequestPart };
};

export type RequestPart = "result" | "status" | "stream" | "cancel";

const parts: Readonly<Record<string, RequestPart>> = {
  "": "result",
  response: "result",
  status: "status",
  "status/stream": "stream",
  cancel: "cancel",
};

/** Undefined for what is no address of the queue. */
export function parseRequestPath(pathname: string): RequestPath | undefined {
  const segments = withoutOuterSlashes(pathname).split("/");
  const [owner, alias, ...rest] = segments;
  if (!owner || !alias) return undefined;
  const endpoint = `${owner}/${alias}`;
  const at = rest.indexOf("requests");
  if (at === -1) return { endpoint, path: rest.join("/") };
  const [id, ...tail] = rest.slice(at + 1);
  const name = tail.join("/");
  const part = Object.hasOwn(parts, name) ? parts[name] : undefined;
  if (!id || part === undefined) return undefined;
  return { endpoint, path: rest.slice(0, at).join("/"), request: { id, part } };
}

/** By hand: every poll passes here, and the expression for it takes quadratic time on a row of slashes. */
function withoutOuterSlashes(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && text[start] === "/") start++;
  while (end > start && text[end - 1] === "/") end--;
  return text.slice(start, end);
}
