/** Opens a base model folder of any family. */
import { join, resolve } from "node:path";
import { ConfigFields } from "./config-fields.ts";
import type { BaseModel, ModelFamily } from "./family.ts";
import { ltxv } from "./ltxv/base.ts";

/** All families. Add a new one here. */
const families: readonly ModelFamily[] = [ltxv];

/**
 * Opens a base model folder.
 *
 * @param known families to choose from; default: all of this package
 * @throws ConfigError when a component or a configuration is missing, or belongs to no family
 */
export function openBase(folder: string, known: readonly ModelFamily[] = families): BaseModel {
  const path = resolve(folder);
  const index = ConfigFields.fromFile(join(path, "model_index.json"));
  const pipeline = index.oneOf(
    "_class_name",
    known.flatMap(({ pipelines }) => pipelines),
  );
  const family = known.find(({ pipelines }) => pipelines.includes(pipeline)) as ModelFamily;
  return family.open(path, index);
}
