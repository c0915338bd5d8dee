/** Restricts webhooks to public addresses, unless the installation allows more. */
import { checkLiteralAddress, isPublicAddress, makeCheckedLookup } from "@ltx-trainer/host";
import { Agent, buildConnector } from "undici";

/** An address that is never allowed. It is not retried. */
export class ForbiddenTarget extends Error {
  override readonly name = "ForbiddenTarget";
}

/** @throws ForbiddenTarget for an address of this machine, a private network, or a special purpose */
export function requirePublicAddress(address: string): void {
  if (isPublicAddress(address)) return;
  throw new ForbiddenTarget(
    `got ${address}, an address of this machine, a private network or a special purpose, expected a public one; ` +
      "WEBHOOK_PRIVATE_TARGETS=true allows it",
  );
}

/** Creates the HTTP agent for webhooks. */
export function makeWebhookAgent(options: { readonly allowsPrivateTargets: boolean }): Agent {
  const limits = { connectTimeout: 10_000, connections: 4, pipelining: 1, maxResponseSize: 1 << 20 };
  if (options.allowsPrivateTargets) return new Agent(limits);
  const connect = buildConnector({
    lookup: makeCheckedLookup(requirePublicAddress),
    timeout: limits.connectTimeout,
  });
  return new Agent({
    ...limits,
    connect: (target, done) => {
      try {
        checkLiteralAddress(target.hostname, requirePublicAddress);
      } catch (refusal) {
        return done(refusal as Error, null);
      }
      return connect(target, done);
    },
  });
}
