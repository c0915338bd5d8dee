/**
 * The OpenAPI document of an endpoint, made from its schemas, in the hosted service's form.
 *
 * zod's own target `openapi-3.0` is not used: it writes `nullable` and wraps references in `allOf`, where the hosted document
 * has `anyOf` with null and a description beside `$ref`. `schemaOf` turns zod's JSON Schema into that form and adds titles
 * and the order of fields.
 *
 * Source: fal.ai/api/openapi/queue/openapi.json, `x-fal-*` extensions included. Different on purpose: the hosted document
 * describes answers of `logs` and of cancelling that the hosted queue does not give; this one describes those it gives.
 */
import type { SchemaNode } from "@ltx-trainer/contract";
import { z } from "zod";
import type { Endpoint } from "../../endpoints/endpoint.ts";

type Json = Record<string, unknown>;

export type DocumentOptions = {
  /** Address of the queue: `https://queue.fal.run`. */
  readonly queueUrl: string;
  /** Address of its page for people. */
  readonly pageUrl: string;
};

/** The document as JSON. */
export function openApiDocument(endpoint: Endpoint, { queueUrl, pageUrl }: DocumentOptions): Json {
  const { name } = endpoint;
  const stem = pascalCase(name.split("/")[1] ?? name);
  const input = `${stem}Input`;
  const output = `${stem}Output`;
  return {
    openapi: "3.0.4",
    info: {
      title: `Queue OpenAPI for ${name}`,
      version: "1.0.0",
      description: `The OpenAPI schema for the ${name} queue.`,
      "x-fal-metadata": {
        endpointId: name,
        category: endpoint.category,
        playgroundUrl: pageUrl,
        documentationUrl: pageUrl,
        about: endpoint.about,
      },
    },
    components: {
      securitySchemes: {
        apiKeyAuth: { type: "apiKey", in: "header", name: "Authorization", description: "Key <id>:<secret>" },
      },
      schemas: {
        QueueStatus: queueStatus,
        ...componentsOf(endpoint.input, { name: input, title: "Input" }),
        ...componentsOf(endpoint.output, { name: output, title: "Output" }),
      },
    },
    paths: pathsOf(name, { input, output }),
    servers: [{ url: queueUrl }],
    security: [{ apiKeyAuth: [] }],
  };
}

function pascalCase(text: string): string {
  return text
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join("");
}

/** A schema and what it refers to, as entries of `components.schemas`. */
function componentsOf(schema: z.ZodType, { name, title }: { name: string; title: string }): Json {
  const root: SchemaNode = z.toJSONSchema(schema, { io: "output" });
  const referred = Object.entries(root.$defs ?? {}).map(([id, node]) => [
    id,
    schemaOf(id, node as SchemaNode),
  ]);
  return { ...Object.fromEntries(referred), [name]: schemaOf(title, root) };
}

/** Keywords that OpenAPI 3.0 has under the same name and meaning. */
const shared = ["description", "minimum", "maximum", "minLength", "maxItems", "default", "examples"] as const;

function schemaOf(title: string | undefined, node: SchemaNode): Json {
  if (node.$ref !== undefined) {
    const reference = { $ref: node.$ref.replace("#/$defs/", "#/components/schemas/") };
    return node.description === undefined ? reference : { description: node.description, ...reference };
  }
  const known = shared.filter(
    (keyword) => node[keyword] !== undefined && !isLimitOfSafeIntegers(node[keyword]),
  );
  return {
    ...(title === undefined ? {} : { title }),
    ...Object.fromEntries(known.map((keyword) => [keyword, node[keyword]])),
    ...typeOf(node),
    ...(node.anyOf === undefined
      ? {}
      : { anyOf: node.anyOf.map((member) => schemaOf(undefined, member as SchemaNode)) }),
    ...(typeof node.items === "object" && !Array.isArray(node.items)
      ? { items: schemaOf(undefined, node.items as SchemaNode) }
      : {}),
    ...propertiesOf(node),
  };
}

/** zod writes these for an integer without a limit. */
function isLimitOfSafeIntegers(value: unknown): boolean {
  return typeof value === "number" && Math.abs(value) === Number.MAX_SAFE_INTEGER;
}

/** zod writes `number` for a choice of integers, and a list of types for a type or null. */
function typeOf({ type, enum: values }: SchemaNode): Json {
  if (values?.every(Number.isInteger)) return { type: "integer", enum: values };
  const types: readonly unknown[] = [type].flat();
  return {
    ...(types.length > 1
      ? { anyOf: types.map((one) => ({ type: one })) }
      : type === undefined
        ? {}
        : { type }),
    ...(values === undefined ? {} : { enum: values }),
  };
}

function propertiesOf({ properties, required = [] }: SchemaNode): Json {
  if (properties === undefined) return {};
  const entries = Object.entries(properties) as [string, SchemaNode][];
  return {
    "x-fal-order-properties": entries.map(([name]) => name),
    // The schema is of the parsed input, where fields with a default are required. Clients may omit them.
    required: required.filter((name) => (properties[name] as SchemaNode).default === undefined),
    properties: Object.fromEntries(entries.map(([name, node]) => [name, propertyOf(name, node)])),
  };
}

function propertyOf(name: string, node: SchemaNode): Json {
  const isReference = node.$ref !== undefined || node.anyOf?.some((member) => (member as SchemaNode).$ref);
  return schemaOf(isReference ? undefined : titleOf(name), node);
}

/** `number_of_steps` to `Number Of Steps`. */
function titleOf(name: string): string {
  return name
    .split("_")
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join(" ");
}

const text = (description: string) => ({ type: "string", description });

const queueStatus = {
  type: "object",
  properties: {
    status: { type: "string", enum: ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"] },
    request_id: text("The request id."),
    response_url: text("Where the result will be."),
    status_url: text("Where the status is."),
    cancel_url: text("Where the request can be cancelled."),
    logs: {
      type: "array",
      nullable: true,
      description: "What the training said; null unless asked for.",
      items: {
        type: "object",
        properties: {
          message: { type: "string" },
          level: { type: "string", enum: ["STDERR", "STDOUT", "ERROR", "INFO", "WARN", "DEBUG"] },
          source: { type: "string" },
          timestamp: { type: "string", format: "date-time" },
        },
      },
    },
    metrics: {
      type: "object",
      description: "Once completed, inference_time: seconds of work.",
      additionalProperties: true,
    },
    queue_position: { type: "integer", description: "Requests ahead." },
    error: text("What went wrong, of a completed request without a result."),
    error_type: text("The type of that error, when it is the service's and not the input's."),
  },
  required: ["status", "request_id"],
} as const;

const reference = (name: string) => ({ $ref: `#/components/schemas/${name}` });

function answer(description: string, schema: Json): Json {
  return { description, content: { "application/json": { schema } } };
}

const requestId = {
  name: "request_id",
  in: "path",
  required: true,
  schema: { type: "string", description: "Request ID" },
};

const logs = {
  name: "logs",
  in: "query",
  required: false,
  schema: { type: "number", description: "Whether to include logs (`1`) or not (`0`)." },
};

const cancelAnswer = {
  type: "object",
  properties: { status: { type: "string", enum: ["CANCELLATION_REQUESTED"] } },
  required: ["status"],
};

function pathsOf(endpoint: string, names: { readonly input: string; readonly output: string }): Json {
  const status = reference("QueueStatus");
  const one = `/${endpoint}/requests/{request_id}`;
  return {
    [`${one}/status`]: {
      get: {
        parameters: [requestId, logs],
        responses: {
          "200": answer("The request status.", status),
          "202": answer("The request status, as long as it is not completed.", status),
        },
      },
    },
    [`${one}/cancel`]: {
      put: {
        parameters: [requestId],
        responses: { "202": answer("The request is or will be cancelled.", cancelAnswer) },
      },
    },
    [`/${endpoint}`]: {
      post: {
        requestBody: { required: true, content: { "application/json": { schema: reference(names.input) } } },
        responses: { "200": answer("The request status.", status) },
      },
    },
    [one]: {
      get: {
        parameters: [requestId],
        responses: { "200": answer("Result of the request.", reference(names.output)) },
      },
    },
  };
}
