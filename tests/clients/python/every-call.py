"""Every call of fal's own Python client against the service; the answers as one JSON object on the last line."""

import asyncio
import json
import sys

import fal_client

app = "fal-ai/ltx-video-trainer"
given = json.loads(sys.argv[1])
training = given["input"]
# For what must still be at work when it is cancelled, on a machine of any speed.
long_training = {**training, "number_of_steps": 2000}
unknown = "764cabcf-b745-4b3e-ae38-1200304cf45b"
answers = {}


def failure(call, *args, **options):
    try:
        call(*args, **options)
    except fal_client.FalClientHTTPError as error:
        return {
            "status": error.status_code,
            "message": str(error),
            "type": getattr(error, "error_type", None),
        }
    except fal_client.FalClientTimeoutError as error:
        return {"timeout": str(error)}
    return None


def subscribed():
    lines, seen, enqueued = [], [], []

    def update(status):
        seen.append(type(status).__name__)
        if isinstance(status, fal_client.InProgress) or isinstance(status, fal_client.Completed):
            # As the client's own documentation does it: the list has everything so far.
            lines.extend(status.logs[len(lines) :])

    result = fal_client.subscribe(
        app,
        training,
        with_logs=True,
        on_enqueue=enqueued.append,
        on_queue_update=update,
        priority="normal",
        client_timeout=500,
    )
    status = fal_client.status(app, enqueued[0], with_logs=True)
    return {
        "result": result,
        "seen": sorted(set(seen)),
        "lines": [line["message"] for line in lines],
        "polled": [line["message"] for line in status.logs],
        "inference_time": status.metrics["inference_time"],
        "again": fal_client.result(app, enqueued[0]),
    }


def handled():
    handle = fal_client.submit(app, long_training, hint="h", priority="low", start_timeout=300)
    same = fal_client.SyncClient().get_handle(app, handle.request_id)
    position = handle.status()
    handle.cancel()
    for _ in handle.iter_events(with_logs=True, interval=0.1):
        pass
    done = handle.status(with_logs=True)
    return {
        "equal": handle.status_url == same.status_url
        and handle.response_url == same.response_url
        and handle.cancel_url == same.cancel_url,
        "status_url": handle.status_url,
        "first": type(position).__name__,
        "without_logs": getattr(position, "logs", None),
        "error": done.error,
        "error_type": done.error_type,
        "result": failure(handle.get),
        "cancelled_again": failure(handle.cancel),
    }


def late():
    """A request that does not start in time, because another one is being worked on."""
    before = fal_client.submit(app, long_training)
    try:
        return failure(fal_client.subscribe, app, training, start_timeout=1.5)
    finally:
        before.cancel()


async def asynchronous():
    client = fal_client.AsyncClient()
    handle = await client.submit(app, {"rank": 7})
    async for _ in handle.iter_events(with_logs=True):
        pass
    try:
        await handle.get()
    except fal_client.FalClientHTTPError as error:
        return {"status": error.status_code, "detail": error.response.json()["detail"]}
    return None


answers["subscribe"] = subscribed()
answers["handle"] = handled()
answers["async"] = asyncio.run(asynchronous())
answers["run"] = failure(fal_client.run, app, {"rank": 7})
answers["path"] = failure(fal_client.subscribe, app, training, path="i2v")
answers["unknown"] = failure(fal_client.status, app, unknown)
answers["unknown_cancel"] = failure(fal_client.cancel, app, unknown)
answers["application"] = failure(fal_client.submit, "fal-ai/flux", {})
answers["key"] = failure(fal_client.SyncClient(key="a:b").submit, app, training)
answers["late"] = late()
print(json.dumps(answers))
