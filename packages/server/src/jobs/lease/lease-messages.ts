/** Messages between the main thread and the thread that renews leases. */
import type { DatabaseAddress } from "../../db/database.ts";
import type { Expiries } from "../../db/requests/leases.ts";
import type { Lease } from "../../db/requests/move.ts";

export type LeaseThreadData = {
  readonly address: DatabaseAddress;
  readonly workerId: string;
  readonly leaseSeconds: number;
  readonly trainedWaitHours: number;
};

export type ToLeaseThread =
  | { readonly type: "hold"; readonly lease: Lease }
  /** The trainer that works under a lease, to be killed when the lease is lost. */
  | { readonly type: "process"; readonly leaseId: string; readonly pid: number }
  | { readonly type: "drop"; readonly leaseId: string }
  | { readonly type: "stop" };

export type FromLeaseThread =
  | { readonly type: "lost"; readonly leaseId: string }
  | { readonly type: "cancel"; readonly leaseId: string }
  | { readonly type: "expired"; readonly expiries: Expiries & { readonly forgotten: readonly string[] } }
  /** The database was unreachable for the length of a lease: every trainer was killed. */
  | { readonly type: "fenced" }
  | { readonly type: "unreachable"; readonly reason: string }
  | { readonly type: "reachable" };
