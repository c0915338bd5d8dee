import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { missingEntries } from "../lock.mjs";
import { addonIsCurrent, cmakeSettings, compilersAtOnce, recordBuild } from "./addon.mjs";
import { installArchive } from "./archive.mjs";
import { installDependencies, missingDependencies } from "./dependencies.mjs";
import { CommandError, lineSplitter, run } from "./run.mjs";
import { bar } from "./steps.mjs";
import { missingPackages, parseAptStatus } from "./system-packages.mjs";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "setup-"));
});
afterEach(() => rmSync(root, { recursive: true }));

/**
 * @param {string} path
 * @param {string} text
 */
function put(path, text) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

/** @returns {import("./inspect-libtorch.mjs").Libtorch} */
const libtorch = () => ({
  kind: "system",
  root,
  includeDirs: ["/usr/include", "/usr/include/torch/csrc/api/include"],
  libDir: join(root, "lib"),
  version: "1.13.0",
  cuda: false,
  cudaInclude: null,
  blas: "openblas",
  blasFile: null,
  cxx11Abi: true,
  cxxStandard: 17,
  missing: [],
});

describe("system packages", () => {
  /** @param {string[]} programs */
  const pathWith = (...programs) => {
    for (const name of programs) {
      put(`bin/${name}`, "");
      chmodSync(join(root, "bin", name), 0o755);
    }
    return { PATH: join(root, "bin") };
  };

  test("a bare machine lacks everything", () => {
    expect(missingPackages(null, pathWith())).toEqual({
      tools: ["cmake", "make", "g++", "ffmpeg"],
      libraries: ["libtorch-dev", "libopenblas0-pthread"],
    });
  });

  test("a complete machine lacks nothing; ffmpeg without ffprobe does not count", () => {
    const env = pathWith("cmake", "make", "g++", "ffmpeg");
    expect(missingPackages(libtorch(), env).tools).toEqual(["ffmpeg"]);
    pathWith("ffprobe");
    expect(missingPackages(libtorch(), env)).toEqual({ tools: [], libraries: [] });
  });

  test("programs named in the environment need no package", () => {
    const env = { ...pathWith("cmake", "make"), CXX: "/opt/g++", FFMPEG_PATH: "/opt/ffmpeg" };
    expect(missingPackages(libtorch(), env).tools).toEqual([]);
  });

  test("apt's status lines: downloads are the first half, unpacking the second", () => {
    expect(parseAptStatus("dlstatus:1:50.0:Retrieving file 1 of 4")).toEqual({
      text: "downloading packages",
      fraction: 0.25,
    });
    expect(parseAptStatus("pmstatus:cmake:50.0:Unpacking cmake (amd64)")).toEqual({
      text: "Unpacking cmake (amd64)",
      fraction: 0.75,
    });
    expect(parseAptStatus("Reading package lists...")).toBeUndefined();
  });
});

describe("npm packages", () => {
  /** @param {Record<string, object>} packages */
  const lock = (packages) => JSON.stringify({ packages });

  test("missing, outdated and deleted ones are found; other platforms' are not wanted", () => {
    const wanted = {
      "node_modules/a": { version: "1.0.0" },
      "node_modules/b": { version: "2.0.0" },
      "node_modules/c": { version: "1.0.0" },
    };
    put(
      "package-lock.json",
      lock({ "": {}, ...wanted, "node_modules/a-win32": { version: "1.0.0", optional: true } }),
    );
    expect(missingDependencies(root)).toEqual(["a", "b", "c"]);
    put("node_modules/.package-lock.json", lock({ ...wanted, "node_modules/b": { version: "1.9.0" } }));
    put("node_modules/a/package.json", "{}");
    put("node_modules/b/package.json", "{}");
    expect(missingDependencies(root)).toEqual(["b", "c"]);
  });

  test("an install that says it went well but left a package out is not believed", async () => {
    put("package-lock.json", lock({ "node_modules/a": { version: "1.0.0" } }));
    put("npm", "#!/bin/sh\necho 'Exit handler never called!'\nmkdir -p node_modules/a\n");
    chmodSync(join(root, "npm"), 0o755);
    const install = installDependencies(root, { npm: join(root, "npm") });
    await expect(install).rejects.toThrow(
      /1 packages are missing, such as a\.\nExit handler never called!\nIs the/,
    );
  });

  test("the lock file gains the platforms a mirror does not serve, with what their names say", () => {
    const missing = missingEntries({
      packages: {
        "node_modules/tool": {
          dev: true,
          optionalDependencies: {
            "@tool/darwin-arm64": "1.0.0",
            "@tool/linux-x64-musl": "1.0.0",
            loose: "^1.0.0",
          },
        },
        "node_modules/@tool/linux-x64-musl": {},
      },
    });
    expect(missing).toEqual({
      "node_modules/@tool/darwin-arm64": {
        version: "1.0.0",
        cpu: ["arm64"],
        os: ["darwin"],
        dev: true,
        optional: true,
      },
    });
  });
});

describe("the addon", () => {
  test("CMake is told what was found", () => {
    const settings = cmakeSettings(
      { ...libtorch(), libDir: "/opt/lib", cuda: true, cudaInclude: "/opt/cuda" },
      "/headers",
    );
    expect(settings).toEqual([
      "-DCMAKE_BUILD_TYPE=Release",
      "-DLIBTORCH_INCLUDE=/usr/include;/usr/include/torch/csrc/api/include",
      "-DLIBTORCH_LIB=/opt/lib",
      "-DLIBTORCH_CXX11_ABI=1",
      "-DLIBTORCH_CXX_STANDARD=17",
      "-DNODE_API_INCLUDE=/headers",
      "-DCUDA_INCLUDE=/opt/cuda",
    ]);
  });

  test("as many files are compiled at once as there are cores, and as fit into the memory of the container", () => {
    const gb = 1e9;
    const cores = 64;
    expect(compilersAtOnce({ cores, total: 256 * gb, constrained: 0 })).toBe(64);
    expect(compilersAtOnce({ cores, total: 256 * gb, constrained: 18446744073709552000 })).toBe(64);
    expect(compilersAtOnce({ cores, total: 256 * gb, constrained: 4 * gb })).toBe(2);
    expect(compilersAtOnce({ cores, total: 1 * gb, constrained: 0 })).toBe(1);
  });

  test("is current until its sources or its libtorch change", () => {
    put("packages/torch/native/addon.cc", "one");
    put("packages/torch/build/ltx_torch.node", "");
    put("lib/libtorch_cpu.so", "library");
    expect(addonIsCurrent(root, libtorch())).toBe(false);
    recordBuild(root, libtorch());
    expect(addonIsCurrent(root, libtorch())).toBe(true);
    put("packages/torch/native/addon.cc", "two");
    expect(addonIsCurrent(root, libtorch())).toBe(false);
    recordBuild(root, libtorch());
    put("lib/libtorch_cpu.so", "another library");
    expect(addonIsCurrent(root, libtorch())).toBe(false);
    recordBuild(root, libtorch());
    rmSync(join(root, "packages/torch/build/ltx_torch.node"));
    expect(addonIsCurrent(root, libtorch())).toBe(false);
  });
});

test("the archive is unpacked into its folder, and a second call does nothing", async () => {
  put("made/libtorch/lib/libtorch.so", "library");
  await run("cmake", ["-E", "tar", "cf", join(root, "a.zip"), "--format=zip", "libtorch"], {
    cwd: join(root, "made"),
  });
  const zip = readFileSync(join(root, "a.zip"));
  let requests = 0;
  const server = createServer((_request, response) => {
    requests++;
    response.end(zip);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  const source = {
    url: `http://127.0.0.1:${address.port}/a.zip`,
    sha256: createHash("sha256").update(zip).digest("hex"),
  };
  const folder = join(root, "kept", "2.10.0+cpu");
  try {
    await installArchive(() => {}, source, folder);
    await installArchive(() => {}, source, folder);
  } finally {
    server.close();
  }
  expect(readFileSync(join(folder, "lib/libtorch.so"), "utf8")).toBe("library");
  expect(requests).toBe(1);
});

describe("commands", () => {
  test("lines come whole, however the text was cut, and a carriage return ends one", () => {
    /** @type {string[]} */
    const lines = [];
    const take = lineSplitter((line) => lines.push(line));
    for (const piece of ["fir", "st\nsec", "ond\r", "\nrest"]) take(piece);
    expect(lines).toEqual(["first", "second"]);
  });

  test("a failure shows the command, its end and what it said", async () => {
    const failing = run("sh", ["-c", "echo trouble; exit 3"]);
    await expect(failing).rejects.toThrow(CommandError);
    await expect(failing).rejects.toThrow("sh -c echo trouble; exit 3: exit code 3\ntrouble");
    await expect(run("no-such-program", [])).rejects.toThrow(/no-such-program.*ENOENT/);
  });

  test("the bar is full at one, empty at nothing, and never longer", () => {
    expect(bar(0)).toBe("[....................]   0 %");
    expect(bar(0.5)).toBe("[##########..........]  50 %");
    expect(bar(7)).toBe("[####################] 100 %");
  });
});
