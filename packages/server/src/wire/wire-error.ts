/** An error response, thrown from anywhere under a route. */
import { requestFailure, type WireFailure } from "./request-failures.ts";

export class WireError extends Error {
  override readonly name = "WireError";
  readonly status: number;
  readonly body: unknown;
  /** In lower case. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) {
    super(`answered with status ${status}`);
    this.status = status;
    this.body = body;
    this.headers = headers;
  }

  static of({ status, body, headers }: WireFailure): WireError {
    return new WireError(status, body, headers);
  }

  /** 400, with a message of the form `got <actual>, expected <rule>`. */
  static badRequest(message: string): WireError {
    return WireError.of(requestFailure(400, "bad_request", message));
  }
}
