/** Settings of how much one user may ask for at a time. */
import { z } from "zod";
import { setting, type ValuesOf } from "./setting.ts";

export const limitSettings = {
  waitingPerUser: setting("MAX_WAITING_PER_USER", z.coerce.number().int().min(1).default(1000), {
    description: "Queued requests per user. More are refused with 429.",
  }),
  /** Undefined: no limit. */
  runningPerUser: setting("MAX_RUNNING_PER_USER", z.coerce.number().int().min(1).optional(), {
    description: "Running trainings per user. More wait. Default: no limit.",
  }),
} as const;

export type LimitConfig = ValuesOf<typeof limitSettings>;
