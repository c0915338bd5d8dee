/** Settings of files: how large, how many, how long, and from where a training may fetch its data. */
import { z } from "zod";
import { setting, type ValuesOf } from "./setting.ts";

const bytes = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const days = (fallback: number) => z.coerce.number().min(0).max(36_500).default(fallback);

const bucketSettings = {
  bucket: setting("S3_BUCKET", z.string().min(1).optional(), {
    description:
      "Bucket for files; several servers need one in common. Credentials as the AWS SDK finds them. Default: files on the local disk.",
  }),
  endpoint: setting("S3_ENDPOINT", z.url({ protocol: /^https?$/ }).optional(), {
    description: "Address of an S3-compatible server other than Amazon's.",
  }),
  region: setting("S3_REGION", z.string().min(1).default("us-east-1"), {
    description: "Region of the bucket.",
  }),
  /** Without slashes around it. Empty when unset. */
  prefix: setting(
    "S3_PREFIX",
    z
      .string()
      .regex(/^[\w.-]+(\/[\w.-]+)*$/, "words with slashes between them")
      .optional()
      .transform((folder) => folder ?? ""),
    { description: "Folder in the bucket. Default: none." },
  ),
} as const;

export const storageSettings = {
  s3: bucketSettings,
  maxUploadBytes: setting("MAX_UPLOAD_BYTES", bytes.default(64 * 2 ** 30), {
    description: "Largest file that may be uploaded.",
  }),
  userQuotaBytes: setting("STORAGE_BYTES_PER_USER", bytes.optional(), {
    description:
      "Quota per user: files, uploads in progress, and input and results of requests. Default: none.",
  }),
  diskReserveBytes: setting("DISK_RESERVE_BYTES", bytes.default(2 ** 30), {
    description: "Free disk space that uploads leave to everything else. With less, /readyz is 503.",
  }),
  uploadSeconds: setting(
    "UPLOAD_HOURS",
    z.coerce
      .number()
      .min(0.001)
      .max(24 * 30)
      .default(24)
      .transform((hours) => hours * 3600),
    { description: "How long an upload may take, from its announcement. Then its parts are deleted." },
  ),
  downloadAddresses: setting("DOWNLOAD_ADDRESSES", z.enum(["public", "any"]).default("public"), {
    description:
      "Where trainings may fetch data from. public: not from this machine and private networks. Files uploaded here are always allowed.",
  }),
  payloadDays: setting("PAYLOAD_DAYS", days(30), {
    description:
      "Days that input, result and logs of a finished request are kept. Output files have a lifecycle of their own.",
  }),
  requestFolderDays: setting("REQUEST_FOLDER_DAYS", days(7), {
    description: "Days that the folder of a finished training (plan, metrics, samples) is kept.",
  }),
} as const;

type Values = ValuesOf<typeof storageSettings>;

export type S3StoreConfig = Values["s3"] & { readonly bucket: string };

export type StorageConfig = Omit<Values, "s3"> & {
  /** Undefined: files are on the local disk. */
  readonly s3: S3StoreConfig | undefined;
};

export function storageConfig(values: Values): StorageConfig {
  const { bucket, ...rest } = values.s3;
  return { ...values, s3: bucket === undefined ? undefined : { ...rest, bucket } };
}
