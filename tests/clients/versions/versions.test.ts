/**
 * Every published version of fal's clients, unmodified: uploads, submission, status, cancellation and errors reach this
 * server, and no request goes anywhere else.
 *
 * Installed when the test runs, and skipped with the reason where no registry can be reached. `npm test` takes the newest and
 * oldest version of each kind, `npm run test:long` (FAL_CLIENT_VERSIONS=all) takes all.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, type TestContext, test } from "vitest";
import { TestService } from "../../../packages/server/src/testing/service.ts";
import { startTlsFront, type TlsFront } from "../fal-hosts.ts";
import { type Installed, installJsClients, installPythonClients } from "./install-clients.ts";
import { endsOfKinds, type JsClient, jsClients, type PythonClient, pythonClients } from "./versions.ts";

const isEveryVersion = process.env.FAL_CLIENT_VERSIONS === "all";
const js = isEveryVersion ? jsClients : endsOfKinds(jsClients);
const python = isEveryVersion ? pythonClients : endsOfKinds(pythonClients);

const folder = mkdtempSync(join(tmpdir(), "fal-clients-"));
let service: TestService;

beforeAll(async () => {
  // No device: what is submitted waits in the queue until it is cancelled.
  service = await TestService.start({ TRUST_PROXY: "true", LTX_TRAINER_DEVICES: "" });
});
afterAll(async () => {
  await service?.end();
  rmSync(folder, { recursive: true, force: true });
});

type Answers = {
  readonly address: string;
  readonly uploaded: string;
  readonly requestId: string;
  readonly status: unknown;
  readonly cancelled: { readonly value?: unknown; readonly status?: number; readonly message?: string };
  readonly refused: { readonly value?: unknown; readonly status?: number; readonly body?: unknown };
  readonly strangers: readonly string[];
};

function runProgram(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Answers> {
  const options = { env: { PATH: process.env.PATH, ...env } };
  return new Promise((resolve, reject) => {
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error !== null) return reject(new Error(`${error.message}\n${stderr}`));
      resolve(JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as Answers);
    });
  });
}

const program = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const secret = () => service.authorization.replace("Key ", "");

/** The installed version, or a skip that says why there is none. */
function pathOr<Client>(context: TestContext, installed: Installed<Client>, client: Client): string {
  if ("missing" in installed) context.skip(installed.missing);
  return (installed as { pathOf: (client: Client) => string }).pathOf(client);
}

describe("JavaScript", () => {
  let installed: Installed<JsClient>;
  beforeAll(async () => {
    installed = await installJsClients(join(folder, "js"), js);
  });

  test.for(js.map((client) => [`${client.name} ${client.version}`, client] as const))(
    "%s",
    async ([, client], context) => {
      const packagePath = pathOr(context, installed, client);
      const given = { packagePath, server: service.url, key: secret(), by: client.by };
      const answers = await runProgram(
        process.execPath,
        [program("any-version.mjs"), JSON.stringify(given)],
        {},
      );
      expect(answers.strangers).toEqual([]);
      expect(answers.address.startsWith(`${service.url}/files/`)).toBe(true);
      expect(answers.uploaded).toBe("a file");
      expect(answers.status).toMatchObject({ status: "IN_QUEUE" });
      expect(answers.refused).toMatchObject({ status: 422 });
    },
  );
});

describe("Python", () => {
  let installed: Installed<PythonClient> & { readonly python: string };
  let front: TlsFront;
  beforeAll(async () => {
    front = await startTlsFront(service.url, service.home);
    installed = await installPythonClients(join(folder, "python"), python);
  });
  afterAll(() => front?.close());

  test.for(python.map((client) => [`fal_client ${client.version}`, client] as const))(
    "%s, as fal's own hosts",
    async ([, client], context) => {
      const path = pathOr(context, installed, client);
      const answers = await runProgram(installed.python, [program("any-version.py")], {
        FAL_KEY: secret(),
        PYTHONPATH: path,
        SSL_CERT_FILE: front.certificate,
        HTTPS_PROXY: front.proxy,
      });
      expect(answers.address).toMatch(/^https:\/\/v3\.fal\.media\/files\//);
      expect(answers.uploaded).toBe("a file");
      expect(answers.status).toBe("Queued");
      expect(answers.refused).toMatchObject({ status: 422 });
    },
  );
});
