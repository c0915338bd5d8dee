/** Settings of files: how large, how many, how long, and from where a training may fetch its data. */
import { z } from "zod";

const bytes = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const days = (fallback: number) => z.coerce.number().min(0).max(36_500).default(fallback);

export const storageSettings = {
  S3_BUCKET: z.string().min(1).optional().meta({
    description:
      "Bucket for files, to be shared by several servers. Credentials as the AWS SDK finds them. Default: files on the local disk.",
  }),
  S3_ENDPOINT: z
    .url({ protocol: /^https?$/ })
    .optional()
    .meta({ description: "Address of an S3-compatible server other than Amazon's." }),
  S3_REGION: z.string().min(1).default("us-east-1").meta({ description: "Region of the bucket." }),
  S3_PREFIX: z
    .string()
    .regex(/^[\w.-]+(\/[\w.-]+)*$/, "words with slashes between them")
    .optional()
    .meta({ description: "Folder in the bucket. Default: none." }),
  MAX_UPLOAD_BYTES: bytes.default(64 * 2 ** 30).meta({ description: "Largest file that may be uploaded." }),
  STORAGE_BYTES_PER_USER: bytes.optional().meta({
    description:
      "Quota of a user: files, uploads under way, and input and results of requests. Default: none.",
  }),
  DISK_RESERVE_BYTES: bytes.default(2 ** 30).meta({
    description: "Free disk space that uploads leave to everything else. With less, /readyz is 503.",
  }),
  UPLOAD_HOURS: z.coerce
    .number()
    .min(0.001)
    .max(24 * 30)
    .default(24)
    .meta({ description: "How long an upload may take from its announcement; then its parts are removed." }),
  DOWNLOAD_ADDRESSES: z.enum(["public", "any"]).default("public").meta({
    description:
      "Where trainings may fetch data from. public: not from this machine and private networks; files uploaded here always.",
  }),
  PAYLOAD_DAYS: days(30).meta({
    description:
      "Days that input, result and logs of a finished request are kept. Output files stay until their own lifecycle ends.",
  }),
  REQUEST_FOLDER_DAYS: days(7).meta({
    description: "Days that the folder of a finished training (plan, metrics, samples) is kept.",
  }),
} as const;

const Values = z.object(storageSettings);

export type S3StoreConfig = {
  readonly bucket: string;
  readonly endpoint: string | undefined;
  readonly region: string;
  /** Without slashes around it; may be empty. */
  readonly prefix: string;
};

export type StorageConfig = {
  /** Undefined: files lie on the local disk. */
  readonly s3: S3StoreConfig | undefined;
  readonly maxUploadBytes: number;
  readonly userQuotaBytes: number | undefined;
  readonly diskReserveBytes: number;
  readonly uploadSeconds: number;
  readonly downloadAddresses: "public" | "any";
  readonly payloadDays: number;
  readonly requestFolderDays: number;
};

/** The settings in the program's own terms. */
export function storageConfig(values: z.output<typeof Values>): StorageConfig {
  return {
    s3:
      values.S3_BUCKET === undefined
        ? undefined
        : {
            bucket: values.S3_BUCKET,
            endpoint: values.S3_ENDPOINT,
            region: values.S3_REGION,
            prefix: values.S3_PREFIX ?? "",
          },
    maxUploadBytes: values.MAX_UPLOAD_BYTES,
    userQuotaBytes: values.STORAGE_BYTES_PER_USER,
    diskReserveBytes: values.DISK_RESERVE_BYTES,
    uploadSeconds: values.UPLOAD_HOURS * 3600,
    downloadAddresses: values.DOWNLOAD_ADDRESSES,
    payloadDays: values.PAYLOAD_DAYS,
    requestFolderDays: values.REQUEST_FOLDER_DAYS,
  };
}
