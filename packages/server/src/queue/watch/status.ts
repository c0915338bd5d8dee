/** Builds the status of a request from its row. */
import type { RequestSummary } from "../../db/requests/requests.ts";
import { type PublicUrl, queueBase } from "../../wire/public-urls.ts";
import { type LogLine, type QueueStatus, requestUrls } from "../../wire/queue.ts";

/**
 * @param publicUrl address at which this client reaches the server
 * @param logs null when they were not asked for
 */
export function statusOf(
  summary: RequestSummary,
  publicUrl: PublicUrl,
  logs: readonly LogLine[] | null,
): QueueStatus {
  const { id, endpoint, state, queuePosition, runSeconds, error, errorType } = summary;
  const common = {
    request_id: id,
    ...requestUrls(queueBase(publicUrl), endpoint, id),
    logs: logs === null ? null : [...logs],
  };
  if (state === "queued") {
    return { status: "IN_QUEUE", ...common, metrics: {}, queue_position: queuePosition };
  }
  if (state === "running") return { status: "IN_PROGRESS", ...common, metrics: {} };
  return {
    status: "COMPLETED",
    ...common,
    metrics: { inference_time: runSeconds },
    ...(error === null ? {} : { error }),
    ...(errorType === null ? {} : { error_type: errorType }),
  };
}
