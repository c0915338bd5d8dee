/** The endpoint `fal-ai/ltx-video-trainer`: from a zip of clips to a LoRA, its configuration and a validation video. */
import { parseOptions, TrainingInput, TrainingOutput, TrainJob, TrainOutputs } from "@ltx-trainer/contract";
import { defineEndpoint, type Endpoint } from "./endpoint.ts";
import { trainingFailures } from "./training-failures.ts";

/** @param name `owner/alias`: LTX_TRAINER_ENDPOINT may rename it */
export function ltxVideoTrainer(name: string): Endpoint {
  return defineEndpoint({
    name,
    category: "training",
    about: "Trains a LoRA for the LTX video model from a zip of clips.",
    input: TrainingInput,
    output: TrainingOutput,
    files: [["training_data_url"], ["validation", "*", "image_url"]],
    command: "train",
    outputs: TrainOutputs,
    failures: trainingFailures,
    toJob: (input, deps) =>
      parseOptions(TrainJob, {
        ...input,
        validation: input.validation.map(({ image_url: image, ...item }) => ({
          ...item,
          ...(image ? { image_url: image } : {}),
        })),
        out: deps.out,
        home: deps.home,
        base: deps.base,
        device: deps.device,
        checkpoint_interval: deps.checkpointInterval,
        resume: deps.resume,
        on_bad_checkpoint: "restart",
        address_policy: deps.addressPolicy,
        source_names: deps.sourceNames,
      }),
    filesOf: ({ lora_file, lora_file_comfyui, config_file, video }) => [
      lora_file,
      lora_file_comfyui,
      config_file,
      ...(video === null ? [] : [video]),
    ],
    endEarly: (outputs, reason) => ({ ...outputs, video: null, contact_sheet: null, video_error: reason }),
    publish: async (outputs, store) => ({
      video: outputs.video === null ? null : await store(outputs.video),
      lora_file: await store(outputs.lora_file),
      config_file: await store(outputs.config_file),
      lora_file_comfyui: await store(outputs.lora_file_comfyui),
      ...(outputs.video_error === undefined ? {} : { video_error: outputs.video_error }),
    }),
    billableUnits: ({ steps }) => steps,
  });
}
