/** The words of `--help` that the schema does not have: what each command is for, and examples that work. */

export const overview =
  "Trains LoRAs for the LTX video model from your clips, on this machine. " +
  "A zip or folder of videos, images and captions goes in; a LoRA, its config and a validation video come out.";

export const overviewExamples = `
Examples:
  ltx-trainer train cakes.zip --trigger-phrase CAKEIFY --validation "CAKEIFY a red car"
  ltx-trainer inspect cakes.zip
  ltx-trainer generate --lora cakes-lora/lora.safetensors --prompt "CAKEIFY a shoe" --compare
  ltx-trainer doctor

Exit status: 0 done, 1 a failure, 2 wrong usage or unusable input, 130 interrupted.`;

export const dataArgument = "zip file, folder, single video or image, http(s) URL or data URI";

export const trainSummary = "Train a LoRA on a zip or folder of clips.";
export const train =
  "Trains a LoRA. The data are videos (.mp4 .mov .mkv .webm .mts ...) and images (.png .jpg .webp .heic ...) at any folder " +
  "depth; a text file of the same name beside one is its caption. What cannot be used is left out, with the reason.";

export const trainExamples = `
Examples:
  The example that comes along, on the bundled small model:
    ltx-trainer train examples/glowpulse.zip --base ltx-nano --trigger-phrase GLOWPULSE --number-of-steps 200 \\
      --resolution low --validation-resolution low --number-of-frames 9
  With a validation video at the end, and previews every 100 steps:
    ltx-trainer train clips/ --validation "TOK a dancing robot" --validation-interval 100
  From an image (every validation prompt needs one then):
    ltx-trainer train clips.zip --validation '{"prompt": "TOK it melts", "image_url": "start.png"}'
  To transform videos, from pairs (clip.mp4 and clip.reference.mp4, what it is made from):
    ltx-trainer train pairs.zip --reference-videos --lora-targets to_q,to_k,to_v,to_out.0,ff.net.0.proj,ff.net.2 \\
      --validation '{"prompt": "a street in the rain", "reference_url": "street.mp4"}'
  After an interruption, exactly as if there had been none:
    ltx-trainer train clips.zip --out clips-lora --resume
  With the options of a finished training, on other data:
    ltx-trainer train other.zip --config clips-lora/config.json
  For a program: progress on stderr, one JSON object as the last line of stdout:
    ltx-trainer train clips.zip --json

Output (default folder: the name of the data with -lora): lora.safetensors, lora.comfyui.safetensors, config.json,
validation.mp4, contact-sheet.png, plan.json, metrics.jsonl, dataset-report.json, samples/, checkpoints/.`;

export const inspectSummary = "Show what a training would do with a dataset.";
export const inspect =
  "Shows what a training would do with a dataset: every file kept or dropped and why, the samples made, the captions. " +
  "Trains nothing and needs no GPU.";

export const inspectExamples = `
Examples:
  ltx-trainer inspect clips.zip
  ltx-trainer inspect clips.zip --number-of-frames 49 --auto-scale-input
  ltx-trainer inspect clips.zip --json | jq '.files[] | select(.status == "dropped")'`;

export const generateSummary = "Make a video, with a LoRA or without.";
export const generate = "Makes a video from a base model, with a LoRA if one is given.";

export const generateExamples = `
Examples:
  ltx-trainer generate --lora clips-lora/lora.safetensors --prompt "TOK a red cube" --out cube.mp4
  The same seed without the LoRA beside it:
    ltx-trainer generate --lora clips-lora/lora.safetensors --prompt "TOK a red cube" --compare
  Starting from a picture:
    ltx-trainer generate --prompt "it starts to rain" --image street.jpg
  Transforming a video, with a LoRA trained on pairs:
    ltx-trainer generate --lora rain-lora/lora.safetensors --prompt "a street in the rain" --reference street.mp4`;

export const serveSummary = "Run the service: fal's API on this machine.";
export const serve =
  "Runs the service: the queue API of fal-ai/ltx-video-trainer, for fal's own clients. Makes an API key at its first start " +
  "and shows it once. Everything else is set by environment variables; --settings lists them.";

export const serveExamples = `
Examples:
  ltx-trainer serve
  Two GPUs, one training at a time on each, behind a proxy that does TLS:
    PUBLIC_URL=https://train.example.com TRUST_PROXY=true ltx-trainer serve --devices cuda:0,cuda:1
  On a PostgreSQL of your own, which several servers may share:
    DATABASE_URL=postgres://user:secret@db/ltx ltx-trainer serve`;

export const keys = "Make, list and revoke API keys.";
export const keysCreate = "Makes an API key and shows it, this once. The service may run meanwhile, or not.";
export const keysList = "Lists the keys there are, without their secrets: times are UTC.";
export const keysRevoke = "Takes a key out of use within seconds, and the tokens made with it.";

export const keysExamples = `
Examples:
  ltx-trainer keys create --name laptop
  For a colleague, who sees only their own requests; for a program:
    ltx-trainer keys create --name ana --user ana --json | jq -r .key
  On a PostgreSQL of your own:
    DATABASE_URL=postgres://user:secret@db/ltx ltx-trainer keys list`;

export const models = "List base models.";
export const modelsList = "Lists the base models that --base can name: the bundled one and those installed.";

export const doctorSummary = "Check this machine, and say how to fix what is wrong.";
export const doctor =
  "Checks Node, libtorch, the native addon, the speed of matrix products, GPU, ffmpeg, disk space and base models, " +
  "and says how to fix what is wrong. Exit status 1 when something is broken.";

export const backups = {
  backup: {
    summary: "Write everything the service has into a folder.",
    description:
      "Backs the service up: keys, requests, logs, files, and the checkpoints of trainings that have not ended. The service may " +
      "run meanwhile. Base models and caches are left out.",
    folder: "a new folder, for example one with today's date",
    examples: `
Examples:
  ltx-trainer backup /mnt/backups/2026-11-27
  On a PostgreSQL of your own:
    DATABASE_URL=postgres://user:secret@db/ltx ltx-trainer backup /mnt/backups/2026-11-27`,
  },
  restore: {
    summary: "Bring a backup back into an empty data folder.",
    description:
      "Restores a backup into a data folder and a database that are empty. A newer version of this program reads older " +
      "backups. Trainings that were running go on from the checkpoints in the backup.",
    folder: "a folder that `ltx-trainer backup` wrote",
    examples: `
Examples:
  ltx-trainer restore /mnt/backups/2026-11-27 --home /srv/ltx-trainer
  Into a PostgreSQL of your own, to move from the embedded one:
    DATABASE_URL=postgres://user:secret@db/ltx ltx-trainer restore /mnt/backups/2026-11-27`,
  },
} as const;
