/**
 * Which addresses lie on the public internet, and connections that go nowhere else.
 *
 * Checked at the moment of connecting, on the address that name lookup really gave: a name that is looked up again
 * afterwards, or that leads to a cloud's metadata service, gets nobody further.
 */
import dns from "node:dns";
import net from "node:net";

/**
 * IPv4 that is not public. Source: the IANA IPv4 Special-Purpose Address Registry (all entries, reachable or not) and
 * RFC 5771 (multicast), and what a cloud provider keeps for itself.
 */
const special4: readonly (readonly [network: string, prefix: number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.31.196.0", 24],
  ["192.52.193.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["192.175.48.0", 24],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
  // Azure's host service: WireServer, DNS, DHCP.
  ["168.63.129.16", 32],
];

/**
 * IPv6 that is not public although it is global unicast, `2000::/3`. Everything outside of that is not public.
 * Source: the IANA IPv6 Special-Purpose Address Registry. `2001::/23` holds Teredo, benchmarking, ORCHID and others.
 */
const special6: readonly (readonly [network: string, prefix: number])[] = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["2620:4f:8000::", 48],
  ["3fff::", 20],
];

const lists = {
  special4: listOf("ipv4", special4),
  special6: listOf("ipv6", special6),
  global6: listOf("ipv6", [["2000::", 3]]),
  mapped4: listOf("ipv6", [["::ffff:0:0", 96]]),
};

function listOf(
  family: "ipv4" | "ipv6",
  networks: readonly (readonly [network: string, prefix: number])[],
): net.BlockList {
  const list = new net.BlockList();
  for (const [network, prefix] of networks) list.addSubnet(network, prefix, family);
  return list;
}

/**
 * Whether an address can be reached from everywhere. IPv6 addresses that carry an IPv4 one count as that one; those that
 * some gateway would translate (NAT64, 6to4, Teredo) are not public. What is no address is not public either.
 */
export function isPublicAddress(address: string): boolean {
  if (net.isIPv4(address)) return !lists.special4.check(address, "ipv4");
  if (!net.isIPv6(address) || address.includes("%")) return false;
  // A rule for IPv4 holds for mapped addresses, too.
  if (lists.mapped4.check(address, "ipv6")) return !lists.special4.check(address, "ipv6");
  return lists.global6.check(address, "ipv6") && !lists.special6.check(address, "ipv6");
}

/** Throws for an address that may not be connected to. */
export type AddressCheck = (address: string) => void;

/** Name lookup that fails with what `check` throws, for any of the addresses of the name. */
export function makeCheckedLookup(check: AddressCheck): net.LookupFunction {
  return (host, options, done) => {
    dns.lookup(host, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return done(error, "");
      try {
        for (const { address } of addresses) check(address);
      } catch (refusal) {
        return done(refusal as NodeJS.ErrnoException, "");
      }
      if (options.all) return done(null, addresses);
      return done(null, addresses[0]?.address ?? "", addresses[0]?.family);
    });
  };
}

/**
 * Calls `check` with the host of a connection when that is an address: those are never looked up.
 *
 * @param hostname as in a URL: IPv6 addresses in brackets
 */
export function checkLiteralAddress(hostname: string, check: AddressCheck): void {
  const host = hostname.replace(/^\[|\]$/g, "");
  if (net.isIP(host) !== 0) check(host);
}
