/**
 * Uploads with fal's own Python client, unmodified. It has the addresses of fal's storage built in, and reaches us under
 * them through a proxy. How to run it: see `python.test.ts`.
 */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { TestService } from "../../../packages/server/src/testing/service.ts";
import { startTlsFront, type TlsFront } from "../fal-hosts.ts";
import { isClientMissing, runPython } from "./python-client.ts";

// Hundreds of megabytes, on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const example = fileURLToPath(new URL("../../../examples/glowpulse.zip", import.meta.url));
const hashOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

describe.skipIf(isClientMissing)("needs a Python with fal_client (FAL_CLIENT_PYTHON): its uploads", () => {
  let service: TestService;
  let front: TlsFront;

  beforeAll(async () => {
    service = await TestService.start({ TRUST_PROXY: "true", LTX_TRAINER_DEVICES: "" });
    front = await startTlsFront(service.url, service.home);
  });
  afterAll(async () => {
    front?.close();
    await service?.end();
  });

  test("bytes and files, small and in parts, come back the same; the client's own fault with large bytes is refused", async () => {
    const bytes = new Uint8Array(105 * 2 ** 20);
    for (let at = 0; at < bytes.length; at += 4093) bytes[at] = at % 251;
    const large = join(service.home, "large.zip");
    writeFileSync(large, bytes);
    const answers = await runPython(
      "uploads.py",
      { small: example, large },
      {
        FAL_KEY: service.authorization.replace("Key ", ""),
        SSL_CERT_FILE: front.certificate,
        HTTPS_PROXY: front.proxy,
      },
    );
    const url = expect.stringMatching(/^https:\/\/v3\.fal\.media\/files\//);
    const hello = { url, type: "text/plain", sha256: hashOf(Buffer.from("hello")) };
    expect(answers).toMatchObject({
      bytes: hello,
      async: hello,
      file: { url, type: "application/zip", sha256: hashOf(readFileSync(example)) },
      parts: { url, type: "application/zip", sha256: hashOf(bytes) },
      large_bytes: { status: 400 },
    });
  });
});
