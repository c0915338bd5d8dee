/** The API's description for programs, at our own address and where the hosted service has it. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Config } from "../../config/config.ts";
import type { Endpoint } from "../../endpoints/endpoint.ts";
import type { EndpointRegistry } from "../../endpoints/registry.ts";
import { queueBase } from "../../wire/public-urls.ts";
import { publicUrlFor } from "../public-url.ts";
import { openApiDocument } from "./openapi-document.ts";

type OpenApiDeps = { readonly config: Config; readonly endpoints: EndpointRegistry };

export function addOpenApiRoutes(app: FastifyInstance, { config, endpoints }: OpenApiDeps): void {
  const document = (endpoint: Endpoint, request: FastifyRequest) => {
    const url = publicUrlFor(request, config);
    return openApiDocument(endpoint, { queueUrl: queueBase(url), pageUrl: `${url}/` });
  };
  app.get("/openapi.json", async (request, reply) =>
    reply.header("access-control-allow-origin", "*").send(document(endpoints.primary, request)),
  );
  app.get("/api/openapi/queue/openapi.json", async (request, reply) => {
    const { endpoint_id: name } = request.query as { endpoint_id?: unknown };
    const endpoint = typeof name === "string" ? endpoints.find(name) : undefined;
    if (endpoint !== undefined) return document(endpoint, request);
    return reply.code(404).type("application/json").send("null");
  });
}
