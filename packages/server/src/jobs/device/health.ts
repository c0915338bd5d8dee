/** Which devices of this server are broken, for `/readyz` and the metrics. */

/** Why a device claims no requests. `reason` is public and names nothing of the machine. `detail` is for the log. */
export type Fault = { readonly reason: string; readonly detail?: unknown };

export class ServiceHealth {
  readonly #devices: readonly string[];
  readonly #faults = new Map<number, string>();

  constructor(devices: readonly string[]) {
    this.#devices = devices;
  }

  /** @param place index of the device in the configuration, which may list one name twice */
  mark(place: number, fault: Fault | undefined): void {
    if (fault === undefined) this.#faults.delete(place);
    else this.#faults.set(place, fault.reason);
  }

  /** `["cuda:0: disk full"]` */
  get broken(): string[] {
    return [...this.#faults].map(([place, reason]) => `${this.#devices[place]}: ${reason}`);
  }

  get isAnyDeviceFit(): boolean {
    return this.#devices.length === 0 || this.#faults.size < this.#devices.length;
  }
}
