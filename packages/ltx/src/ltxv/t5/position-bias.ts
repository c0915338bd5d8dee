/**
 * T5's position bias: a learned value per head and distance, added to the attention scores.
 *
 * Distances are grouped into buckets. Each short distance has its own, long ones share logarithmically wider ones, and
 * each direction has half of the buckets.
 *
 * Shapes: L text tokens (queries and keys), N attention heads.
 * Source: huggingface/transformers@v4.52.2, `models/t5/modeling_t5.py` (_relative_position_bucket, compute_bias).
 */
import { arange, embedding, scope, type Tensor, where } from "@ltx-trainer/torch";

export type BucketRule = { readonly buckets: number; readonly maxDistance: number };

/**
 * The bucket of each distance, int64, in the shape given.
 *
 * The logarithm is computed in float32: at the edge of a bucket float64 can round to the other side.
 *
 * @param distance int64, key position minus query position
 */
export function relativeBucket(distance: Tensor, rule: BucketRule): Tensor {
  return scope(() => {
    const perDirection = rule.buckets / 2;
    const exact = perDirection / 2;
    const ahead = distance.gt(0).to("int64").mul(perDirection);
    const gap = distance.abs();
    const octaves = gap
      .clamp(1)
      .to("float32")
      .div(exact)
      .log()
      .div(Math.log(rule.maxDistance / exact));
    const far = octaves
      .mul(perDirection - exact)
      .to("int64")
      .add(exact)
      .clamp(undefined, perDirection - 1);
    return ahead.add(where(gap.lt(exact), gap, far));
  });
}

/**
 * The bias of every head, query and key: `[1,N,L,L]` in the table's type, on its device.
 *
 * Buckets are computed on the CPU: a GPU's logarithm may round to the other side of an edge.
 */
export function positionBias(table_xN: Tensor, length: number, rule: BucketRule): Tensor {
  return scope(() => {
    const positions = arange(0, length);
    const distance_LL = positions.unsqueeze(0).sub(positions.unsqueeze(1));
    const bucket_LL = relativeBucket(distance_LL, rule).to(table_xN.device);
    const bias_LLN = embedding(table_xN, bucket_LL);
    return bias_LLN.permute([2, 0, 1]).unsqueeze(0).contiguous();
  });
}
