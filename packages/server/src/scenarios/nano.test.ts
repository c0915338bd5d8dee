/** The bundled model and the bundled example through HTTP: what `npm start` and a client give on any machine. */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { TrainingOutput } from "@ltx-trainer/contract";
import { expect, test } from "vitest";
import { TestService } from "../testing/service.ts";
import { QueueStatus } from "../wire/queue.ts";

const example = fileURLToPath(new URL("../../../../examples/glowpulse.zip", import.meta.url));
const endpoint = "/queue/fal-ai/ltx-video-trainer";

test("ltx-nano learns from a zip given as a data URI, and gives a LoRA, a config and a video", async () => {
  const service = await TestService.start({ LTX_TRAINER_BASE: "ltx-nano" });
  try {
    const submitted = await service.call("POST", endpoint, {
      body: {
        training_data_url: `data:application/zip;base64,${readFileSync(example).toString("base64")}`,
        rank: "8",
        number_of_steps: 100,
        number_of_frames: 25,
        resolution: "low",
        trigger_phrase: "GLOWPULSE",
        validation: [{ prompt: "GLOWPULSE, a red square moves right" }],
        validation_number_of_frames: 25,
        validation_resolution: "low",
      },
    });
    const { request_id: id } = QueueStatus.parse(submitted.body);
    const path = `${endpoint}/requests/${id}`;
    while ((await service.call("GET", `${path}/status`)).status === 202) await delay(500);
    const { status, body } = await service.call("GET", path);
    expect(status, JSON.stringify(body)).toBe(200);
    const output = TrainingOutput.parse(body);
    expect(output.video?.file_size).toBeGreaterThan(1000);
    expect(output.lora_file.file_size).toBeGreaterThan(100_000);
  } finally {
    await service.end();
  }
}, 600_000);
