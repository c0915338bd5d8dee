/**
 * The text normaliser inside `spiece.model`: a double-array trie from characters to their plain lower-case spelling.
 *
 * Prompts contain capitals, accents and curly quotes. A model with four million parameters has no capacity for such
 * variants, so they are folded before tokenising: capitals become lower case, accents are removed, typographic marks
 * become ASCII, every white space becomes a space, and invisible characters are removed.
 *
 * Layout: byte size of the trie (uint32), the trie's units (uint32 each, little endian), then zero-ended UTF-8 strings;
 * a leaf holds the offset of its string. A unit packs label (bits 0-7), "has a leaf" (bit 8) and offset (bits 10-30); a
 * leaf is its value with bit 31 set. The child for byte `b` of a node is at `(node ^ offset) ^ b`, its leaf at `node ^ offset`.
 * Source: google/sentencepiece, src/normalizer.cc (DecodePrecompiledCharsMap); s-yata/darts-clone, unit layout.
 */

/** Trie sizes come in blocks of 256 units; readers check this. */
const unitsPerBlock = 256;

type Node = { readonly children: Map<number, Node>; leaf: number | undefined };

/** What ASCII spelling a character is folded to; undefined when it stays as it is. */
function foldCharacter(character: string): string | undefined {
  const special = specialFolds.get(character);
  if (special !== undefined) return special;
  const folded = character.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  if (folded === character) return undefined;
  return /^[\x20-\x7e]*$/.test(folded) ? folded : undefined;
}

const specialFolds: ReadonlyMap<string, string> = new Map([
  ..."\u2018\u2019\u201a\u2032\u00b4\u02bc".split("").map((mark) => [mark, "'"] as const),
  ..."\u201c\u201d\u201e\u00ab\u00bb\u2033".split("").map((mark) => [mark, '"'] as const),
  ..."\u2010\u2011\u2012\u2013\u2014\u2015\u2212".split("").map((mark) => [mark, "-"] as const),
  ..."\t\n\v\f\r\u0085\u2028\u2029".split("").map((space) => [space, " "] as const),
  ..."\u200b\u200c\u200d\u2060\ufeff\u00ad".split("").map((invisible) => [invisible, ""] as const),
  ["\u00df", "ss"],
  ["\u00e6", "ae"],
  ["\u00c6", "ae"],
  ["\u0153", "oe"],
  ["\u0152", "oe"],
  ["\u00f8", "o"],
  ["\u00d8", "o"],
  ["\u0142", "l"],
  ["\u0141", "l"],
]);

/** Ranges of code points that the fold looks at: Latin, combining marks, punctuation, ligatures, full-width forms. */
const foldedRanges = [
  [0x01, 0x24f],
  [0x2b0, 0x36f],
  [0x1e00, 0x1eff],
  [0x2000, 0x206f],
  [0x2212, 0x2212],
  [0x3000, 0x3000],
  [0xfb00, 0xfb06],
  [0xfeff, 0xfeff],
  [0xff01, 0xff5e],
] as const;

/** Every character that the normaliser changes, with its replacement. */
export function foldTable(): Map<string, string> {
  const table = new Map<string, string>();
  for (const [first, last] of foldedRanges) {
    for (let code = first; code <= last; code++) {
      const character = String.fromCodePoint(code);
      const control = code < 0x20 || (code >= 0x7f && code <= 0x9f);
      const folded = foldCharacter(character) ?? (control ? "" : undefined);
      if (folded !== undefined) table.set(character, folded);
    }
  }
  return table;
}

/** The `precompiled_charsmap` blob for a table of replacements. */
export function compileCharsMap(table: ReadonlyMap<string, string>): Uint8Array {
  const strings: Buffer[] = [];
  const offsets = new Map<string, number>();
  let end = 0;
  const root: Node = { children: new Map(), leaf: undefined };
  for (const [from, to] of table) {
    let offset = offsets.get(to);
    if (offset === undefined) {
      offset = end;
      offsets.set(to, offset);
      strings.push(Buffer.from(`${to}\0`, "utf8"));
      end += strings[strings.length - 1]!.length;
    }
    insert(root, Buffer.from(from, "utf8"), offset);
  }
  const units = new DoubleArray().build(root);
  const trie = Buffer.alloc(4 * units.length);
  for (const [index, unit] of units.entries()) trie.writeUInt32LE(unit >>> 0, 4 * index);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(trie.length, 0);
  return Buffer.concat([size, trie, ...strings]);
}

function insert(root: Node, key: Uint8Array, value: number): void {
  let node = root;
  for (const byte of key) {
    const child: Node = node.children.get(byte) ?? { children: new Map(), leaf: undefined };
    node.children.set(byte, child);
    node = child;
  }
  node.leaf = value;
}

class DoubleArray {
  readonly #units: number[] = [];
  readonly #taken = new Set<number>([0]);
  /** Two nodes never share a base: a unit stores its label only, not its parent. */
  readonly #bases = new Set<number>([0]);

  build(root: Node): Uint32Array {
    this.#place(root, 0);
    const blocks = Math.ceil((Math.max(...this.#taken) + 1) / unitsPerBlock);
    const units = new Uint32Array(blocks * unitsPerBlock);
    for (const [index, unit] of this.#units.entries()) units[index] = (unit ?? 0) >>> 0;
    return units;
  }

  /** Gives the children of the node at `position` their places, then their children theirs. */
  #place(node: Node, position: number): void {
    const labels = [...node.children.keys()];
    if (node.leaf !== undefined) labels.push(0);
    if (labels.length === 0) return;
    const base = this.#freeBase(labels);
    this.#bases.add(base);
    for (const label of labels) this.#taken.add(base ^ label);
    const hasLeaf = node.leaf === undefined ? 0 : 1 << 8;
    this.#units[position] = (this.#units[position] ?? 0) | hasLeaf | ((position ^ base) << 10);
    if (node.leaf !== undefined) this.#units[base] = node.leaf | (1 << 31);
    for (const [label, child] of node.children) {
      this.#units[base ^ label] = label;
      this.#place(child, base ^ label);
    }
  }

  #freeBase(labels: readonly number[]): number {
    for (let base = 1; ; base++) {
      if (!this.#bases.has(base) && labels.every((label) => !this.#taken.has(base ^ label))) return base;
    }
  }
}
