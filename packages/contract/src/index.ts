/** What crosses a boundary: training input and output, jobs and their events, errors. Knows no other package of ours. */
export * from "./backup.ts";
export * from "./dataset-report.ts";
export * from "./errors.ts";
export * from "./files.ts";
export * from "./flags.ts";
export * from "./job-events.ts";
export * from "./jobs.ts";
export * from "./keys.ts";
export * from "./local-training.ts";
export * from "./pydantic.ts";
export * from "./queue.ts";
export * from "./schema-node.ts";
export * from "./shorten.ts";
export * from "./sizes.ts";
export * from "./training.ts";
export * from "./validate.ts";
export * from "./wire-errors.ts";
