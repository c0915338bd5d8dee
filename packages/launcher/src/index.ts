/** Starting the project's programs by path, and which addresses they may connect to. */
export * from "./places.ts";
export * from "./public-address.ts";
export * from "./spawn-tied.ts";
export * from "./stop-signals.ts";
export * from "./trainer-process.ts";
