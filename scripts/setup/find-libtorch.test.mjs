import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findLibtorch } from "./find-libtorch.mjs";
import { findCudaInclude, readBlas } from "./inspect-libtorch.mjs";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "libtorch-"));
});
afterEach(() => rmSync(root, { recursive: true }));

/**
 * @param {string} path
 * @param {string} [text]
 */
function put(path, text = "") {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

/**
 * A folder with the files by which a libtorch is known.
 *
 * @param {string} name
 * @param {{ version?: string, lib?: string, symbols?: string, config?: string }} [made]
 */
function putLibtorch(name, { version = "2.10.0+cpu", lib = "lib", symbols = "", config = "" } = {}) {
  put(`${name}/${lib}/libtorch_cpu.so`);
  put(`${name}/${lib}/libc10.so`, symbols);
  put(`${name}/include/ATen/ATen.h`);
  put(`${name}/build-version`, `${version}\n`);
  put(`${name}/share/cmake/Torch/TorchConfig.cmake`, config);
  return join(root, name);
}

/** A `python3` that answers as one with PyTorch in `folder` would; without a folder, as one without it.
 * @param {string} [folder]
 */
function putPython(folder = "") {
  put("python3", `#!/bin/sh\necho "${folder}"\n`);
  chmodSync(join(root, "python3"), 0o755);
  return join(root, "python3");
}

/** @param {import("./find-libtorch.mjs").Search} search */
const outcome = ({ found }) => found && { kind: found.kind, root: found.root };

describe("the order", () => {
  /** Every place has one; a test takes them away from the front. */
  const everywhere = () => ({
    env: { LIBTORCH: putLibtorch("named") },
    python: putPython(putLibtorch("site-packages/torch")),
    systemRoots: [putLibtorch("usr", { lib: "lib/x86_64-linux-gnu" })],
    archive: putLibtorch("archive"),
  });

  test("LIBTORCH, PyTorch, the system package, the archive", () => {
    const places = everywhere();
    expect(outcome(findLibtorch(places))).toEqual({ kind: "environment", root: join(root, "named") });
    const noEnv = { ...places, env: {} };
    expect(outcome(findLibtorch(noEnv))).toEqual({
      kind: "pytorch",
      root: join(root, "site-packages/torch"),
    });
    const noPython = { ...noEnv, python: putPython() };
    expect(outcome(findLibtorch(noPython))).toEqual({ kind: "system", root: join(root, "usr") });
    const noSystem = { ...noPython, systemRoots: [] };
    expect(outcome(findLibtorch(noSystem))).toEqual({ kind: "archive", root: join(root, "archive") });
  });

  test("nothing anywhere: says each place and what was missing there", () => {
    const search = findLibtorch({
      env: {},
      python: join(root, "none"),
      systemRoots: [root],
      archive: join(root, "none"),
    });
    expect(search.found).toBeNull();
    expect(search.tried.map(({ outcome }) => outcome)).toEqual([
      "not set",
      "not installed",
      `no libtorch_cpu.so under ${join(root, "lib")}`,
      `no libtorch_cpu.so under ${join(root, "none/lib")}`,
    ]);
  });

  test("a wrong LIBTORCH is not replaced by another place in silence", () => {
    const places = { ...everywhere(), env: { LIBTORCH: join(root, "wrong") } };
    const search = findLibtorch(places);
    expect(search.found).toBeNull();
    expect(search.tried).toEqual([
      {
        place: `LIBTORCH=${join(root, "wrong")}`,
        outcome: `no libtorch_cpu.so under ${join(root, "wrong/lib")}`,
      },
    ]);
  });

  test("LIBTORCH may name a virtual environment that has PyTorch", () => {
    putLibtorch("venv/lib/python3.11/site-packages/torch");
    const search = findLibtorch({ env: { LIBTORCH: join(root, "venv") } });
    expect(outcome(search)).toEqual({
      kind: "environment",
      root: join(root, "venv/lib/python3.11/site-packages/torch"),
    });
  });

  test("a library without its headers is refused with that reason", () => {
    put("bare/lib/libtorch_cpu.so");
    expect(findLibtorch({ env: { LIBTORCH: join(root, "bare") } }).tried[0]?.outcome).toMatch(
      /include\/ATen is missing/,
    );
  });
});

describe("what it is", () => {
  /** @param {string} folder */
  const look = (folder) => findLibtorch({ env: { LIBTORCH: folder } }).found;

  test("version from the archive, from PyTorch, or from the headers of a system package", () => {
    expect(look(putLibtorch("archive"))?.version).toBe("2.10.0+cpu");
    const pytorch = putLibtorch("torch", { version: "" });
    put("torch/version.py", "__all__ = ['__version__']\n__version__ = '2.15.0+cu132'\n");
    expect(look(pytorch)?.version).toBe("2.15.0+cu132");
    const system = putLibtorch("usr", { version: "" });
    put("usr/include/torch/csrc/api/include/torch/version.h", '#define TORCH_VERSION \\\n  "1.13.0"\n');
    expect(look(system)?.version).toBe("1.13.0");
  });

  test("the C++ ABI from the CMake file, else from a symbol", () => {
    const symbol = "_ZN3c105ErrorC1ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE";
    expect(look(putLibtorch("a", { config: "-D_GLIBCXX_USE_CXX11_ABI=0", symbols: symbol }))?.cxx11Abi).toBe(
      false,
    );
    expect(look(putLibtorch("b", { symbols: `\0${symbol}\0` }))?.cxx11Abi).toBe(true);
    expect(look(putLibtorch("c", { symbols: "_ZN3c105ErrorC1ENS_14SourceLocationESs" }))?.cxx11Abi).toBe(
      false,
    );
  });

  test("CUDA when its library is there, with the headers of the packages beside PyTorch", () => {
    const torch = putLibtorch("site-packages/torch");
    expect(look(torch)?.cuda).toBe(false);
    put("site-packages/torch/lib/libtorch_cuda.so");
    put("site-packages/nvidia/cu13/include/cuda_runtime_api.h");
    put("site-packages/nvidia/cu13/include/crt/host_defines.h");
    expect(look(torch)).toMatchObject({
      cuda: true,
      cudaInclude: join(root, "site-packages/nvidia/cu13/include"),
    });
  });

  test("CUDA's headers from the toolkit where those beside PyTorch are incomplete", () => {
    const torch = putLibtorch("site-packages/torch");
    put("site-packages/nvidia/cu13/include/cuda_runtime_api.h");
    expect(findCudaInclude(torch, [])).toBe(null);
    put("cuda/include/cuda_runtime_api.h");
    put("cuda/include/crt/host_defines.h");
    expect(findCudaInclude(torch, [join(root, "nowhere"), join(root, "cuda")])).toBe(
      join(root, "cuda/include"),
    );
  });

  test("C++20 where its own CMake file asks for it", () => {
    expect(look(putLibtorch("old", { config: "CXX_STANDARD 14" }))?.cxxStandard).toBe(17);
    expect(look(putLibtorch("new", { config: '"-std=c++20"' }))?.cxxStandard).toBe(20);
  });
});

describe("BLAS", () => {
  const debian =
    "\tlibblas.so.3 => /lib/x86_64-linux-gnu/libblas.so.3 (0x00007f)\n\tlibm.so.6 => /lib/libm.so.6 (0x0)\n";

  test("Debian's libblas.so.3 is what its links lead to", () => {
    const openblas = "/usr/lib/x86_64-linux-gnu/openblas-pthread/libblas.so.3";
    expect(readBlas(debian, () => openblas)).toEqual({ blas: "openblas", blasFile: openblas });
    const reference = "/usr/lib/x86_64-linux-gnu/blas/libblas.so.3.11.0";
    expect(readBlas(debian, () => reference)).toEqual({ blas: "reference", blasFile: reference });
  });

  test("a library that brings its own is bundled; one that the loader cannot read is unknown", () => {
    expect(readBlas("\tlibc10.so => /opt/torch/lib/libc10.so (0x0)\n")).toEqual({
      blas: "bundled",
      blasFile: null,
    });
    expect(readBlas("")).toEqual({ blas: "unknown", blasFile: null });
  });

  test("a BLAS linked by its own name", () => {
    const linked = "\tlibopenblas.so.0 => /usr/lib/libopenblas.so.0 (0x0)\n";
    expect(readBlas(linked, (path) => path)).toEqual({
      blas: "openblas",
      blasFile: "/usr/lib/libopenblas.so.0",
    });
  });
});
