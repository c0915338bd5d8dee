/** What crosses a boundary: training input and output, jobs and their events, errors. Knows no other package of ours. */
export * from "./endpoints/ltx-video-trainer.ts";
export * from "./endpoints/output-file.ts";
export * from "./errors.ts";
export * from "./is-record.ts";
export * from "./jobs/backup.ts";
export * from "./jobs/dataset-report.ts";
export * from "./jobs/job-events.ts";
export * from "./jobs/jobs.ts";
export * from "./jobs/keys.ts";
export * from "./jobs/local-training.ts";
export * from "./media-extensions.ts";
export * from "./options/flags.ts";
export * from "./options/schema-node.ts";
export * from "./options/shorten.ts";
export * from "./options/validate.ts";
export * from "./secrets.ts";
export * from "./sizes.ts";
