/**
 * Data URIs, from bytes to bytes. Every loop here passes over its input once: it is a caller's, and may be 100 MiB long.
 *
 * Source: RFC 2397.
 */

export type DataUri = { readonly contentType: string; readonly bytes: Uint8Array<ArrayBuffer> };

/** Type and parameters before the comma. */
const longestHead = 1024;

/** What a data URI holds; undefined for one that is malformed. */
export function parseDataUri(uri: Uint8Array): DataUri | undefined {
  const comma = uri.subarray(0, longestHead).indexOf(commaCode);
  if (comma === -1) return undefined;
  const head = Buffer.from(uri.subarray("data:".length, comma)).toString("latin1");
  const [type = "", ...parameters] = head.split(";");
  const contentType = /^[\w.+-]+\/[\w.+-]+$/.test(type) ? type.toLowerCase() : "application/octet-stream";
  const data = uri.subarray(comma + 1);
  const isBase64 = parameters.at(-1)?.trim().toLowerCase() === "base64";
  const bytes = isBase64 ? bytesOfBase64(data) : bytesOfPercent(data);
  return bytes && { contentType, bytes };
}

const commaCode = ",".charCodeAt(0);
const percent = "%".charCodeAt(0);
const padding = "=".charCodeAt(0);

const none = 255;
const blank = 254;
/** The six bits of each character, of both alphabets; white space may stand anywhere. */
const sixBits = tableOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
sixBits["-".charCodeAt(0)] = 62;
sixBits["_".charCodeAt(0)] = 63;
for (const space of " \t\n\v\f\r") sixBits[space.charCodeAt(0)] = blank;
const fourBits = tableOf("0123456789abcdef");
for (const [index, letter] of [..."ABCDEF"].entries()) fourBits[letter.charCodeAt(0)] = 10 + index;

function tableOf(alphabet: string): Uint8Array {
  const table = new Uint8Array(256).fill(none);
  for (const [index, character] of [...alphabet].entries()) table[character.charCodeAt(0)] = index;
  return table;
}

function bytesOfBase64(data: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  const bytes = new Uint8Array(Math.ceil((data.length * 3) / 4));
  let [length, held, bits, paddings] = [0, 0, 0, 0];
  // By index: `for of` over bytes takes several times as long.
  for (let at = 0; at < data.length; at++) {
    const character = data[at] as number;
    const value = sixBits[character] as number;
    if (value === blank) continue;
    if (character === padding) paddings++;
    else if (value === none || paddings > 0) return undefined;
    else {
      held = ((held << 6) | value) & 0xffff;
      bits += 6;
      if (bits < 8) continue;
      bits -= 8;
      bytes[length++] = held >> bits;
    }
  }
  return paddings > 2 ? undefined : bytes.subarray(0, length);
}

/** What is not encoded stands for itself. */
function bytesOfPercent(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(data.length);
  let length = 0;
  for (let at = 0; at < data.length; at++) {
    const high = data[at] === percent ? (fourBits[data[at + 1] ?? 0] as number) : none;
    const low = high === none ? none : (fourBits[data[at + 2] ?? 0] as number);
    if (low === none) bytes[length++] = data[at] as number;
    else {
      bytes[length++] = high * 16 + low;
      at += 2;
    }
  }
  return bytes.subarray(0, length);
}
