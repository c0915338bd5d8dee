/**
 * The sizes in pixels of `low`, `medium` and `high` for the released LTX-Video models.
 *
 * The hosted service never published its sizes. These are ours: multiples of 32, with about as many tokens for each of the three
 * aspect ratios. A base model may have its own table in its folder, as `ltx-nano` does.
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
