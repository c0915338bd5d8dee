/** Reads a compiled character map as SentencePiece does, so that tests see what a text becomes. */

/** Replaces the longest key at each position of the text. */
export function applyCharsMap(blob: Uint8Array, text: string): string {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  const trieBytes = view.getUint32(0, true);
  const unit = (index: number): number => (4 * index < trieBytes ? view.getUint32(4 + 4 * index, true) : 0);
  const offset = (value: number): number => (value >>> 10) << ((value & (1 << 9)) >>> 6);
  const bytes = Buffer.from(text, "utf8");
  const output: Buffer[] = [];
  for (let start = 0; start < bytes.length; ) {
    let node = offset(unit(0));
    let matched = 0;
    let string = -1;
    for (let index = start; index < bytes.length; index++) {
      node ^= bytes[index]!;
      const value = unit(node);
      if ((value & 0x800000ff) !== bytes[index]!) break;
      node ^= offset(value);
      if (value & (1 << 8)) {
        matched = index + 1 - start;
        string = 4 + trieBytes + (unit(node) & 0x7fffffff);
      }
    }
    if (string < 0) {
      output.push(bytes.subarray(start, start + 1));
      start++;
    } else {
      output.push(Buffer.from(blob.subarray(string, blob.indexOf(0, string))));
      start += matched;
    }
  }
  return Buffer.concat(output).toString("utf8");
}
