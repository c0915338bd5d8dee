/**
 * How failed trainings look to clients of `fal-ai/ltx-video-trainer`.
 *
 * Source: fal.ai/docs/documentation/model-apis/errors.
 */
import { type ErrorFacts, mediaExtensions } from "@ltx-trainer/contract";
import type { FailureTable } from "./failures.ts";

const archiveExtensions = { supported_extensions: [".zip"] };

const download = {
  status: 422,
  type: "file_download_error",
  field: "training_data_url",
  msg: "File download error",
};
const archive = {
  status: 422,
  type: "invalid_archive",
  field: "training_data_url",
  msg: "Could not read or process the provided archive. Ensure it's a valid, non-corrupted archive.",
  ctx: () => archiveExtensions,
};
const tooLarge = {
  status: 422,
  type: "file_too_large",
  field: "training_data_url",
  msg: "File too large",
  ctx: (facts: ErrorFacts) => (typeof facts.maxBytes === "number" ? { max_size: facts.maxBytes } : {}),
};

/** By error code of the training. */
export const trainingFailures: FailureTable = {
  source_not_found: download,
  source_unsupported: download,
  address_not_allowed: download,
  download_failed: download,
  not_a_zip: archive,
  zip_encrypted: archive,
  zip_damaged: archive,
  dataset_empty: archive,
  download_too_large: tooLarge,
  zip_too_large: tooLarge,
  no_usable_media: {
    status: 422,
    type: "archive_file_count_below_minimum",
    field: "training_data_url",
    msg: "Too few files in the archive. Expected at least 1 usable video or image, found 0. The logs say what became of each file.",
    ctx: () => ({ min_count: 1, provided_count: 0, supported_extensions: mediaExtensions }),
  },
  media_unreadable: { status: 422, type: "image_load_error", field: "validation", msg: "Image load error" },
  training_diverged: {
    status: 422,
    type: "value_error",
    field: "learning_rate",
    msg: "Training diverged: the loss or its gradient stopped being a finite number. Use a lower learning_rate.",
  },
  out_of_memory: {
    status: 500,
    type: "internal_server_error",
    msg: "Out of memory. Use a lower resolution or number_of_frames.",
  },
};
