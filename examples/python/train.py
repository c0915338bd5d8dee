"""Trains on a zip with Python alone, over plain HTTP: submits it inline, prints logs, prints the URLs of the results.

    FAL_KEY=... python3 train.py clips.zip '{"trigger_phrase": "glowpulse style"}'

fal's own Python client (`pip install fal-client`) also works if the server is reachable by HTTPS:

    FAL_RUN_HOST=train.example.com/run FAL_QUEUE_RUN_HOST=train.example.com/queue
"""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request

SERVER = os.environ.get("LTX_TRAINER_URL", "http://localhost:8000")
ENDPOINT = "fal-ai/ltx-video-trainer"


def call(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": "Key " + os.environ["FAL_KEY"], "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as response:
        return json.load(response)


def main(path, options="{}"):
    with open(path, "rb") as archive:
        encoded = base64.b64encode(archive.read()).decode()
    body = {**json.loads(options), "training_data_url": "data:application/zip;base64," + encoded}
    status = call(f"{SERVER}/queue/{ENDPOINT}", body)
    shown = 0
    while True:
        status = call(status["status_url"] + "?logs=1")
        for line in status["logs"][shown:]:
            print(line["message"], flush=True)
        shown = len(status["logs"])
        if status["status"] == "COMPLETED":
            break
        time.sleep(1)
    # A failed request is COMPLETED too: its result is the error.
    try:
        print(json.dumps(call(status["response_url"]), indent=2))
    except urllib.error.HTTPError as error:
        sys.exit(f"{error.code}: {error.read().decode()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
