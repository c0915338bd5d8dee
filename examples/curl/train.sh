#!/bin/sh
# Trains on a zip with curl alone: submits it inline, waits, prints the result.
#
#   FAL_KEY=... sh train.sh clips.zip '{"trigger_phrase": "glowpulse style"}'
set -eu
server=${LTX_TRAINER_URL:-http://localhost:8000}
queue=$server/queue/fal-ai/ltx-video-trainer
zip=$1
# The fields of the options, with a trailing comma.
fields=$(printf %s "${2:-}" | tr '\n' ' ' | sed 's/^ *{ *//; s/ *} *$//; s/.$/&,/')

call() {
  curl --silent --show-error --header "Authorization: Key $FAL_KEY" "$@"
}

# One field of a flat JSON response, without jq.
field() {
  sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}

submitted=$(
  {
    printf '{%s "training_data_url": "data:application/zip;base64,' "$fields"
    base64 <"$zip" | tr -d '\n'
    printf '"}'
  } | call --fail --header "Content-Type: application/json" --data-binary @- "$queue"
)
id=$(printf %s "$submitted" | field request_id)
echo "request $id" >&2

while status=$(call --fail "$queue/requests/$id/status" | field status) && [ "$status" != COMPLETED ]; do
  echo "$status" >&2
  sleep 2
done

# A failed request is COMPLETED too: its result is the error, and curl exits with 22.
call --fail-with-body "$queue/requests/$id"
