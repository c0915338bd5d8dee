/** The system's words become the folder that is meant and the option that leads to another one. */
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppError } from "@ltx-trainer/contract";
import { expect, test } from "vitest";
import { diskFull } from "../files/disk.ts";
import { temporaryFolder } from "../media/testing/media.ts";
import { type Circumstances, toFailure, withoutFolders } from "./failures.ts";

const system = (code: string, path?: string) =>
  Object.assign(new Error(`${code}: something, open`), { code, ...(path !== undefined && { path }) });

function around(
  changes: Pick<Partial<Circumstances>, "written"> = {},
): Circumstances & { out: string; home: string } {
  const root = temporaryFolder();
  const [out, home] = [join(root, "lora"), join(root, "home")];
  for (const folder of [out, home]) mkdirSync(folder);
  return { command: "train", signal: new AbortController().signal, written: {}, out, home, ...changes };
}

test("a full disk is named by the folder that was written to", () => {
  const here = around({ written: { checkpointStep: 4 } });
  expect(toFailure(system("ENOSPC", join(here.out, "plan.json")), here)).toMatchObject({
    code: "disk_full",
    message: `${here.out}: no space left on the disk`,
    remedy: expect.stringMatching(/run the same command with --resume; or .* with --out\.$/),
  });
  expect(toFailure(system("EDQUOT", join(here.home, "cache", "a")), here)).toMatchObject({
    facts: { folder: join(here.home, "cache") },
    remedy: expect.stringContaining("--home or LTX_TRAINER_HOME"),
  });
  expect(toFailure(diskFull(join(tmpdir(), "x")), here)).toMatchObject({
    message: `${join(tmpdir(), "x")}: no space left on the disk`,
    remedy: expect.stringMatching(/with --resume; or .* with TMPDIR\.$/),
  });
});

test("a write without a name is put down to one of the job's folders", () => {
  const here = around();
  const { facts } = toFailure(new Error("cannot write", { cause: system("ENOSPC") }), here);
  expect([here.out, here.home, tmpdir()]).toContain(facts.folder);
});

test("a missing permission names the path and the option", () => {
  const here = around();
  const path = join(here.home, "cache", "latents");
  expect(toFailure(system("EACCES", path), here)).toMatchObject({
    code: "file_unreadable",
    message: `${path}: permission denied`,
    remedy: expect.stringContaining("--home"),
  });
  expect(toFailure(system("EROFS", join(here.out, "a")), here)).toMatchObject({
    message: expect.stringContaining("the file system is read-only"),
    remedy: expect.stringContaining("--out"),
  });
});

test("for strangers, paths lose their folders and addresses stay", () => {
  expect(withoutFolders("/srv/models/x/vae: no weights in '/srv/models/x/vae/a.json'")).toBe(
    "vae: no weights in 'a.json'",
  );
  const address = "https://example.com/a/b.png: got status 404, 8 s/step";
  expect(withoutFolders(address)).toBe(address);
});

test("what explains itself is passed on, anything else is ours", () => {
  const known = new AppError({ code: "not_a_zip", message: "m" });
  expect(toFailure(known, around())).toBe(known);
  expect(toFailure(new Error("CUDA error: out of memory"), around()).code).toBe("out_of_memory");
  expect(toFailure(undefined, around()).code).toBe("internal");
});

test("what the system refuses below the job's folders is no fault of the program", () => {
  const here = around();
  const samples = join(here.out, "samples");
  expect(toFailure(system("EEXIST", samples), here)).toMatchObject({
    code: "file_unreadable",
    message: `${samples}: there is a file where a folder is needed`,
    remedy: "Move that file away, then run the same command again; or name another folder with --out.",
  });
  expect(toFailure(system("ENOENT", join(here.home, "cache", "a")), here)).toMatchObject({
    message: expect.stringMatching(/cache\/a: it was removed while the job was running$/),
    remedy: expect.stringContaining("--home"),
  });
  expect(toFailure(system("ENOENT", "/usr/lib/ours.js"), here).code).toBe("internal");
  const unnamed = Object.assign(new Error("EFBIG: file too large, write"), {
    code: "EFBIG",
    syscall: "write",
  });
  expect(toFailure(unnamed, here)).toMatchObject({
    message: `${here.out}: larger than files may become here`,
    remedy: expect.stringContaining("`ulimit -f unlimited`"),
  });
});

test("too little memory is told in every library's words", () => {
  const mapped = new Error("libtorch_cpu.so: failed to map segment from shared object");
  const errors = [
    new Error("torch: could not load the addon a.node", { cause: mapped }),
    new Error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 5 bytes"),
    new Error("openMapping: a.safetensors: cannot map the file: Cannot allocate memory"),
    new Error("std::bad_alloc"),
  ];
  for (const error of errors) expect(toFailure(error, around()).code, error.message).toBe("out_of_memory");
});
