/** The API's description for programs, at our own address and where the hosted service has it. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Config } from "../../config/config.ts";
import { queueBase } from "../../wire/public-urls.ts";
import { publicUrlFor } from "../public-url.ts";
import { openApiDocument } from "./openapi-document.ts";

export function addOpenApiRoutes(app: FastifyInstance, config: Config): void {
  const document = (request: FastifyRequest) => {
    const url = publicUrlFor(request, config);
    return openApiDocument({ endpoint: config.endpoint, queueUrl: queueBase(url), pageUrl: `${url}/` });
  };
  app.get("/openapi.json", async (request, reply) =>
    reply.header("access-control-allow-origin", "*").send(document(request)),
  );
  app.get("/api/openapi/queue/openapi.json", async (request, reply) => {
    const { endpoint_id: endpoint } = request.query as { endpoint_id?: unknown };
    if (endpoint === config.endpoint) return document(request);
    return reply.code(404).type("application/json").send("null");
  });
}
