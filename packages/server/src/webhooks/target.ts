/**
 * Where webhooks may go: the public internet, unless the installation allows more.
 *
 * Checked at the moment of connecting, on the address that name lookup really gave: a name that is looked up again
 * afterwards, or that leads to the cloud's metadata service, gets nobody further.
 */
import dns from "node:dns";
import net from "node:net";
import ipaddr from "ipaddr.js";
import { Agent, buildConnector } from "undici";

/** An address that nothing is sent to, however often it is tried. */
export class ForbiddenTarget extends Error {
  override readonly name = "ForbiddenTarget";
}

/** @throws ForbiddenTarget for an address of this machine, a private network, or a special purpose */
export function requirePublicAddress(address: string): void {
  const range = ipaddr.process(address).range();
  if (range === "unicast") return;
  throw new ForbiddenTarget(
    `got ${address}, a ${range} address, expected a public one; WEBHOOK_PRIVATE_TARGETS=true allows it`,
  );
}

/** Connections for webhooks. */
export function makeWebhookAgent(options: { readonly allowsPrivateTargets: boolean }): Agent {
  const limits = { connectTimeout: 10_000, connections: 4, pipelining: 1, maxResponseSize: 1 << 20 };
  if (options.allowsPrivateTargets) return new Agent(limits);
  const connect = buildConnector({ lookup: lookupPublic, timeout: limits.connectTimeout });
  return new Agent({
    ...limits,
    connect: (target, done) => {
      const host = target.hostname.replace(/^\[|\]$/g, "");
      try {
        // Literal addresses are never looked up.
        if (net.isIP(host) !== 0) requirePublicAddress(host);
      } catch (refusal) {
        return done(refusal as Error, null);
      }
      return connect(target, done);
    },
  });
}

const lookupPublic: net.LookupFunction = (host, options, done) => {
  dns.lookup(host, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return done(error, "");
    try {
      for (const { address } of addresses) requirePublicAddress(address);
    } catch (refusal) {
      return done(refusal as NodeJS.ErrnoException, "");
    }
    if (options.all) return done(null, addresses);
    return done(null, addresses[0]?.address ?? "", addresses[0]?.family);
  });
};
