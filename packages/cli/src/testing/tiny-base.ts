/** The fixtures' tiny model with sizes of its own: at the released ones its few channels would compute for minutes. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const tiny = fileURLToPath(new URL("../../../../fixtures/folder/tiny", import.meta.url));

/** Writes the model to `folder`. */
export function makeTinyBase(folder: string): void {
  cpSync(tiny, folder, { recursive: true });
  const path = join(folder, "model_index.json");
  const size = { width: 64, height: 64 };
  const row = { "16:9": { width: 96, height: 64 }, "1:1": size, "9:16": { width: 64, height: 96 } };
  const own = { sizes: { low: row, medium: row, high: row }, sampler: { steps: 2, guidance: 2 } };
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), _ltx_trainer: own }));
}
