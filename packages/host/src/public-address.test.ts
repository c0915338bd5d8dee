/** Which addresses are public: the first and last of every range, and their neighbours. */
import { expect, test } from "vitest";
import { isPublicAddress, makeCheckedLookup } from "./public-address.ts";

const notPublic = [
  ...["0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255"],
  ...["127.0.0.1", "127.255.255.255", "169.254.0.0", "169.254.169.254", "172.16.0.0", "172.31.255.255"],
  ...["192.0.0.0", "192.0.0.9", "192.0.0.192", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1"],
  ...["192.168.0.0", "192.168.255.255", "192.175.48.1", "198.18.0.0", "198.19.255.255", "198.51.100.1"],
  ...["203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16"],
  // Below, above and between what is global unicast in IPv6.
  ...["::", "::1", "::7f00:1", "::127.0.0.1", "::8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808"],
  ...["64:ff9b:1::1", "100::1", "100:0:0:1::1", "1fff:ffff::1", "4000::1", "5f00::1", "fc00::1"],
  ...["fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "::ffff:0:8.8.8.8"],
  ...[
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff::1",
  ],
  ...["2001:db8::1", "2001:db8:ffff::1", "2002:7f00:1::", "2002:808:808::1", "2620:4f:8000::1", "3fff::1"],
  ...["3fff:fff::1"],
  // IPv4 in other clothes.
  ...["::ffff:127.0.0.1", "::ffff:a00:1", "::FFFF:168.63.129.16", "0:0:0:0:0:ffff:c0a8:101"],
  // No addresses.
  ...["", "localhost", "1.1.1", "2130706433", "[::1]", "2606:4700::1111%eth0"],
];

const isPublic = [
  ...["1.0.0.0", "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"],
  ...["126.255.255.255", "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0"],
  ...["172.15.255.255", "172.32.0.0", "192.0.1.1", "192.0.3.1", "192.167.255.255", "192.169.0.0"],
  ...["198.17.255.255", "198.20.0.0", "223.255.255.255", "::ffff:1.1.1.1", "::ffff:808:808"],
  ...["2000::1", "2001:200::1", "2001:4860:4860::8888", "2001:db7::1", "2001:db9::1", "2003::1"],
  ...["2606:4700::1111", "2620:4f:7fff::1", "2620:4f:8001::1", "3ffe:ffff::1", "3fff:1000::1"],
];

test.each(notPublic)("%j is not public", (address) => {
  expect(isPublicAddress(address)).toBe(false);
});

test.each(isPublic)("%j is public", (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

test("a name is looked up only to addresses that pass, in both forms of the answer", async () => {
  const seen: string[] = [];
  const lookUp = (options: { readonly all: boolean }, check: (address: string) => void) =>
    new Promise((resolve) => {
      makeCheckedLookup(check)("localhost", options, (error, address) => resolve(error?.message ?? address));
    });
  expect(await lookUp({ all: false }, (address) => void seen.push(address))).toBe(seen[0]);
  expect(await lookUp({ all: true }, () => {})).toEqual(
    expect.arrayContaining([expect.objectContaining({ address: seen[0] })]),
  );
  const refuse = () => {
    throw new Error("refused");
  };
  expect(await lookUp({ all: false }, refuse)).toBe("refused");
});
