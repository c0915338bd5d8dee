/** Which addresses webhooks may go to. */

import { request } from "undici";
import { expect, test } from "vitest";
import { ForbiddenTarget, makeWebhookAgent, requirePublicAddress } from "./target.ts";

test.each(["127.0.0.1", "10.0.0.1", "168.63.129.16", "::8.8.8.8", "64:ff9b::808:808"])(
  "%s is no public address",
  (address) => {
    expect(() => requirePublicAddress(address)).toThrow(ForbiddenTarget);
  },
);

test.each(["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"])("%s is public", (address) => {
  expect(() => requirePublicAddress(address)).not.toThrow();
});

test.each([
  ...[
    "http://127.0.0.1:9/",
    "http://localhost:9/",
    "http://2130706433:9/",
    "http://0x7f.1:9/",
    "http://017700000001:9/",
  ],
  ...[
    "http://[::1]:9/",
    "http://[::ffff:7f00:1]:9/",
    "http://0:9/",
    "http://169.254.169.254/latest/meta-data",
  ],
])("%s is refused before anything is connected to", async (url) => {
  const agent = makeWebhookAgent({ allowsPrivateTargets: false });
  await expect(request(url, { dispatcher: agent })).rejects.toThrow(ForbiddenTarget);
  await agent.destroy();
});
