/** Which addresses webhooks may go to. */

import { request } from "undici";
import { expect, test } from "vitest";
import { ForbiddenTarget, makeWebhookAgent, requirePublicAddress } from "./target.ts";

test.each([
  ...["127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"],
  ...["100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"],
  ...["::1", "::", "fe80::1", "fd00::1", "ff02::1", "2001:db8::1"],
  // IPv4 in other clothes.
  ...["::ffff:127.0.0.1", "::ffff:a00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1"],
])("%s is no public address", (address) => {
  expect(() => requirePublicAddress(address)).toThrow(ForbiddenTarget);
});

test.each(["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1"])(
  "%s is public",
  (address) => {
    expect(() => requirePublicAddress(address)).not.toThrow();
  },
);

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
