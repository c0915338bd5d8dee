/** Files as clients send them, one call each, for tests. */
import { createHash } from "node:crypto";
import { expect } from "vitest";
import type { TestService } from "./service.ts";

export type Headers = Readonly<Record<string, string>>;
export type Initiated = { readonly upload_url: string; readonly file_url: string };
export type Content = Uint8Array | string;

type Body = NonNullable<RequestInit["body"]>;

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

export const put = (url: string, body: Content, headers: Headers = {}): Promise<Response> =>
  fetch(url, { method: "PUT", body: body as Body, headers });

export const textOf = async (url: string, headers: Headers = {}): Promise<string> =>
  (await fetch(url, { headers })).text();

export const hashOfAnswer = async (response: Response): Promise<string> =>
  sha256(new Uint8Array(await response.arrayBuffer()));

export class FileClient {
  readonly #service: TestService;

  constructor(service: TestService) {
    this.#service = service;
  }

  async initiate(body: unknown = {}, headers: Headers = {}, kind = "initiate"): Promise<Initiated> {
    const path = `/rest/storage/upload/${kind}?storage_type=fal-cdn-v3`;
    const answer = await this.#service.call("POST", path, { body, headers });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    return answer.body as Initiated;
  }

  /** As an Authorization header. */
  async token(): Promise<string> {
    const path = "/rest/storage/auth/token?storage_type=fal-cdn-v3";
    const { body } = await this.#service.call("POST", path, { body: {} });
    return `Bearer ${(body as { token: string }).token}`;
  }

  /** Uploads as the Python client does, and gives the address. */
  async upload(content: Content, headers: Headers = {}): Promise<string> {
    const authorization = await this.token();
    const response = await fetch(`${this.#service.url}/files/upload`, {
      method: "POST",
      body: content as Body,
      headers: { authorization, "content-type": "text/plain", "x-fal-file-name": "a.txt", ...headers },
    });
    expect(response.status).toBe(200);
    return ((await response.json()) as { access_url: string }).access_url;
  }
}
