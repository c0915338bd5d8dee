/** Types of the tables for Kysely. The migrations that create them describe them. */

import type { ColumnType, Generated } from "kysely";
import type { RequestState } from "../wire/queue.ts";

type Time = Date;
/** Set by the database when omitted. */
type CreatedAt = ColumnType<Date, Date | undefined, never>;

export type KeysTable = {
  id: string;
  name: string;
  user_id: string;
  scope: "api" | "admin";
  secret_hash: Buffer;
  created_at: CreatedAt;
  last_used_at: Time | null;
  revoked_at: Time | null;
};

export type TokensTable = {
  token_hash: Buffer;
  kind: "app" | "cdn";
  user_id: string;
  key_id: string | null;
  allowed_apps: string[] | null;
  created_at: CreatedAt;
  expires_at: Time;
};

export type SecretsTable = { name: string; value: Buffer; created_at: CreatedAt };

export type WorkersTable = {
  id: string;
  host: string;
  pid: number;
  devices: string[];
  home: string | null;
  started_at: CreatedAt;
  heartbeat_at: Generated<Time>;
  stopped_at: Time | null;
};

export type RequestsTable = {
  id: string;
  sequence: Generated<number>;
  endpoint: string;
  path: string;
  user_id: string;
  key_id: string | null;
  public_url: string;
  input: string;
  priority: number;
  webhook_url: string | null;
  lifecycle: string | null;
  stores_io: Generated<boolean>;
  state: RequestState;
  created_at: CreatedAt;
  start_deadline: Time | null;
  started_at: Time | null;
  finished_at: Time | null;
  cancel_requested_at: Time | null;
  worker_id: string | null;
  lease_id: string | null;
  lease_expires_at: Time | null;
  claimed_at: Time | null;
  attempts: Generated<number>;
  losses: Generated<number>;
  run_seconds: Generated<number>;
  response_status: number | null;
  response_headers: string | null;
  response_body: string | null;
  error: string | null;
  error_type: string | null;
  payload_removed_at: Time | null;
  payload_bytes: ColumnType<number, never, never>;
  not_before: Time | null;
  setbacks: Generated<number>;
  trained_outputs: string | null;
  trained_at: Time | null;
  trained_home: string | null;
};

export type RequestLogsTable = {
  request_id: string;
  sequence: Generated<number>;
  at: Time;
  level: string;
  message: string;
  left_out: Generated<number>;
};

export type RequestMetricsTable = {
  request_id: string;
  step: number;
  at: Time;
  loss: number | null;
  learning_rate: number;
  seconds_per_step: number;
  memory_bytes: number;
};

export type IdempotencyKeysTable = {
  user_id: string;
  key: string;
  body_hash: Buffer;
  request_id: string;
  created_at: CreatedAt;
};

export type FilesTable = {
  id: string;
  store: string;
  name: string;
  user_id: string;
  content_type: string;
  file_name: string | null;
  size_bytes: number | null;
  state: "pending" | "complete";
  origin: "upload" | "output";
  request_id: string | null;
  acl: string | null;
  content_hash: string | null;
  input_of: string | null;
  created_at: CreatedAt;
  expires_at: Time | null;
};

export type UploadsTable = {
  id: string;
  file_id: string;
  created_at: CreatedAt;
  expires_at: Time;
};

export type UploadPartsTable = {
  upload_id: string;
  part_number: number;
  size_bytes: number;
  etag: string;
  created_at: CreatedAt;
};

export type ByteReservationsTable = {
  id: string;
  user_id: string;
  upload_id: string | null;
  part_number: number | null;
  bytes: number;
  expires_at: Time;
};

export type WebhookDeliveriesTable = {
  id: Generated<string>;
  request_id: string;
  url: string;
  receiver: ColumnType<string, never, never>;
  payload: string | null;
  state: Generated<"pending" | "delivered" | "abandoned">;
  attempts: Generated<number>;
  next_attempt_at: Generated<Time>;
  lease_expires_at: Time | null;
  last_status: number | null;
  last_error: string | null;
  created_at: CreatedAt;
  finished_at: Time | null;
};

export type Tables = {
  keys: KeysTable;
  tokens: TokensTable;
  secrets: SecretsTable;
  workers: WorkersTable;
  requests: RequestsTable;
  request_logs: RequestLogsTable;
  request_metrics: RequestMetricsTable;
  idempotency_keys: IdempotencyKeysTable;
  files: FilesTable;
  uploads: UploadsTable;
  upload_parts: UploadPartsTable;
  byte_reservations: ByteReservationsTable;
  webhook_deliveries: WebhookDeliveriesTable;
};
