/** Public URL of the service, as the client of a request sees it. */
import type { FastifyRequest } from "fastify";
import type { Config } from "../config/config.ts";
import { type PublicUrl, publicUrlOf } from "../wire/public-urls.ts";

/** Returns the origin for URLs in the response. Headers of a proxy count only when it is trusted. */
export function publicUrlFor(request: FastifyRequest, config: Pick<Config, "publicUrl">): PublicUrl {
  return publicUrlOf({ protocol: request.protocol, host: request.host, configured: config.publicUrl });
}
