/** Settings of who may reach the service from where. */
import { z } from "zod";

export const accessSettings = {
  CORS_ORIGINS: z
    .string()
    .default("*")
    .transform((text) => text.split(",").map((part) => part.trim()))
    .pipe(
      z
        .array(z.string().regex(/^(\*|https?:\/\/[^/\s]+)$/, "* or origins such as https://app.example.com"))
        .min(1),
    )
    .meta({
      description:
        "Web pages that may call the service: origins, or * for all. No page gets in without a key either way.",
    }),
} as const;

const AccessSettings = z.object(accessSettings);

export type AccessConfig = {
  /** Origins, or undefined for all. */
  readonly corsOrigins: readonly string[] | undefined;
};

/** The settings in the program's own terms. */
export function accessConfig({ CORS_ORIGINS: origins }: z.infer<typeof AccessSettings>): AccessConfig {
  return { corsOrigins: origins.includes("*") ? undefined : origins };
}
