/**
 * A file in an endpoint's answer, with its address.
 *
 * Source: output shape of the public API page of fal-ai/ltx-video-trainer.
 */
import { z } from "zod";

export const OutputFile = z
  .object({
    url: z.string().meta({ description: "Where the file can be downloaded from." }),
    content_type: z
      .string()
      .nullable()
      .optional()
      .meta({
        description: "MIME type of the file.",
        examples: ["image/png"],
      }),
    file_name: z
      .string()
      .nullable()
      .optional()
      .meta({
        description: "Name of the file.",
        examples: ["z9RV14K95DvU.png"],
      }),
    file_size: z
      .int()
      .nullable()
      .optional()
      .meta({
        description: "Size of the file in bytes.",
        examples: [4404019],
      }),
  })
  .meta({ id: "File" });
export type OutputFile = z.infer<typeof OutputFile>;
