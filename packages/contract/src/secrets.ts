/** Hides credentials in texts that leave the program: logs, errors, answers. */

const hidden = "[secret]";

/** Replaces user and password of every address in a text. */
export function withoutCredentials(text: string): string {
  return text.replace(/([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s"\\/?#]+@/gi, `$1${hidden}@`);
}

/**
 * Replaces everything in a text that may grant access: credentials in addresses, values of their parameters, and what stands
 * after `Key` or `Bearer`.
 *
 * @param shownParameters names of parameters whose values stay
 */
export function withoutSecrets(text: string, shownParameters: ReadonlySet<string> = new Set()): string {
  return withoutCredentials(text)
    .replace(/([a-z][a-z0-9+.-]{0,20}%3A%2F%2F)[^\s"\\/?#&]+/gi, `$1${hidden}`)
    .replace(
      /\?([\w%.~-][^\s"\\'<>#]*)/g,
      (_query, query: string) => `?${queryWithoutSecrets(query, shownParameters)}`,
    )
    .replace(/#key=[^\s"\\'<>]*/gi, `#key=${hidden}`)
    .replace(/\b(Bearer\s+)[\w.~+/=-]{8,}/gi, `$1${hidden}`)
    .replace(/\b(Key\s+[\w-]+:)[\w-]+/gi, `$1${hidden}`);
}

/** Replaces the values of a query's parameters, and names that are none. */
export function queryWithoutSecrets(query: string, shownParameters: ReadonlySet<string>): string {
  return query
    .split("&")
    .map((pair) => {
      const [name = "", ...value] = pair.split("=");
      if (!/^[\w.~-]{1,40}$/.test(name)) return hidden;
      if (value.length === 0) return shownParameters.has(name) ? name : hidden;
      return shownParameters.has(name) ? pair : `${name}=${hidden}`;
    })
    .join("&");
}
