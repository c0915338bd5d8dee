/** Starting the project's programs by path: the trainer, whose events are heard, and the server. */
export * from "./places.ts";
export * from "./spawn-tied.ts";
export * from "./trainer-process.ts";
