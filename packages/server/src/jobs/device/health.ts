/** What this server cannot do at the moment, for `/readyz` and the metrics. */

/** Why a device takes no requests. `reason` names nothing of the machine: anybody may read it. */
export type Fault = { readonly reason: string; readonly detail?: unknown };

export class ServiceHealth {
  readonly #devices: readonly string[];
  readonly #faults = new Map<number, string>();

  constructor(devices: readonly string[]) {
    this.#devices = devices;
  }

  /** @param place of the device in the configuration: one name may stand there twice */
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
