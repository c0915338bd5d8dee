/** Limits of concurrent attempts per receiver, and payloads that a delivery needs after its request's payload was deleted. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table webhook_deliveries
      -- Host and port as the address has them. Only attempts are shared out by it: nothing is sent there.
      add column receiver text generated always as (
        lower(coalesce(substring(url from '^[A-Za-z]+://(?:[^/?#]*@)?([^/?#]*)'), ''))) stored,
      -- The request's answer, when that was deleted while the delivery was pending. Cleared with its end.
      add column payload text`.execute(db);
  // Left behind by a server that ended between two statements.
  for (const table of ["request_logs", "request_metrics"]) {
    await sql`
      delete from ${sql.table(table)} using requests
      where requests.id = request_id and requests.payload_removed_at is not null`.execute(db);
  }
}
