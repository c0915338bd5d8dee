/**
 * Every call of fal's own Python client, unmodified, against the real service and the real trainer, over TLS: at an address
 * of its own through `FAL_RUN_HOST`, and as fal's own hosts through `HTTPS_PROXY`.
 *
 * Needs a Python with fal_client: `python3 -m venv v && v/bin/pip install fal_client==1.0.1`, then
 * `FAL_CLIENT_PYTHON=v/bin/python npm test`.
 */

import { TrainingOutput } from "@ltx-trainer/contract";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { TestService } from "../../../packages/server/src/testing/service.ts";
import { startTlsFront, type TlsFront } from "../fal-hosts.ts";
import { isClientMissing, runPython } from "./python-client.ts";

// Each run trains, on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const app = "fal-ai/ltx-video-trainer";

type Failure = { readonly status?: number; readonly message?: string; readonly type?: string | null } | null;
type Answers = {
  readonly subscribe: {
    readonly result: unknown;
    readonly again: unknown;
    readonly seen: readonly string[];
    readonly lines: readonly string[];
    readonly polled: readonly string[];
    readonly inference_time: number;
  };
  readonly handle: Readonly<Record<string, unknown>>;
  readonly async: { readonly status: number; readonly detail: readonly unknown[] };
} & Readonly<Record<"run" | "path" | "unknown" | "unknown_cancel" | "application" | "key" | "late", Failure>>;

describe.skipIf(isClientMissing)(
  "needs a Python with fal_client (FAL_CLIENT_PYTHON): the Python client",
  () => {
    let service: TestService;
    let front: TlsFront;

    beforeAll(async () => {
      service = await TestService.start({ TRUST_PROXY: "true", LTX_TRAINER_BASE: "ltx-nano" });
      front = await startTlsFront(service.url, service.home);
    });
    afterAll(async () => {
      front?.close();
      await service?.end();
    });

    async function run(env: Readonly<Record<string, string>>): Promise<Answers> {
      const answers = await runPython(
        "every-call.py",
        { input: { ...service.input, resolution: "low", validation_resolution: "low" } },
        {
          FAL_KEY: service.authorization.replace("Key ", ""),
          SSL_CERT_FILE: front.certificate,
          ...env,
        },
      );
      return answers as Answers;
    }

    function check(answers: Answers, statusUrl: RegExp, files: RegExp): void {
      const { subscribe } = answers;
      expect(TrainingOutput.parse(subscribe.result).lora_file.url).toMatch(files);
      expect(subscribe.again).toEqual(subscribe.result);
      expect(subscribe.seen).toContain("InProgress");
      expect(subscribe.lines).toEqual(subscribe.polled);
      expect(subscribe.polled.join("\n")).toMatch(/Step 100\/100/);
      expect(subscribe.inference_time).toBeGreaterThan(0);
      expect(answers.handle).toMatchObject({
        equal: true,
        status_url: expect.stringMatching(statusUrl),
        error: "Request cancelled by the client.",
        error_type: "client_cancelled",
        result: { status: 499, type: "client_cancelled" },
        cancelled_again: { status: 400 },
      });
      expect(answers.async).toMatchObject({
        status: 422,
        detail: [{ loc: ["body", "training_data_url"] }, {}],
      });
      expect(answers.run).toMatchObject({ status: 422 });
      expect(answers.path).toMatchObject({
        status: 404,
        message: expect.stringContaining("Path /i2v not found"),
      });
      expect(answers.unknown).toMatchObject({ status: 404 });
      expect(answers.unknown_cancel).toMatchObject({ status: 404 });
      expect(answers.application).toMatchObject({ status: 404 });
      expect(answers.late).toMatchObject({ status: 504, type: "request_timeout" });
      expect(answers.key).toMatchObject({ status: 401, message: "invalid key credentials" });
    }

    test("at an address of the service's own", async () => {
      const answers = await run({
        FAL_RUN_HOST: `${front.host}/run`,
        FAL_QUEUE_RUN_HOST: `${front.host}/queue`,
      });
      const origin = `https://${front.host}`;
      check(
        answers,
        new RegExp(`^${origin}/queue/${app}/requests/[0-9a-f-]{36}/status$`),
        new RegExp(`^${origin}/files/`),
      );
    });

    test("as fal's own hosts, through a proxy", async () => {
      const answers = await run({ HTTPS_PROXY: front.proxy });
      check(
        answers,
        new RegExp(`^https://queue\\.fal\\.run/${app}/requests/[0-9a-f-]{36}/status$`),
        /^https:\/\/v3\.fal\.media\/files\//,
      );
    });
  },
);
