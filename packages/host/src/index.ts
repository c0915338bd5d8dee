/** What every program needs of the machine: starting programs, places, public addresses, data URIs, files that survive a power cut. */
export * from "./data-uri.ts";
export * from "./durable.ts";
export * from "./find-on-path.ts";
export * from "./places.ts";
export * from "./public-address.ts";
export * from "./spawn-tied.ts";
export * from "./stop-signals.ts";
export * from "./trainer-process.ts";
