/** Reads that many callers want at once, made once: each is shared while it is under way and for a moment after. */

type Entry<Value> = { readonly value: Promise<Value>; readonly freshUntil: number };

/** Above this the old ones are dropped; they would be read anew anyway. */
const mostEntries = 10_000;

export class SharedReads<Value> {
  readonly #maxAgeMs: number;
  readonly #read: (key: string) => Promise<Value>;
  readonly #entries = new Map<string, Entry<Value>>();

  constructor(options: { readonly maxAgeMs: number; readonly read: (key: string) => Promise<Value> }) {
    this.#maxAgeMs = options.maxAgeMs;
    this.#read = options.read;
  }

  /** The value, at most `maxAgeMs` old. */
  get(key: string): Promise<Value> {
    const known = this.#entries.get(key);
    const now = performance.now();
    if (known !== undefined && known.freshUntil > now) return known.value;
    if (this.#entries.size >= mostEntries) this.#entries.clear();
    const value = this.#read(key);
    this.#entries.set(key, { value, freshUntil: now + this.#maxAgeMs });
    value.catch(() => this.#entries.delete(key));
    return value;
  }

  /** What is asked next is read anew. */
  forget(key: string): void {
    this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }
}
