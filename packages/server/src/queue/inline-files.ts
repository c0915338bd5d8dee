/** Moves data URIs of a submission into the store, so that the stored request stays small. */
import { Readable } from "node:stream";
import type { InlineFile } from "../body/read-json.ts";
import type { Uploads } from "../storage/uploads.ts";
import { withFileAt } from "../wire/files-in.ts";
import { fileUrl, type PublicUrl } from "../wire/public-urls.ts";

export type StoreTarget = {
  readonly requestId: string;
  readonly userId: string;
  readonly publicUrl: PublicUrl;
};

/** A valid body and its JSON text. */
export type InputText = { readonly text: string; readonly body: unknown };

/**
 * Stores the files and returns the input with their addresses in place of the data URIs.
 *
 * @throws WireError 413, 507 when there is not enough space
 */
export async function storeInlineFiles(
  { text, body, files }: InputText & { readonly files: readonly InlineFile[] },
  target: StoreTarget,
  uploads: Uploads,
): Promise<InputText> {
  if (files.length === 0) return { text, body };
  const stored = await Promise.all(
    files.map(async (file) => ({ place: file.place, url: await store(file, target, uploads) })),
  );
  const complete = stored.reduce((value, { place, url }) => withFileAt(value, place, url), body);
  return { text: JSON.stringify(complete), body: complete };
}

async function store(file: InlineFile, { requestId, userId, publicUrl }: StoreTarget, uploads: Uploads) {
  if (file.bytes === undefined)
    throw new Error(`${file.place.join(".")}: got an unreadable data URI, expected validation to refuse it`);
  const address = await uploads.receive(
    {
      userId,
      fileName: `input.${file.contentType.split("/")[1] ?? "bin"}`,
      contentType: file.contentType,
      lifetimeSeconds: null,
      // Only the owner gets the address. Others who learn it, for example from a log, cannot read the file.
      acl: JSON.stringify({ default: "hide" }),
      inputOf: requestId,
    },
    { body: Readable.from(splitIntoPieces(file.bytes)), length: file.bytes.length },
  );
  return fileUrl(publicUrl, address);
}

const pieceBytes = 2 ** 18;

/** Hashing and writing 100 MiB at once would block the event loop. */
function* splitIntoPieces(bytes: Uint8Array): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes)
    yield Buffer.from(bytes.subarray(at, at + pieceBytes));
}
