/** Streams tables to and from files with one JSON object per line. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import { sql } from "kysely";
import type { Database } from "../db/database.ts";
import type { Tables } from "../db/schema.ts";

/** Tables in a backup, each after those it refers to. */
export const backedUpTables = [
  "secrets",
  "keys",
  "tokens",
  "workers",
  "requests",
  "request_logs",
  "request_metrics",
  "idempotency_keys",
  "files",
  "webhook_deliveries",
] as const satisfies readonly (keyof Tables)[];

/**
 * Uploads in progress and the bytes reserved for them. Parts are not in a backup, so clients restart their uploads.
 *
 * @internal a test checks that every table is in one of the two lists
 */
export const leftOutTables = [
  "uploads",
  "upload_parts",
  "byte_reservations",
] as const satisfies readonly (keyof Tables)[];

/** Rows per fetch. One row may be as large as a request's body. */
const rowsAtOnce = 50;

/**
 * Writes a table to a gzipped file.
 *
 * @param db a transaction. Its snapshot is written
 */
export async function writeTable(
  db: Database,
  table: string,
  path: string,
): Promise<{ readonly rows: number; readonly sha256: string }> {
  const hash = createHash("sha256");
  let rows = 0;
  const condition = table === "files" ? sql`where state = 'complete'` : sql``;
  await sql`declare rows_of_table no scroll cursor for
    select row_to_json(t)::text as line from ${sql.table(table)} t ${condition}`.execute(db);
  async function* lines(): AsyncGenerator<string> {
    for (;;) {
      const { rows: fetched } = await sql<{ line: string }>`
        fetch ${sql.lit(rowsAtOnce)} from rows_of_table`.execute(db);
      if (fetched.length === 0) return;
      for (const { line } of fetched) {
        const text = `${line}\n`;
        hash.update(text);
        rows++;
        yield text;
      }
    }
  }
  await pipeline(Readable.from(lines()), createGzip(), createWriteStream(path, { mode: 0o600, flush: true }));
  await sql`close rows_of_table`.execute(db);
  return { rows, sha256: hash.digest("hex") };
}

/** Inserts the rows of a file. Triggers must be off: the rows include their effects. */
export async function readTable(
  db: Database,
  table: string,
  path: string,
): Promise<{ readonly rows: number; readonly sha256: string }> {
  const hash = createHash("sha256");
  const columns = sql.join(await givenColumns(db, table));
  let rows = 0;
  for await (const line of linesOf(createReadStream(path).pipe(createGunzip()))) {
    hash.update(`${line}\n`);
    rows++;
    await sql`
      insert into ${sql.table(table)} (${columns}) overriding system value
      select ${columns} from json_populate_record(null::${sql.table(table)}, ${line}::json)`.execute(db);
  }
  return { rows, sha256: hash.digest("hex") };
}

/** Returns the columns to insert: all except generated ones. */
async function givenColumns(db: Database, table: string) {
  const { rows } = await sql<{ name: string }>`
    select column_name as name from information_schema.columns
      where table_schema = current_schema() and table_name = ${table} and is_generated = 'NEVER'`.execute(db);
  return rows.map(({ name }) => sql.ref(name));
}

/** Splits at line feeds only: JSON may hold U+2028, which `readline` treats as a line end. */
async function* linesOf(bytes: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest: Buffer[] = [];
  for await (const piece of bytes) {
    let start = 0;
    for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, start)) {
      yield Buffer.concat([...rest, piece.subarray(start, end)]).toString("utf8");
      rest = [];
      start = end + 1;
    }
    rest.push(piece.subarray(start));
  }
}

/** Sets identity columns to continue after the highest inserted number. */
export async function advanceIdentities(db: Database, table: string): Promise<void> {
  const { rows } = await sql<{ name: string }>`
    select column_name as name from information_schema.columns
      where table_schema = current_schema() and table_name = ${table} and is_identity = 'YES'`.execute(db);
  for (const { name } of rows) {
    await sql`
      select setval(pg_get_serial_sequence(${table}, ${name}), coalesce(max(${sql.ref(name)}), 0) + 1, false)
        from ${sql.table(table)}`.execute(db);
  }
}
