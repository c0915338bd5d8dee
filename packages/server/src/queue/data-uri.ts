/** Inputs that come inside the request: large data URIs become files, so that a request stays small wherever it goes. */
import { Readable } from "node:stream";
import { fileUrl, type PublicUrl } from "../public-urls.ts";
import type { Uploads } from "../storage/uploads.ts";

/** Below this a file would cost more than it saves. */
const smallestMoved = 1024;

export type Moving = {
  readonly requestId: string;
  readonly userId: string;
  readonly publicUrl: PublicUrl;
};

/** A body and the text that says it. */
export type InputText = { readonly text: string; readonly body: unknown };

/**
 * The same input with addresses of files in place of its data URIs. What cannot be read as one stays as it is: what is
 * wrong with it is the result.
 *
 * @throws WireError 413, 507 when there is no room for them
 */
export async function moveDataUris(input: InputText, moving: Moving, uploads: Uploads): Promise<InputText> {
  const { body } = input;
  if (!isRecord(body)) return input;
  const move = async (value: unknown) => moveOne(value, moving, uploads);
  const data = await move(body.training_data_url);
  const validation = Array.isArray(body.validation)
    ? await Promise.all(
        body.validation.map(async (item: unknown) =>
          isRecord(item) && isLarge(item.image_url)
            ? { ...item, image_url: await move(item.image_url) }
            : item,
        ),
      )
    : body.validation;
  const isSame =
    data === body.training_data_url &&
    (!Array.isArray(validation) ||
      validation.every((item, index) => item === (body.validation as unknown[])[index]));
  if (isSame) return input;
  const moved = {
    ...body,
    training_data_url: data,
    ...(validation === undefined ? {} : { validation }),
  };
  return { text: JSON.stringify(moved), body: moved };
}

async function moveOne(value: unknown, moving: Moving, uploads: Uploads): Promise<unknown> {
  const parsed = isLarge(value) ? parseDataUri(value) : undefined;
  if (parsed === undefined) return value;
  const file = await uploads.receive(
    {
      userId: moving.userId,
      fileName: `input.${parsed.contentType.split("/")[1] ?? "bin"}`,
      contentType: parsed.contentType,
      lifetimeSeconds: null,
      // Nobody but its owner ever saw the address; whoever learns it from a log reads nothing.
      acl: JSON.stringify({ default: "hide" }),
      inputOf: moving.requestId,
    },
    { body: Readable.from([parsed.bytes]), length: parsed.bytes.length },
  );
  return fileUrl(moving.publicUrl, file);
}

function isLarge(value: unknown): value is string {
  return typeof value === "string" && value.length >= smallestMoved && /^data:/i.test(value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The bytes of a data URI; undefined for one that is malformed. Source: RFC 2397. */
export function parseDataUri(
  uri: string,
): { readonly contentType: string; readonly bytes: Buffer } | undefined {
  const comma = uri.indexOf(",");
  if (comma === -1) return undefined;
  const [type = "", ...parameters] = uri.slice("data:".length, comma).split(";");
  const data = uri.slice(comma + 1);
  const contentType = /^[\w.+-]+\/[\w.+-]+$/.test(type) ? type.toLowerCase() : "application/octet-stream";
  if (parameters.at(-1)?.trim().toLowerCase() !== "base64") {
    return { contentType, bytes: bytesOfPercent(data) };
  }
  if (!/^[A-Za-z0-9+/_\s-]*={0,2}\s*$/.test(data)) return undefined;
  return { contentType, bytes: Buffer.from(data, "base64") };
}

function bytesOfPercent(data: string): Buffer {
  return Buffer.from(
    data.replace(/%([0-9a-f]{2})/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16))),
    "latin1",
  );
}
