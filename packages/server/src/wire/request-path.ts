/**
 * Parses a path of the queue into endpoint and request.
 *
 * Clients omit an endpoint's sub-path from the URLs of its requests. Older documentation keeps it and appends `/response`.
 * Both are accepted, with or without a trailing slash.
 */

export type RequestPath = {
  /** `owner/alias`. */
  readonly endpoint: string;
  /** Path after the endpoint, usually empty. */
  readonly path: string;
  /** Absent for submissions. */
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

/** Returns undefined for any other path. */
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

/** Not a regular expression: every poll runs this, and the expression takes quadratic time on a row of slashes. */
function withoutOuterSlashes(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && text[start] === "/") start++;
  while (end > start && text[end - 1] === "/") end--;
  return text.slice(start, end);
}
