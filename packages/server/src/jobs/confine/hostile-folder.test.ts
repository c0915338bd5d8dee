/**
 * A request's folder after a compromised trainer: whatever it left there, the server, which may run as root, writes, deletes
 * and publishes nothing outside of that folder.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TrainOutputs } from "@ltx-trainer/contract";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { trainerEndpoint } from "../../testing/trainer-endpoint.ts";
import { Confinement } from "./confinement.ts";
import { RequestFolder } from "./request-folder.ts";

const isRoot = process.getuid?.() === 0;
const account = { uid: 61_980, gid: 61_980 };

let home: string;
let folder: RequestFolder;
/** Stands for the rest of the machine. */
let outside: string;
let secret: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "ltx-hostile-"));
  onTestFinished(() => rmSync(home, { recursive: true, force: true }));
  folder = new RequestFolder(home, "0190c000-0000-7000-8000-00000000abcd");
  outside = join(home, "outside");
  secret = join(outside, "secret");
  for (const path of [folder.path, join(outside, "checkpoints"), join(outside, ".ltx-trainer")]) {
    mkdirSync(path, { recursive: true });
  }
  writeFileSync(secret, "secret", { mode: 0o600 });
});

function outputsAt(path: string): TrainOutputs {
  return {
    ...{ lora_file: path, lora_file_comfyui: path, config_file: path },
    ...{ video: null, contact_sheet: null, out: folder.output, steps: 1, seconds: 1, final_loss: null },
  };
}

test("an output folder that is a link has no outputs", async () => {
  symlinkSync(outside, folder.output);
  const outputs = outputsAt(join(folder.output, "secret"));
  await expect(folder.checkOutputs(outputs, trainerEndpoint)).rejects.toMatchObject({ code: "trainer_died" });
  expect(await folder.holds(outputs, trainerEndpoint)).toBe(false);
});

test("an output that became a link after it was recorded does not count as an output", async () => {
  mkdirSync(folder.output);
  const path = join(folder.output, "lora.safetensors");
  writeFileSync(path, "");
  expect(await folder.holds(outputsAt(path), trainerEndpoint)).toBe(true);
  rmSync(path);
  symlinkSync(secret, path);
  expect(await folder.holds(outputsAt(path), trainerEndpoint)).toBe(false);
});

test("intermediates behind a link stay", async () => {
  symlinkSync(outside, folder.output);
  await folder.removeIntermediates();
  expect(existsSync(join(outside, "checkpoints"))).toBe(true);
  expect(existsSync(join(outside, ".ltx-trainer"))).toBe(true);
});

test("trained outputs are not recorded through a link", async () => {
  symlinkSync(secret, join(folder.path, "trained.json.tmp"));
  symlinkSync(secret, join(folder.path, "trained.json"));
  mkdirSync(folder.output);
  const path = join(folder.output, "lora.safetensors");
  writeFileSync(path, "");
  await folder.writeTrained(outputsAt(path));
  expect(readFileSync(secret, "utf8")).toBe("secret");
  expect(await folder.readTrained(trainerEndpoint)).toEqual(outputsAt(path));
});

test("a record that is a pipe counts as none and does not block", async () => {
  spawnSync("mkfifo", [join(folder.path, "trained.json")]);
  expect(await folder.readTrained(trainerEndpoint)).toBeUndefined();
});

test.runIf(isRoot)("uploaded files are given to the trainer under names of their own", async () => {
  const confinement = new Confinement(account);
  const sources = ["a", "b", "c"].map((name) => join(outside, name));
  for (const path of sources) writeFileSync(path, path);
  const given = await Promise.all(sources.map((path) => confinement.readable(path, folder.inputs)));
  expect(given.map((path) => readFileSync(path, "utf8"))).toEqual(sources);
  expect(sources.map((path) => readFileSync(path, "utf8"))).toEqual(sources);
});

test.runIf(isRoot)(
  "links that a trainer left are not followed when its folder is given to the next",
  async () => {
    const confinement = new Confinement(account);
    await confinement.grantFolder(folder.path);
    symlinkSync(outside, folder.inputs);
    mkdirSync(join(folder.output, "deep"), { recursive: true });
    symlinkSync(secret, join(folder.output, "deep", "file"));
    symlinkSync(outside, join(folder.output, "deep", "folder"));
    await confinement.reclaimFolder(folder);
    const given = await confinement.readable(secret, folder.inputs);
    await confinement.grantFolder(folder.path);
    expect(lstatSync(folder.inputs).isDirectory()).toBe(true);
    expect(readFileSync(given, "utf8")).toBe("secret");
    expect([outside, secret].map((path) => statSync(path).uid)).toEqual([0, 0]);
    expect(statSync(join(folder.output, "deep")).uid).toBe(account.uid);
  },
);

test.runIf(isRoot)(
  "outputs that were taken back cannot be exchanged by a process that is left over",
  async () => {
    const confinement = new Confinement(account);
    mkdirSync(folder.output);
    writeFileSync(join(folder.output, "lora.safetensors"), "");
    chmodSync(folder.output, 0o777);
    await confinement.grantFolder(folder.path);
    await confinement.reclaimFolder(folder);
    const { uid, mode } = statSync(folder.output);
    expect([uid, mode & 0o777]).toEqual([0, 0o700]);
  },
);
