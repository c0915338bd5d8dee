/** Files that came inside a submission go into the store, so that a request stays small wherever it goes. */
import { Readable } from "node:stream";
import type { InlineFile } from "../body/read-json.ts";
import type { Uploads } from "../storage/uploads.ts";
import { withFileAt } from "../wire/files-in.ts";
import { fileUrl, type PublicUrl } from "../wire/public-urls.ts";

export type Storing = {
  readonly requestId: string;
  readonly userId: string;
  readonly publicUrl: PublicUrl;
};

/** A body that was found good, and the text that says it. */
export type InputText = { readonly text: string; readonly body: unknown };

/**
 * The same input with addresses of files in their places.
 *
 * @throws WireError 413, 507 when there is no room for them
 */
export async function storeInlineFiles(
  { text, body, files }: InputText & { readonly files: readonly InlineFile[] },
  storing: Storing,
  uploads: Uploads,
): Promise<InputText> {
  if (files.length === 0) return { text, body };
  const stored = await Promise.all(
    files.map(async (file) => ({ place: file.place, url: await store(file, storing, uploads) })),
  );
  const complete = stored.reduce((value, { place, url }) => withFileAt(value, place, url), body);
  return { text: JSON.stringify(complete), body: complete };
}

async function store(file: InlineFile, { requestId, userId, publicUrl }: Storing, uploads: Uploads) {
  if (file.bytes === undefined)
    throw new Error(`${file.place.join(".")}: expected a request with it to be refused`);
  const address = await uploads.receive(
    {
      userId,
      fileName: `input.${file.contentType.split("/")[1] ?? "bin"}`,
      contentType: file.contentType,
      lifetimeSeconds: null,
      // Nobody but its owner ever saw the address; whoever learns it from a log reads nothing.
      acl: JSON.stringify({ default: "hide" }),
      inputOf: requestId,
    },
    { body: Readable.from(piecesOf(file.bytes)), length: file.bytes.length },
  );
  return fileUrl(publicUrl, address);
}

const pieceBytes = 2 ** 18;

/** Hashing and writing 100 MiB at once would hold the event loop. */
function* piecesOf(bytes: Uint8Array): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes)
    yield Buffer.from(bytes.subarray(at, at + pieceBytes));
}
