/** Settings of webhooks. */
import { z } from "zod";

export const webhookSettings = {
  WEBHOOK_PRIVATE_TARGETS: z.stringbool().default(false).meta({
    description:
      "Deliver webhooks also to this machine and to private networks. Only where every key is trusted with what listens there.",
  }),
  WEBHOOK_ATTEMPTS: z.coerce
    .number()
    .int()
    .min(1)
    .max(1000)
    .default(32)
    .meta({ description: "How often a webhook is sent before it is given up." }),
  WEBHOOK_RETRY_SECONDS: z.coerce
    .number()
    .min(0.1)
    .max(600)
    .default(5)
    .meta({ description: "Pause before the second attempt; each further one is twice as long, up to 600." }),
} as const;

export type WebhookConfig = {
  readonly allowsPrivateTargets: boolean;
  readonly attempts: number;
  readonly firstPauseSeconds: number;
};

type Values = z.infer<z.ZodObject<typeof webhookSettings>>;

export function webhookConfig(values: Values): WebhookConfig {
  return {
    allowsPrivateTargets: values.WEBHOOK_PRIVATE_TARGETS,
    attempts: values.WEBHOOK_ATTEMPTS,
    firstPauseSeconds: values.WEBHOOK_RETRY_SECONDS,
  };
}
