/** Layers of the transformer that a LoRA can adapt, by the endings of their paths. */

/** The projections of both attentions, which the Lightricks trainer adapts. */
export const attentionTargets: readonly string[] = Object.freeze(["to_k", "to_q", "to_v", "to_out.0"]);

/** Both layers of the feed-forward; in-context LoRAs train these too. */
export const feedForwardTargets: readonly string[] = Object.freeze(["ff.net.0.proj", "ff.net.2"]);
