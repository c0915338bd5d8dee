/** Shares reads between callers: each read is made once while it is under way and for `maxAgeMs` after its start. */
import { LRUCache } from "lru-cache";

/** The least recently used entry is dropped above this. */
const mostEntries = 10_000;

export class SharedReads<Value> {
  readonly #read: (key: string) => Promise<Value>;
  /**
   * Holds promises, not `fetchMethod`'s values: `undefined` is a value here, age counts from the start of a read, and a read
   * that was forgotten while under way must not be stored.
   */
  readonly #reads: LRUCache<string, Promise<Value>>;

  constructor(options: { readonly maxAgeMs: number; readonly read: (key: string) => Promise<Value> }) {
    this.#read = options.read;
    this.#reads = new LRUCache({ max: mostEntries, ttl: options.maxAgeMs, ttlResolution: 0 });
  }

  /** Returns the value, at most `maxAgeMs` old. A failed read rejects for all who share it and is not kept. */
  get(key: string): Promise<Value> {
    const known = this.#reads.get(key);
    if (known !== undefined) return known;
    const value = this.#read(key);
    this.#reads.set(key, value);
    value.catch(() => {
      if (this.#reads.peek(key) === value) this.#reads.delete(key);
    });
    return value;
  }

  /** Makes the next `get` read again. */
  forget(key: string): void {
    this.#reads.delete(key);
  }

  clear(): void {
    this.#reads.clear();
  }
}
