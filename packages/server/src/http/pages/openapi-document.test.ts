/**
 * Our OpenAPI document beside the hosted service's: `fixtures/hosted-openapi.json` holds that one's structure, without its
 * texts and pictures.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { trainerEndpoint } from "../../testing/trainer-endpoint.ts";
import { openApiDocument } from "./openapi-document.ts";

type Json = Record<string, unknown>;
type Document = {
  readonly info: Json;
  readonly components: { readonly schemas: Readonly<Record<string, Json>>; readonly securitySchemes: Json };
  readonly paths: Readonly<Record<string, Json>>;
  readonly servers: unknown;
  readonly security: unknown;
};

const fixture = fileURLToPath(new URL("../../../fixtures/hosted-openapi.json", import.meta.url));
const hosted = JSON.parse(readFileSync(fixture, "utf8")) as Document;
const full = openApiDocument(trainerEndpoint, {
  queueUrl: "https://queue.fal.run",
  pageUrl: "https://train.example.com/",
});
const ours = withoutTexts(full) as Document;

/** Descriptions are our own words; whether there is one at all is another test's question. */
function withoutTexts(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withoutTexts);
  if (typeof node !== "object" || node === null) return node;
  const kept = Object.entries(node).filter(
    ([key, value]) => key !== "description" || typeof value !== "string",
  );
  return Object.fromEntries(kept.map(([key, value]) => [key, withoutTexts(value)]));
}

test("its schemas are the hosted ones: names, order, types, limits, defaults, examples", () => {
  expect(Object.keys(ours.components.schemas).sort()).toEqual(Object.keys(hosted.components.schemas).sort());
  expect(ours.components.schemas.File).toEqual(hosted.components.schemas.File);
  const output = structuredClone(ours.components.schemas.LtxVideoTrainerOutput) as {
    properties: Record<string, Json>;
    "x-fal-order-properties": string[];
  };
  // Additions of ours: at the end, and optional, as the hosted service gives none.
  const additions = ["lora_file_comfyui", "video_error"];
  expect(output["x-fal-order-properties"].splice(-additions.length)).toEqual(additions);
  for (const name of additions) {
    expect(output.properties, name).toHaveProperty(name);
    delete output.properties[name];
  }
  expect(output).toEqual(hosted.components.schemas.LtxVideoTrainerOutput);
  // Ours refuses what is empty at once; the hosted one found out when it looked.
  const { Validation, LtxVideoTrainerInput } = structuredClone(ours.components.schemas) as Record<
    string,
    { properties: Record<string, Json> }
  >;
  for (const field of [Validation?.properties.prompt, LtxVideoTrainerInput?.properties.training_data_url]) {
    expect(field?.minLength).toBe(1);
    delete field?.minLength;
  }
  expect(Validation).toEqual(hosted.components.schemas.Validation);
  expect(LtxVideoTrainerInput).toEqual(hosted.components.schemas.LtxVideoTrainerInput);
});

test("its addresses, servers and security are the hosted ones", () => {
  expect(ours.info).toMatchObject({ title: hosted.info.title, version: hosted.info.version });
  expect(ours.info["x-fal-metadata"]).toMatchObject(hosted.info["x-fal-metadata"] as Json);
  expect(ours.components.securitySchemes).toEqual(hosted.components.securitySchemes);
  expect([ours.servers, ours.security]).toEqual([hosted.servers, hosted.security]);
  expect(Object.keys(ours.paths)).toEqual(Object.keys(hosted.paths));
  expect(ours.paths["/fal-ai/ltx-video-trainer"]).toEqual(hosted.paths["/fal-ai/ltx-video-trainer"]);
  const one = "/fal-ai/ltx-video-trainer/requests/{request_id}";
  expect(ours.paths[one]).toEqual(hosted.paths[one]);
  expect(ours.paths[`${one}/status`]).toMatchObject(hosted.paths[`${one}/status`] as Json);
});

test("every field of the input has a description", () => {
  const { LtxVideoTrainerInput } = (full as unknown as Document).components.schemas;
  for (const [name, field] of Object.entries(LtxVideoTrainerInput?.properties as Record<string, Json>)) {
    expect(field.description, name).toMatch(/\w/);
  }
});

test("every reference leads somewhere", () => {
  const references = JSON.stringify(full).match(/#\/components\/schemas\/\w+/g) ?? [];
  expect(references.length).toBeGreaterThan(5);
  for (const reference of references)
    expect(ours.components.schemas).toHaveProperty(reference.split("/").at(-1) ?? "");
});
