/** Turns known failures at startup (address, database) into errors with a remedy. */
import { AppError } from "@ltx-trainer/contract";
import type { Config } from "../config/config.ts";

type Place = Pick<Config, "host" | "port" | "databaseUrl">;

/** Returns an `AppError` with a remedy for a known startup failure. Other errors are returned unchanged. */
export function explainStartFailure(error: unknown, place: Place): unknown {
  if (error instanceof AppError) return error;
  const code = codeOf(error);
  return listenFailure(code, place, error) ?? databaseFailure(code, place, error) ?? error;
}

function listenFailure(code: string, { host, port }: Place, cause: unknown): AppError | undefined {
  if ((cause as { syscall?: unknown }).syscall !== "listen" && !isLookupOf(host, cause)) return undefined;
  const known: Readonly<Record<string, readonly [string, string]>> = {
    EADDRINUSE: [
      `PORT: got ${port}, which another program on ${host} uses; expected a free port`,
      "Stop the other program, or choose another port: PORT=8001 (or --port 8001).",
    ],
    EACCES: [
      `PORT: got ${port}, which this account may not listen on; expected a port from 1024`,
      "Choose another port: PORT=8000. For 443, put a proxy in front of the server.",
    ],
    EADDRNOTAVAIL: [
      `HOST: got ${host}, which is not an address of this machine; expected one that is`,
      "Use 127.0.0.1 for this machine alone, or 0.0.0.0 for all its networks.",
    ],
    ENOTFOUND: [
      `HOST: got ${host}, a name that does not resolve; expected an address of this machine`,
      "Use 127.0.0.1 for this machine alone, or 0.0.0.0 for all its networks.",
    ],
  };
  const words = known[code === "EAI_AGAIN" ? "ENOTFOUND" : code];
  if (words === undefined) return undefined;
  const [message, remedy] = words;
  return new AppError({ code: "address_unusable", message, remedy, facts: { host, port }, cause });
}

function isLookupOf(host: string, error: unknown): boolean {
  const { syscall, hostname } = error as { syscall?: unknown; hostname?: unknown };
  return syscall === "getaddrinfo" && hostname === host;
}

/** By SQLSTATE or system error. Source: postgresql.org/docs/18/errcodes-appendix.html. */
const databaseProblems: Readonly<Record<string, readonly [string, string]>> = {
  "28P01": ["wrong user or password", "Correct user and password in DATABASE_URL."],
  "28000": [
    "this user may not connect from here",
    "Correct the user in DATABASE_URL, or the server's pg_hba.conf.",
  ],
  "3D000": ["there is no such database", "Create it first: CREATE DATABASE ltx OWNER ltx_user."],
  "42501": [
    "this user may not create tables",
    "Let it own the database, or run as its owner: GRANT CREATE, USAGE ON SCHEMA public TO <user>.",
  ],
  "53300": ["all its connections are in use", "Raise its max_connections, or lower DATABASE_CONNECTIONS."],
  "57P03": ["it does not accept connections yet", "Start the server again in a moment."],
  ECONNREFUSED: [
    "nothing listens at this address",
    "Start PostgreSQL, or correct host and port in DATABASE_URL.",
  ],
  ENOTFOUND: ["its host name does not resolve", "Correct the host in DATABASE_URL."],
  EAI_AGAIN: [
    "the DNS lookup of its host name failed",
    "Correct the host in DATABASE_URL, or the DNS of this machine.",
  ],
  ETIMEDOUT: ["it does not answer", "Correct host and port in DATABASE_URL, or the firewall in between."],
  ECONNRESET: [
    "it closed the connection",
    "Check that a PostgreSQL listens there, and whether it wants TLS.",
  ],
  SELF_SIGNED_CERT_IN_CHAIN: [
    "its certificate is not trusted",
    "Name the certificate authority in NODE_EXTRA_CA_CERTS.",
  ],
  DEPTH_ZERO_SELF_SIGNED_CERT: [
    "its certificate is not trusted",
    "Name the certificate authority in NODE_EXTRA_CA_CERTS.",
  ],
};

function databaseFailure(code: string, { databaseUrl }: Place, cause: unknown): AppError | undefined {
  const problem = databaseProblems[code] ?? problemWithoutCode(cause);
  if (problem === undefined || databaseUrl === undefined) return undefined;
  const [what, remedy] = problem;
  return new AppError({
    code: "database_unusable",
    message: `DATABASE_URL: got ${withoutPassword(databaseUrl)}: ${what}`,
    remedy,
    facts: { sqlState: code },
    cause,
  });
}

/** Matches the driver's errors that have no code. */
function problemWithoutCode(error: unknown): readonly [string, string] | undefined {
  const message = error instanceof Error ? error.message : "";
  if (
    /^(timeout expired|timeout exceeded when trying to connect|Connection terminated|Query read timeout)/.test(
      message,
    )
  )
    return databaseProblems.ETIMEDOUT;
  return /does not support SSL/.test(message)
    ? ["it does not speak TLS", "Remove sslmode from DATABASE_URL, or enable TLS in PostgreSQL."]
    : undefined;
}

function withoutPassword(address: string): string {
  const { protocol, username, host, pathname } = new URL(address);
  return `${protocol}//${username === "" ? "" : `${username}@`}${host}${pathname}`;
}

function codeOf(error: unknown): string {
  const { code, errors } = error as { code?: unknown; errors?: readonly unknown[] };
  if (typeof code === "string") return code;
  return errors === undefined || errors.length === 0 ? "" : codeOf(errors[0]);
}
