/** Settings of how much one user may ask for at a time. */
import { z } from "zod";

export const limitSettings = {
  MAX_WAITING_PER_USER: z.coerce.number().int().min(1).default(1000).meta({
    description: "Requests of one user that may wait in the queue; more are refused with 429.",
  }),
  MAX_RUNNING_PER_USER: z.coerce.number().int().min(1).optional().meta({
    description: "Trainings of one user that may run at a time; more wait. Default: no limit.",
  }),
} as const;

export type LimitConfig = {
  readonly waitingPerUser: number;
  /** Undefined: no limit. */
  readonly runningPerUser: number | undefined;
};

type Values = z.infer<z.ZodObject<typeof limitSettings>>;

export function limitConfig(values: Values): LimitConfig {
  return { waitingPerUser: values.MAX_WAITING_PER_USER, runningPerUser: values.MAX_RUNNING_PER_USER };
}
