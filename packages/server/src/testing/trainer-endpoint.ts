/** The endpoint that most tests call. */
import { ltxVideoTrainer } from "../endpoints/ltx-video-trainer.ts";

export const trainerEndpoint = ltxVideoTrainer("fal-ai/ltx-video-trainer");
