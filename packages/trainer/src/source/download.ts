/**
 * Downloading a file to disk: streamed, with a limit on bytes and time, redirects followed by hand.
 *
 * Every address that is connected to is shown to `checkAddress` first (also after redirects, and the one that name
 * lookup really gave), so that a server can refuse its own network. The command line refuses none.
 */
import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import { AppError, withoutSecrets } from "@ltx-trainer/contract";
import { checkLiteralAddress, makeCheckedLookup } from "@ltx-trainer/host";
import { Agent, buildConnector, fetch, type Response } from "undici";
import { asDiskFull } from "../files/disk.ts";
import { withoutQuery } from "./policy.ts";

export type DownloadOptions = {
  readonly maxBytes: number;
  /** Of the whole download. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly checkAddress?: ((address: string) => void) | undefined;
  /** Called at most once per `progressIntervalMs`. `totalBytes` is undefined when the server does not say. */
  readonly onProgress?: (doneBytes: number, totalBytes: number | undefined) => void;
  /** A window with less than 64 KiB ends the attempt. Default: 120 s. */
  readonly slowWindowMs?: number;
  /** Default: 500 ms. */
  readonly progressIntervalMs?: number;
  /** Pauses before each further try. Default: 1 s and 4 s. */
  readonly retryDelaysMs?: readonly number[];
};

const maxRedirects = 5;

/**
 * Fetches `url` into `path`, which appears only when it is complete. Faults that may pass are tried again.
 *
 * @throws AppError `download_failed`, `download_too_large`, `source_unsupported`, or what `checkAddress` throws
 */
export async function download(url: string, path: string, options: DownloadOptions): Promise<void> {
  if (!URL.canParse(url)) throw invalidAddress(url);
  const pauses = options.retryDelaysMs ?? [1000, 4000];
  const agent = makeAgent(options.checkAddress);
  const deadline = AbortSignal.timeout(options.timeoutMs);
  const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline]);
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        await downloadOnce(new URL(url), path, { ...options, signal, agent });
        return;
      } catch (error) {
        options.signal?.throwIfAborted();
        const failure = explainFailure(
          { url, path },
          error,
          deadline.aborted ? options.timeoutMs : undefined,
        );
        const pause = pauses[attempt];
        if (!failure.retryable || pause === undefined || deadline.aborted) throw failure;
        await delay(pause, undefined, { signal });
      }
    }
  } finally {
    await agent.destroy();
  }
}

type Attempt = DownloadOptions & { readonly signal: AbortSignal; readonly agent: Agent };

async function downloadOnce(url: URL, path: string, attempt: Attempt): Promise<void> {
  const response = await follow(url, attempt);
  // A part of the file, which was not asked for, is not the file.
  if (!response.ok || response.status === 206) {
    await response.body?.cancel();
    throw refused(url, response);
  }
  const totalBytes = announcedBytes(response);
  if (totalBytes !== undefined && totalBytes > attempt.maxBytes) {
    await response.body?.cancel();
    throw tooLarge(url, totalBytes, attempt.maxBytes);
  }
  const part = `${path}.part`;
  const body = response.body === null ? Readable.from([]) : Readable.fromWeb(response.body);
  const passed = { bytes: 0 };
  const counter = countBytes(url, totalBytes, attempt, passed);
  const watch = failWhenSlow(counter, url, attempt, passed);
  try {
    await pipeline(body, counter, createWriteStream(part), { signal: attempt.signal });
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  } finally {
    clearInterval(watch);
  }
  await rename(part, path);
}

/** Undefined when the server does not say, or says it of what is sent compressed. */
function announcedBytes({ headers }: Response): number | undefined {
  const announced = Number(headers.get("content-length") ?? Number.NaN);
  return Number.isFinite(announced) && !headers.has("content-encoding") ? announced : undefined;
}

/** What a download has received so far. */
type Passed = { bytes: number };

/** Less than this in one window is not worth waiting for: a drip would hold a GPU for hours. */
const leastWindowBytes = 64 * 1024;

/** Ends the stream after a window in which hardly anything passed through it. */
function failWhenSlow(
  stream: Transform,
  url: URL,
  { slowWindowMs = 120_000 }: Attempt,
  passed: Passed,
): NodeJS.Timeout {
  let before = 0;
  return setInterval(() => {
    if (passed.bytes - before >= leastWindowBytes) before = passed.bytes;
    else {
      const got = `${passed.bytes - before} bytes in ${slowWindowMs / 1000} s, expected at least ${leastWindowBytes}`;
      stream.destroy(failed(url.href, `got ${got}`, { retryable: true }));
    }
  }, slowWindowMs);
}

/** Passes bytes on, reports them, and fails above the limit. */
function countBytes(
  url: URL,
  totalBytes: number | undefined,
  { maxBytes, onProgress, progressIntervalMs = 500 }: Attempt,
  passed: Passed,
): Transform {
  let reportedAt = Number.NEGATIVE_INFINITY;
  return new Transform({
    transform(piece: Uint8Array, _encoding, done) {
      passed.bytes += piece.length;
      if (passed.bytes > maxBytes) return done(tooLarge(url, passed.bytes, maxBytes));
      if (performance.now() - reportedAt >= progressIntervalMs) {
        reportedAt = performance.now();
        onProgress?.(passed.bytes, totalBytes);
      }
      done(null, piece);
    },
  });
}

async function follow(start: URL, { agent, signal }: Attempt): Promise<Response> {
  let url = start;
  for (let hops = 0; hops <= maxRedirects; hops++) {
    if (url.protocol !== "http:" && url.protocol !== "https:") throw unsupported(url);
    const { address, headers } = splitCredentials(url);
    const response = await fetch(address, { redirect: "manual", dispatcher: agent, signal, headers });
    const location = response.headers.get("location");
    if (response.status < 300 || response.status > 399 || location === null) return response;
    await response.body?.cancel();
    url = new URL(location, url);
  }
  throw new AppError({
    code: "download_failed",
    message: `${withoutQuery(start.href)}: redirected more than ${maxRedirects} times`,
    facts: { url: withoutQuery(start.href) },
  });
}

/** User and password of an address travel in a header, to its own host only: a redirect has its own address. */
function splitCredentials(url: URL): { address: URL; headers: Record<string, string> } {
  if (url.username === "" && url.password === "") return { address: url, headers: {} };
  const address = new URL(url);
  address.username = "";
  address.password = "";
  const pair = `${decodePercent(url.username)}:${decodePercent(url.password)}`;
  return { address, headers: { authorization: `Basic ${Buffer.from(pair).toString("base64")}` } };
}

function decodePercent(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** An agent whose connections go only to addresses that pass the check. Literal addresses skip name lookup. */
function makeAgent(check: ((address: string) => void) | undefined): Agent {
  const timeouts = { headersTimeout: 30_000, bodyTimeout: 60_000 };
  if (check === undefined) return new Agent(timeouts);
  const connect = buildConnector({ lookup: makeCheckedLookup(check), timeout: 10_000 });
  return new Agent({
    ...timeouts,
    connect: (target, done) => {
      try {
        checkLiteralAddress(target.hostname, check);
      } catch (refusal) {
        return done(refusal as Error, null);
      }
      return connect(target, done);
    },
  });
}

function invalidAddress(url: string): AppError {
  return new AppError({
    code: "source_unsupported",
    message: `${withoutQuery(url)}: got an address that is not valid, expected http://<host>/<path> or https://<host>/<path>`,
    remedy: "Check host and port; write special characters in user and password as %XX.",
  });
}

type Where = { readonly url: string; readonly path: string };

function explainFailure({ url, path }: Where, error: unknown, timedOutMs: number | undefined): AppError {
  if (timedOutMs !== undefined) {
    return failed(url, `not complete after ${Math.round(timedOutMs / 1000)} s`, {
      retryable: true,
      cause: error,
    });
  }
  if (error instanceof AppError) return error;
  const full = asDiskFull(error, dirname(path));
  if (full !== undefined) return full;
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof AppError) return cause;
  const reason = cause instanceof Error ? cause.message || cause.name : String((error as Error).message);
  if (reason === "bad port") return wrongPort(url, error);
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? "";
  if (/^(CERT_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/.test(code)) {
    return failed(url, `its certificate is not accepted: ${reason}`, {
      retryable: false,
      cause: error,
      remedy: "Have the server's certificate renewed or corrected, or use another address.",
    });
  }
  const plain = /wrong version number/.test(reason) ? "it does not answer in TLS (try http://)" : reason;
  // Messages of libraries may quote the whole address.
  return failed(url, withoutSecrets(plain.trim()), { retryable: true, cause: error });
}

/** Source: fetch.spec.whatwg.org, "port blocking": ports of other protocols, which a web request could be made to speak. */
function wrongPort(url: string, cause: unknown): AppError {
  const where = withoutQuery(url);
  return new AppError({
    code: "source_unsupported",
    message: `${where}: got a port that belongs to another protocol, expected one of a web server, such as 443, 80 or 8080`,
    facts: { url: where },
    cause,
  });
}

type Failure = {
  readonly retryable: boolean;
  readonly cause?: unknown;
  readonly remedy?: string;
  readonly status?: number;
};

function failed(url: string, reason: string, { status, ...failure }: Failure): AppError {
  return new AppError({
    code: "download_failed",
    message: `${withoutQuery(url)}: the download failed: ${reason}`,
    facts: { url: withoutQuery(url), ...(status === undefined ? {} : { status }) },
    ...failure,
  });
}

function refused(url: URL, { status, statusText }: Response): AppError {
  const hints: Record<number, string> = {
    401: "The address needs a login. Use a link that works without one, or write https://user:password@host/...",
    403: "The address needs a permission, or its signature has expired. Make a new link.",
    404: "There is nothing at this address. Check it for typing errors.",
    410: "The file has been removed. Upload it again.",
  };
  return failed(url.href, `got status ${`${status} ${statusText}`.trim()}, expected 200`, {
    status,
    retryable: status >= 500 || status === 206 || status === 408 || status === 429,
    ...(hints[status] === undefined ? {} : { remedy: hints[status] }),
  });
}

function tooLarge(url: URL, bytes: number, maxBytes: number): AppError {
  return new AppError({
    code: "download_too_large",
    message: `${withoutQuery(url.href)}: got ${bytes} bytes or more, expected at most ${maxBytes}`,
    remedy: "Train on less, or shorten the videos before zipping them.",
    facts: { url: withoutQuery(url.href), bytes, maxBytes },
  });
}

function unsupported(url: URL): AppError {
  return new AppError({
    code: "source_unsupported",
    message: `${withoutQuery(url.href).slice(0, 200)}: got an address that starts with ${url.protocol}, expected http: or https:`,
    facts: { protocol: url.protocol },
  });
}
