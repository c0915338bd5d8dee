/** What `ltx-trainer keys` asks of the program that has the database, and what that answers. */
import { z } from "zod";

export const keysActions = ["create", "list", "revoke"] as const;
export type KeysAction = (typeof keysActions)[number];

/** What a key may do: `api` calls endpoints and uploads files, `admin` also deletes payloads and empties the queue. */
const keyScopes = ["api", "admin"] as const;

export const CreateKeyOptions = z.object({
  /** For people, to tell keys apart. */
  name: z.string().trim().min(1).max(100).default("key"),
  /** Keys of one user see the same requests and files. */
  user: z
    .string()
    .regex(/^[\w.@-]{1,100}$/, "letters, digits and _ . @ -, at most 100")
    .default("local"),
  scope: z.enum(keyScopes).default("api"),
});

export const RevokeKeyOptions = z.object({ id: z.uuid("the id of a key") });

/** `key` is shown this once. */
export const CreatedKey = z.object({
  key: z.string(),
  name: z.string(),
  id: z.string(),
  scope: z.enum(keyScopes),
  user: z.string(),
});

export const KeyList = z.object({
  keys: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      user: z.string(),
      scope: z.enum(keyScopes),
      created_at: z.string(),
      last_used_at: z.string().nullable(),
      revoked_at: z.string().nullable(),
    }),
  ),
});

export const RevokedKey = z.object({ id: z.string(), name: z.string() });
