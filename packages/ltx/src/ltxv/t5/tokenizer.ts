/**
 * The T5 tokenizer: converts a prompt to the padded ids and the mask that the text encoder needs.
 *
 * SentencePiece tokenises plain text (`unigram.ts`). T5 adds rules around it: literal special tokens in the prompt are
 * split off first, `</s>` is appended and never truncated, and the rest is padded with `<pad>`.
 *
 * Source: huggingface/transformers@v4.52.2 `models/t5/tokenization_t5.py`, `tokenization_utils.py` (slow T5Tokenizer,
 * the class the released LTX folders name).
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readJson } from "../../config-fields.ts";
import { type PieceModel, pieceModelFromJson, pieceType, readPieceModel } from "./spiece.ts";
import { UnigramModel } from "./unigram.ts";

/** Fields of `tokenizer_config.json`. Missing ones have T5's default. */
export type T5TokenizerConfig = {
  readonly added_tokens_decoder?: Readonly<
    Record<string, { content: string; lstrip?: boolean; rstrip?: boolean }>
  >;
  /** Number of `<extra_id_N>` tokens after the vocabulary, in descending order: the last id is `<extra_id_0>`. */
  readonly extra_ids?: number;
  /** T5's original behaviour: text after a special token starts a new word. Default true, as the released files. */
  readonly legacy?: boolean | null;
  readonly add_prefix_space?: boolean;
  readonly pad_token?: TokenName;
  readonly eos_token?: TokenName;
  readonly unk_token?: TokenName;
  readonly model_max_length?: number;
};
type TokenName = string | { readonly content: string };

export type TokenizedText = {
  /** Exactly `maxLength` ids: text, `</s>`, then padding. */
  readonly ids: number[];
  /** 1 for text and `</s>`, 0 for padding. */
  readonly mask: number[];
};

type SpecialToken = { readonly id: number; readonly lstrip: boolean; readonly rstrip: boolean };

export class T5Tokenizer {
  readonly padId: number;
  readonly endId: number;
  /** One more than the largest id of this tokenizer. The text encoder needs at least that many rows. */
  readonly idCount: number;
  /** `model_max_length` of the folder, if it has one (128 in the released LTX folders). */
  readonly modelMaxLength: number | undefined;
  readonly #model: UnigramModel;
  readonly #special: ReadonlyMap<string, SpecialToken>;
  readonly #specialPattern: RegExp;
  readonly #legacy: boolean;
  readonly #addPrefixSpace: boolean;
  readonly #anchor: string;

  constructor(model: UnigramModel, special: ReadonlyMap<string, SpecialToken>, config: T5TokenizerConfig) {
    this.#model = model;
    this.#special = special;
    this.#legacy = config.legacy ?? true;
    this.#addPrefixSpace = config.add_prefix_space ?? true;
    this.#anchor = nameOf(config.unk_token, "<unk>");
    this.modelMaxLength = config.model_max_length;
    this.padId = requireSpecial(special, nameOf(config.pad_token, "<pad>"));
    this.endId = requireSpecial(special, nameOf(config.eos_token, "</s>"));
    this.idCount = Math.max(model.size, ...[...special.values()].map((token) => token.id + 1));
    const longestFirst = [...special.keys()].sort((a, b) => b.length - a.length);
    this.#specialPattern = new RegExp(`(${longestFirst.map(escapeForPattern).join("|")})`, "u");
  }

  /**
   * Reads `spiece.model`, or else `tokenizer.json`, and `tokenizer_config.json` if present.
   *
   * @throws Error when the folder holds neither, or they are not a T5 vocabulary
   */
  static fromFolder(folder: string): T5Tokenizer {
    const [vocabulary, configFile] = tokenizerFiles(folder).map((name) => join(folder, name));
    const written = configFile === undefined ? {} : (readJson(configFile) as T5TokenizerConfig);
    const { pieces, config } = vocabulary!.endsWith(".model")
      ? { pieces: readPieceModel(readFileSync(vocabulary!)), config: written }
      : fromTokenizerJson(readJson(vocabulary!), written);
    const ids = new Map(pieces.pieces.map((piece, id) => [piece.text, id]));
    const unknown = pieces.pieces.find((piece) => piece.type === pieceType.unknown)!.text;
    return new T5Tokenizer(new UnigramModel(pieces), specialTokens(ids, unknown, config), config);
  }

  /**
   * The ids and the mask of a prompt.
   *
   * @param maxLength length of the result, at least 1. A longer prompt is truncated, but keeps `</s>`.
   */
  encode(text: string, maxLength: number): TokenizedText {
    if (!Number.isInteger(maxLength) || maxLength < 1) {
      throw new RangeError(
        `T5Tokenizer.encode: got maxLength ${maxLength}, expected a whole number of at least 1`,
      );
    }
    const ids = this.#appendEnd(this.tokenize(text).slice(0, maxLength - 1));
    const padding = new Array<number>(maxLength - ids.length).fill(this.padId);
    return { ids: [...ids, ...padding], mask: [...ids.map(() => 1), ...padding.map(() => 0)] };
  }

  /** Number of tokens of a prompt, including `</s>`. A prompt longer than the base's text length is truncated. */
  count(text: string): number {
    return this.#appendEnd(this.tokenize(text)).length;
  }

  /** The ids of a text. Recognises literal special tokens and appends nothing. */
  tokenize(text: string): number[] {
    if (text.length === 0) return [];
    const prepared = this.#legacy ? text : this.#markStart(text);
    const parts = prepared.split(this.#specialPattern);
    return parts.flatMap((part, i) => {
      const special = this.#special.get(part);
      if (special) return [special.id];
      return this.#encodePlain(this.#trimBesideSpecial(part, parts[i - 1], parts[i + 1]));
    });
  }

  /** Appends `</s>` unless the prompt ends with a literal one. */
  #appendEnd(ids: number[]): number[] {
    return ids.at(-1) === this.endId ? ids : [...ids, this.endId];
  }

  #markStart(text: string): string {
    const plain = text.replaceAll("\u2581", " ");
    return this.#addPrefixSpace ? `\u2581${plain}` : plain;
  }

  #encodePlain(text: string): number[] {
    if (text.length === 0) return [];
    if (this.#legacy) return this.#model.encode(text);
    if (!/^[\u2581 ]/.test(text)) return this.#model.encode(text, { dummyPrefix: false });
    // SentencePiece drops leading spaces. The name of the unknown token in front protects them.
    const anchor = this.#model.encode(this.#anchor, { dummyPrefix: false }).length;
    return this.#model.encode(this.#anchor + text, { dummyPrefix: false }).slice(anchor);
  }

  #trimBesideSpecial(text: string, before: string | undefined, after: string | undefined): string {
    const afterSpecial = before !== undefined && this.#special.get(before)?.rstrip;
    const beforeSpecial = after !== undefined && this.#special.get(after)?.lstrip;
    const startTrimmed = afterSpecial ? text.replace(leadingBlanks, "") : text;
    return beforeSpecial ? startTrimmed.replace(trailingBlanks, "") : startTrimmed;
  }
}

/**
 * The names of the files that `fromFolder` reads: the vocabulary, then the configuration if there is one.
 *
 * @throws Error when there is no vocabulary
 */
export function tokenizerFiles(folder: string): [string] | [string, string] {
  const vocabulary = ["spiece.model", "tokenizer.json"].find((name) => existsSync(join(folder, name)));
  if (vocabulary === undefined) {
    throw new Error(
      `T5Tokenizer: got no spiece.model and no tokenizer.json in ${folder}, expected one of them; ` +
        "copy the tokenizer folder of the base model",
    );
  }
  const config = "tokenizer_config.json";
  return existsSync(join(folder, config)) ? [vocabulary, config] : [vocabulary];
}

/** A `tokenizer.json` lists its own special tokens, including the extra ids. */
function fromTokenizerJson(
  json: unknown,
  config: T5TokenizerConfig,
): { pieces: PieceModel; config: T5TokenizerConfig } {
  const listed = (json as { added_tokens?: (Omit<SpecialToken, "id"> & { id: number; content: string })[] })
    .added_tokens;
  const added_tokens_decoder = Object.fromEntries((listed ?? []).map((token) => [token.id, token]));
  return { pieces: pieceModelFromJson(json), config: { ...config, added_tokens_decoder, extra_ids: 0 } };
}

function specialTokens(
  ids: ReadonlyMap<string, number>,
  unknown: string,
  config: T5TokenizerConfig,
): Map<string, SpecialToken> {
  const special = new Map<string, SpecialToken>();
  const extraIds = config.extra_ids ?? 100;
  for (let i = 0; i < extraIds; i++) {
    special.set(`<extra_id_${i}>`, { id: ids.size + extraIds - 1 - i, lstrip: true, rstrip: true });
  }
  const named = [nameOf(config.pad_token, "<pad>"), nameOf(config.eos_token, "</s>"), unknown];
  for (const name of named) {
    const id = ids.get(name);
    if (id !== undefined) special.set(name, { id, lstrip: false, rstrip: false });
  }
  for (const [id, token] of Object.entries(config.added_tokens_decoder ?? {})) {
    const { content, lstrip = false, rstrip = false } = token;
    special.set(content, { id: Number(id), lstrip, rstrip });
  }
  return special;
}

function requireSpecial(special: ReadonlyMap<string, SpecialToken>, name: string): number {
  const token = special.get(name);
  if (token) return token.id;
  throw new Error(`T5Tokenizer: got a vocabulary without ${name}, expected the T5 special tokens`);
}

function nameOf(token: TokenName | undefined, fallback: string): string {
  if (token === undefined) return fallback;
  return typeof token === "string" ? token : token.content;
}

// The characters that Python's `str.strip` removes. JavaScript's `trim` differs in U+001C to U+001F, U+0085 and U+FEFF.
const blank = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+";
const leadingBlanks = new RegExp(`^${blank}`);
const trailingBlanks = new RegExp(`${blank}$`);

const escapeForPattern = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
