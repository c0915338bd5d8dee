/**
 * Metrics of the service, for Prometheus. No label holds an id, an address or anything else that came from outside.
 */

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { type Overview, webhookStates } from "./db/requests/overview.ts";
import { requestStates } from "./wire/queue.ts";

export type AnsweredCall = {
  readonly method: string;
  /** The route's pattern, never the address that was called. */
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
};

/** State of this server. The database holds that of all servers. */
export type OwnState = {
  /** Names of the endpoints that it serves. */
  readonly endpoints: readonly string[];
  readonly brokenDevices: number;
  readonly disk: { readonly freeBytes: number; readonly reserveBytes: number };
};

export class ServiceMetrics {
  readonly contentType: string;
  readonly #registry = new Registry();
  readonly #calls: Counter<"method" | "route" | "status">;
  readonly #durations: Histogram<"method" | "route">;
  readonly #requests: Gauge<"state">;
  readonly #endpoints: Gauge<"endpoint" | "state">;
  readonly #webhooks: Gauge<"state">;
  readonly #oldestWait: Gauge;
  readonly #devices: Gauge;
  readonly #brokenDevices: Gauge;
  readonly #oldestWebhook: Gauge;
  readonly #diskFree: Gauge;
  readonly #diskReserve: Gauge;

  constructor() {
    const registers = [this.#registry];
    this.contentType = this.#registry.contentType;
    collectDefaultMetrics({ register: this.#registry });
    this.#calls = new Counter({
      name: "ltx_http_requests_total",
      help: "HTTP requests answered.",
      labelNames: ["method", "route", "status"],
      registers,
    });
    this.#durations = new Histogram({
      name: "ltx_http_request_duration_seconds",
      help: "Time from the arrival of a request to the end of its response.",
      labelNames: ["method", "route"],
      buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 120],
      registers,
    });
    const gauge = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
      new Gauge({ name, help, labelNames, registers });
    this.#requests = gauge("ltx_requests", "Training requests kept, by state.", "state");
    this.#endpoints = gauge(
      "ltx_endpoint_requests",
      "Requests kept, by endpoint and state.",
      "endpoint",
      "state",
    );
    this.#oldestWait = gauge(
      "ltx_queue_oldest_wait_seconds",
      "How long the oldest waiting request has waited; 0 when none waits.",
    );
    this.#devices = gauge("ltx_devices", "Devices of all servers on this database.");
    this.#brokenDevices = gauge(
      "ltx_devices_broken",
      "Devices of this server that fail their probe and take no requests.",
    );
    this.#oldestWebhook = gauge(
      "ltx_webhook_oldest_pending_seconds",
      "How long ago the request of the oldest pending webhook ended; 0 when none is pending.",
    );
    this.#diskFree = gauge("ltx_disk_free_bytes", "Free space on the disk of the data folder.");
    this.#diskReserve = gauge(
      "ltx_disk_reserve_bytes",
      "Free space below which uploads are refused: DISK_RESERVE_BYTES.",
    );
    this.#webhooks = gauge("ltx_webhook_deliveries", "Webhook deliveries kept, by state.", "state");
  }

  count({ method, route, status, seconds }: AnsweredCall): void {
    this.#calls.inc({ method, route, status });
    this.#durations.observe({ method, route }, seconds);
  }

  /** Returns all metrics in Prometheus' text format. */
  async text(overview: Overview, { endpoints, brokenDevices, disk }: OwnState): Promise<string> {
    for (const state of requestStates) {
      this.#requests.set({ state }, overview.requests[state]);
      for (const endpoint of endpoints) {
        this.#endpoints.set({ endpoint, state }, overview.endpoints.get(endpoint)?.[state] ?? 0);
      }
    }
    for (const state of webhookStates) this.#webhooks.set({ state }, overview.webhooks[state]);
    this.#oldestWait.set(overview.oldestWaitSeconds);
    this.#devices.set(overview.devices.length);
    this.#brokenDevices.set(brokenDevices);
    this.#oldestWebhook.set(overview.oldestWebhookSeconds);
    this.#diskFree.set(disk.freeBytes);
    this.#diskReserve.set(disk.reserveBytes);
    return this.#registry.metrics();
  }
}
