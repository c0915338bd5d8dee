/** Where downloads may connect to, and what sources are called: as the job says. */
import { basename } from "node:path";
import { AppError, type TrainJob } from "@ltx-trainer/contract";
import { isPublicAddress } from "@ltx-trainer/host";
import type { PrepareContext } from "../dataset/types.ts";

type Named = Pick<TrainJob, "source_names">;

/** What `prepareDataset` and `loadFirstFrame` are to know about a job's sources. */
export type SourcePolicy = Pick<PrepareContext, "checkAddress" | "nameOf">;

export function sourcePolicyOf(job: Named & Pick<TrainJob, "address_policy">): SourcePolicy {
  return {
    nameOf: (source) => sourceName(source, job.source_names),
    ...(job.address_policy === "public" ? { checkAddress: refuseSpecialAddress } : {}),
  };
}

/** What a source is called before people: an address without its query, which may hold a signature. */
export function sourceName(source: string, names: Named["source_names"] = {}): string {
  if (Object.hasOwn(names, source)) return names[source] as string;
  if (/^data:/i.test(source)) return "data URI";
  const isAddress = /^https?:|^[a-z][a-z0-9+.-]+:\/\//i.test(source) && !/^file:/i.test(source);
  return isAddress ? withoutQuery(source) : source;
}

/** The same for files that leave this machine: of a path, the last part. */
export function portableSourceName(source: string, names: Named["source_names"] = {}): string {
  const name = sourceName(source, names);
  const isPath = name === source && !/^https?:/i.test(source);
  return isPath ? basename(source) : name;
}

/** An address without user, query and fragment; of one that is not valid, what may be a password goes, too. */
export function withoutQuery(url: string): string {
  if (!URL.canParse(url)) return url.replace(/[?#].*$/s, "").replace(/^([a-z][a-z0-9+.-]*:\/*).*@/is, "$1");
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

/**
 * Lets through what is reachable from everywhere.
 *
 * @throws AppError `address_not_allowed`
 */
export function refuseSpecialAddress(address: string): void {
  if (isPublicAddress(address)) return;
  throw new AppError({
    code: "address_not_allowed",
    // Not which address: that would map the network for whoever asks.
    message:
      "the address leads into a private network or one for a special purpose, expected one that is public",
    remedy: "Upload the file to the server, or put it where everybody can fetch it.",
  });
}
