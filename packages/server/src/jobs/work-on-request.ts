/** What training and publishing a request have in common: it is worked on under a lease, and can be stopped. */
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

/** Why work was told to stop. `lost`: the request is not ours any more. */
export type Stop = "cancel" | "drain" | "lost";

export type WorkOnRequest = {
  readonly request: ClaimedRequest;
  /** Its cancellation was asked for. */
  cancel(): void;
  /** The server is going away: keep what was done, and let go. */
  drain(): void;
  /** Somebody else may be working on it by now. */
  abandon(): void;
};
