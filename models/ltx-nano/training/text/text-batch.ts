/**
 * Captions as the transformer's text input, with gradients into the text encoder.
 *
 * Shapes: B batch, L text tokens (of the longest caption), D caption width.
 */
import type { T5Encoder, T5Tokenizer } from "@ltx-trainer/ltx";
import { type Tensor, tensor } from "@ltx-trainer/torch";

export type TextBatch = { readonly text_BLD: Tensor; readonly mask_BL: Tensor };

/**
 * Encodes captions padded to the longest of them. Padding is masked in the encoder and in the transformer, so the
 * result is that of any longer padding, and short captions cost little.
 */
export function encodeCaptions(
  tokenizer: T5Tokenizer,
  encoder: T5Encoder,
  captions: readonly string[],
  maxLength: number,
): TextBatch {
  const tokenized = captions.map((caption) => tokenizer.encode(caption, maxLength));
  const counts = tokenized.map(({ mask }) => mask.reduce((sum, value) => sum + value, 0));
  const length = Math.max(...counts);
  const ids_BL = tensor(
    tokenized.map(({ ids }) => ids.slice(0, length)),
    { dtype: "int64" },
  );
  const mask_BL = tensor(
    tokenized.map(({ mask }) => mask.slice(0, length)),
    { dtype: "int64" },
  );
  return { text_BLD: encoder.forward(ids_BL, mask_BL), mask_BL };
}
