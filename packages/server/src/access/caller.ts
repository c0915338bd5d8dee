/** The authenticated caller of a route. */

export type Caller = {
  /** Requests and files belong to users. */
  readonly userId: string;
  readonly keyId: string | null;
  readonly scope: "api" | "admin";
};
