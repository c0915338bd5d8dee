/**
 * Renames the tensors of a T5 checkpoint to the names of the released folders.
 *
 * The token embedding is tied: files store it as `shared.weight`, as `encoder.embed_tokens.weight`, or as both.
 * Files of the whole T5 also have a decoder, which we do not need.
 *
 * Source: huggingface/transformers@v4.52.2, `models/t5/modeling_t5.py` (T5EncoderModel._tied_weights_keys).
 */
import type { TensorSource } from "@ltx-trainer/torch";

const released = "shared.weight";
const tied = "encoder.embed_tokens.weight";
const unused = /^(decoder\.|lm_head\.)/;

/** A view of `source` with exactly the keys that `T5Encoder` requests. */
export function textEncoderSource(source: TensorSource): TensorSource {
  const home = (name: string): string => (name === released && !source.has(released) ? tied : name);
  const names = new Set(
    source
      .names()
      .filter((name) => !unused.test(name))
      .map((name) => (name === tied ? released : name)),
  );
  return {
    names: () => [...names],
    has: (name) => names.has(name),
    info: (name) => source.info(home(name)),
    tensor: (name) => source.tensor(home(name)),
  };
}
