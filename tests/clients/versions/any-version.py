"""The same calls with any version of fal's Python client; the answers as one JSON object on the last line."""

import json

import fal_client
import httpx

app = "fal-ai/ltx-video-trainer"


def failure(call):
    try:
        return {"value": call()}
    except Exception as error:
        # Until 0.9 the answer was the cause of the client's own error.
        response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
        return {"status": getattr(response, "status_code", None), "message": str(error)}


address = fal_client.upload(b"a file", "text/plain")
uploaded = httpx.get(address).text
handle = fal_client.submit(app, arguments={"training_data_url": address})
status = fal_client.status(app, handle.request_id, with_logs=True)
refused = fal_client.submit(app, arguments={"rank": 7})
answers = {
    "address": address,
    "uploaded": uploaded,
    "requestId": handle.request_id,
    "status": type(status).__name__,
    "cancelled": failure(lambda: fal_client.cancel(app, handle.request_id)),
    "refused": failure(lambda: fal_client.result(app, refused.request_id)),
}
print(json.dumps(answers))
