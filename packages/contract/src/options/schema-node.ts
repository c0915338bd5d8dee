/** Finding one's way in the JSON Schema of a zod schema. */
import { z } from "zod";

export type SchemaNode = z.core.JSONSchema.BaseSchema;

/** Follows a reference into the definitions at the root. */
export function resolved(root: SchemaNode, node: SchemaNode): SchemaNode {
  if (node.$ref === undefined) return node;
  const target = root.$defs?.[node.$ref.replace("#/$defs/", "")];
  return typeof target === "object" ? target : {};
}

/** Made once: it takes a millisecond, and a body may be wrong in many places. */
const schemas = new WeakMap<z.ZodType, SchemaNode>();

/** The type that a schema gives to the value at a path (`integer`, `string`), or undefined when it gives none. */
export function typeAt(schema: z.ZodType, path: readonly PropertyKey[]): string | undefined {
  const root: SchemaNode = schemas.get(schema) ?? z.toJSONSchema(schema, { io: "output" });
  schemas.set(schema, root);
  let node: SchemaNode = root;
  for (const key of path) {
    const next = typeof key === "number" ? node.items : node.properties?.[String(key)];
    if (typeof next !== "object" || Array.isArray(next)) return undefined;
    node = resolved(root, next);
  }
  return typeof node.type === "string" ? node.type : undefined;
}
