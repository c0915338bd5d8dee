/** The service as a function, for programs that embed it. */
export { type Config, readConfig } from "./config/config.ts";
export { makeLogger } from "./log.ts";
export { type Service, startService } from "./service.ts";
