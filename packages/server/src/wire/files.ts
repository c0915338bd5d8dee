/**
 * The result of a training as the API gives it: its files, each with its address.
 *
 * Source: output shape of the public API page of fal-ai/ltx-video-trainer. `lora_file_comfyui` and `video_error` are
 * additions of ours, at the end.
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

export const TrainingOutput = z.object({
  video: OutputFile.nullable().optional().meta({ description: "The validation video." }),
  lora_file: OutputFile.meta({ description: "The trained LoRA weights." }),
  config_file: OutputFile.meta({ description: "What an inference endpoint needs to use the LoRA." }),
  lora_file_comfyui: OutputFile.optional().meta({
    description: "The same weights under the names that ComfyUI knows.",
  }),
  video_error: z.string().optional().meta({ description: "Why there is no validation video." }),
});
export type TrainingOutput = z.infer<typeof TrainingOutput>;
