/** Input and output of `test/echo`. A real endpoint's schemas are in `contract/src/endpoints/`. */
import { OutputFile } from "@ltx-trainer/contract";
import { z } from "zod";

export const EchoInput = z.object({
  words: z.string().min(1).max(100).meta({ description: "What to repeat." }),
  attachment_url: z.string().optional().meta({ description: "A file to return." }),
});

/** Outputs of the program's `finished` event. */
export const EchoOutputs = z.object({ words: z.string(), file: z.string() });

export const EchoOutput = z.object({ words: z.string(), file: OutputFile });
