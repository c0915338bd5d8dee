/**
 * Encodes a prompt.
 *
 * Shapes: L text tokens, D caption width.
 * Source: huggingface/diffusers@58eb52c, `pipeline_ltx.py` (encode_prompt).
 */
import { noGrad, scope, tensor } from "@ltx-trainer/torch";
import type { PromptEmbedding } from "../family.ts";
import type { T5Encoder } from "./t5/encoder.ts";
import type { T5Tokenizer } from "./t5/tokenizer.ts";

/**
 * The embedding of one prompt, padded to `maxLength` tokens, in the encoder's type.
 *
 * @param options.maskPadding mask padding in the text encoder. Default false, as in LTXPipeline and the Lightricks trainer.
 *   LTXConditionPipeline and Lightricks' own inference mask it. Train and sample with the same choice.
 */
export function encodePrompt(
  tokenizer: T5Tokenizer,
  encoder: T5Encoder,
  text: string,
  maxLength: number,
  options: { maskPadding?: boolean } = {},
): PromptEmbedding {
  return noGrad(() =>
    scope(() => {
      const { ids, mask } = tokenizer.encode(text, maxLength);
      const ids_1L = tensor([ids], { dtype: "int64", device: encoder.device });
      const mask_1L = tensor([mask], { dtype: "int64", device: encoder.device });
      const text_1LD = encoder.forward(ids_1L, options.maskPadding === true ? mask_1L : undefined);
      return { text_1LD, mask_1L };
    }),
  );
}
