/** Settings of webhooks. */
import { z } from "zod";
import { setting, type ValuesOf } from "./setting.ts";

export const webhookSettings = {
  allowsPrivateTargets: setting("WEBHOOK_PRIVATE_TARGETS", z.stringbool().prefault("false"), {
    description:
      "Deliver webhooks to this machine and to private networks, too. Only where every key holder may reach what listens there.",
  }),
  attempts: setting("WEBHOOK_ATTEMPTS", z.coerce.number().int().min(1).max(1000).default(32), {
    description: "Attempts per webhook before it is abandoned.",
  }),
  firstPauseSeconds: setting("WEBHOOK_RETRY_SECONDS", z.coerce.number().min(0.1).max(600).default(5), {
    description: "Pause before the second attempt. It doubles with each further one, up to 600.",
  }),
} as const;

export type WebhookConfig = ValuesOf<typeof webhookSettings>;
