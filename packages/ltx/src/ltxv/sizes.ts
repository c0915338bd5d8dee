/**
 * Named sizes: what `low`, `medium` and `high` mean in pixels for the released LTX-Video models.
 *
 * The hosted service never published its sizes. These are ours: multiples of 32, with about equal tokens for the three aspect
 * ratios of one row. A base model may bring its own table (`ltx-nano` does, in its model folder).
 */
import type { SizeTable } from "../family.ts";

export const ltxvSizes: SizeTable = {
  low: {
    "16:9": { width: 512, height: 288 },
    "1:1": { width: 384, height: 384 },
    "9:16": { width: 288, height: 512 },
  },
  medium: {
    "16:9": { width: 768, height: 448 },
    "1:1": { width: 576, height: 576 },
    "9:16": { width: 448, height: 768 },
  },
  high: {
    "16:9": { width: 1024, height: 576 },
    "1:1": { width: 768, height: 768 },
    "9:16": { width: 576, height: 1024 },
  },
};
