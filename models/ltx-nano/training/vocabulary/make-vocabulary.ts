/**
 * Writes the tokenizer folder of ltx-nano: `spiece.model` and the JSON files that transformers expects beside it.
 *
 * Run: npx tsx --conditions=source models/ltx-nano/training/vocabulary/make-vocabulary.ts
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileCharsMap, foldTable } from "./charsmap.ts";
import { makePieces } from "./pieces.ts";
import { encodeSentencePieceModel } from "./spiece.ts";

const folder = join(import.meta.dirname, "../../tokenizer");
/** T5 tokenizers number their hundred sentinel tokens downwards from the end, after the pieces. */
const sentinels = 100;
const textLength = 128;

const pieces = makePieces();
const sentinelNames = Array.from({ length: sentinels }, (_, index) => `<extra_id_${index}>`);
const special = { eos_token: "</s>", pad_token: "<pad>", unk_token: "<unk>" };

function writeJson(name: string, value: unknown): void {
  writeFileSync(join(folder, name), `${JSON.stringify(value, undefined, 2)}\n`);
}

mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "spiece.model"), encodeSentencePieceModel(pieces, compileCharsMap(foldTable())));
writeJson(
  "added_tokens.json",
  Object.fromEntries(sentinelNames.map((name, index) => [name, pieces.length + sentinels - 1 - index])),
);
writeJson("special_tokens_map.json", { additional_special_tokens: sentinelNames, ...special });
writeJson("tokenizer_config.json", {
  additional_special_tokens: sentinelNames,
  clean_up_tokenization_spaces: false,
  ...special,
  extra_ids: sentinels,
  legacy: true,
  model_max_length: textLength,
  sp_model_kwargs: {},
  tokenizer_class: "T5Tokenizer",
});
process.stdout.write(`${pieces.length} pieces and ${sentinels} sentinels in ${folder}\n`);
