/** What `RunningRequest` and `Publication` have in common: both hold a lease and can be stopped. */
import type { Logger } from "pino";
import type { Config } from "../config/config.ts";
import type { Database } from "../db/database.ts";
import type { ClaimedRequest } from "../db/requests/leases.ts";
import type { EndpointRegistry } from "../endpoints/registry.ts";
import type { Signer } from "../storage/signer.ts";
import type { FileStore } from "../storage/stores/file-store.ts";
import type { Confinement } from "./confine/confinement.ts";

export type RunContext = {
  readonly db: Database;
  readonly store: FileStore;
  readonly signer: Signer;
  readonly config: Config;
  readonly endpoints: EndpointRegistry;
  readonly log: Logger;
  /** Id of this data folder. */
  readonly homeId: string;
  readonly confinement: Confinement;
};

/** Why work was stopped. `lost`: this worker no longer holds the lease. */
export type Stop = "cancel" | "drain" | "lost";

export type WorkOnRequest = {
  readonly request: ClaimedRequest;
  /** The client or an administrator cancelled the request. */
  cancel(): void;
  /** The server is stopping: keep the progress and release the request. */
  drain(): void;
  /** The lease is lost: another worker may have claimed the request. */
  abandon(): void;
};
