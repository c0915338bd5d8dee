/** The endpoints that this server serves. */
import type { Config } from "../config/config.ts";
import type { Endpoint } from "./endpoint.ts";
import { ltxVideoTrainer } from "./ltx-video-trainer.ts";

export class EndpointRegistry {
  /** The endpoint that the home page and `/openapi.json` describe. */
  readonly primary: Endpoint;
  readonly #byName: ReadonlyMap<string, Endpoint>;

  /** @throws Error for two endpoints of one name */
  constructor(primary: Endpoint, ...others: readonly Endpoint[]) {
    const all = [primary, ...others];
    this.primary = primary;
    this.#byName = new Map(all.map((endpoint) => [endpoint.name, endpoint]));
    const repeated = all.find((endpoint) => this.#byName.get(endpoint.name) !== endpoint);
    if (repeated !== undefined) throw new Error(`endpoint ${repeated.name}: got two, expected one per name`);
  }

  /** Undefined for a name that is not registered. */
  find(name: string): Endpoint | undefined {
    return this.#byName.get(name);
  }

  /** For claimed requests, whose endpoint is always registered. @throws Error for any other name */
  get(name: string): Endpoint {
    const endpoint = this.find(name);
    if (endpoint === undefined) throw new Error(`endpoint ${name}: expected one of ${this.names.join(", ")}`);
    return endpoint;
  }

  get names(): string[] {
    return [...this.#byName.keys()];
  }
}

/** Registers all endpoints. A new endpoint gets its line here. */
export function makeEndpoints(config: Pick<Config, "endpoint">): EndpointRegistry {
  return new EndpointRegistry(ltxVideoTrainer(config.endpoint));
}
