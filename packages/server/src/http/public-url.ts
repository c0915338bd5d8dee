/** Under which address this request reached us. */
import type { FastifyRequest } from "fastify";
import type { Config } from "../config/config.ts";
import { type PublicUrl, publicUrlOf } from "../wire/public-urls.ts";

/** The origin for addresses in the answer. Headers of a proxy count only when it is trusted. */
export function publicUrlFor(request: FastifyRequest, config: Pick<Config, "publicUrl">): PublicUrl {
  return publicUrlOf({ protocol: request.protocol, host: request.host, configured: config.publicUrl });
}
