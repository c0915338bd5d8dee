/** What `ltx-trainer backup` and `restore` ask of the program that has the database, and what that answers. */
import { z } from "zod";

export const backupActions = ["backup", "restore"] as const;
export type BackupAction = (typeof backupActions)[number];

export const BackupOptions = z.object({ folder: z.string().min(1) });

/** A name within our schema, and of a file within the backup: no other schema's, no other folder's. */
const tableName = z.string().regex(/^[a-z_]+$/, "small letters and underscores");

/** The file that makes a folder a backup; written last. */
export const BackupManifest = z.object({
  format: z.literal("ltx-trainer-backup"),
  version: z.literal(1),
  made_at: z.iso.datetime(),
  /** Steps of the schema that the rows have, in order. */
  migrations: z.array(z.string()).min(1),
  /** In the order in which they can be inserted. */
  tables: z.array(z.object({ name: tableName, rows: z.int().min(0), sha256: z.string() })),
  /** `bucket`: the bytes stay in the S3 bucket, which has backups of its own. */
  store: z.enum(["disk", "bucket"]),
  files: z.int().min(0),
  file_bytes: z.int().min(0),
  /** Files whose bytes were deleted while the backup ran. */
  missing_files: z.int().min(0),
});
export type BackupManifest = z.infer<typeof BackupManifest>;

export const BackupResult = z.object({
  folder: z.string(),
  keys: z.int(),
  requests: z.int(),
  files: z.int(),
  file_bytes: z.int(),
  missing_files: z.int(),
  store: z.enum(["disk", "bucket"]),
});
export type BackupResult = z.infer<typeof BackupResult>;
