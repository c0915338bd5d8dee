"""Every way in which fal's own Python client uploads; the answers as one JSON object on the last line."""

import asyncio
import hashlib
import json
import sys

import fal_client
import httpx

given = json.loads(sys.argv[1])


def read_back(url):
    answer = httpx.get(url)
    answer.raise_for_status()
    return {
        "url": url,
        "type": answer.headers["content-type"],
        "sha256": hashlib.sha256(answer.content).hexdigest(),
    }


def refusal(call):
    try:
        call()
    except (fal_client.FalClientHTTPError, httpx.HTTPStatusError) as error:
        return {"status": error.response.status_code, "body": error.response.text}
    return None


async def asynchronous():
    return await fal_client.upload_async(b"hello", "text/plain", "hello.txt")


with open(given["large"], "rb") as file:
    large = file.read()
answers = {
    "bytes": read_back(fal_client.upload(b"hello", "text/plain", "hello.txt")),
    "async": read_back(asyncio.run(asynchronous())),
    "file": read_back(fal_client.upload_file(given["small"])),
    "parts": read_back(fal_client.upload_file(given["large"])),
    # This client sends every part but the first empty when it is given bytes: nothing broken may come of that.
    "large_bytes": refusal(lambda: fal_client.upload(large, "application/zip", "large.zip")),
}
print(json.dumps(answers))
