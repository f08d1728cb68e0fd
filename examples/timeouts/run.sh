#!/usr/bin/env bash
# Timeouts: an attempt that runs too long gets SIGTERM, and SIGKILL after a grace. It is not tried again, whatever the
# retry strategy says.
#
# AWS takes timeouts of 60 s and more, and gives 30 s of grace. The engine that this example starts takes a timeout of one
# second, and gives one second of grace (serve --least-timeout 1 --stop-grace 1s); another engine, or AWS, gets AWS's own.
#
# Usage: examples/timeouts/run.sh
set -euo pipefail
# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
limit=60s
[[ -n ${AWS_ENDPOINT_URL-} ]] || limit=1s
begin apps/batchworker --least-timeout 1 --stop-grace 1s

on=(--job-queue example-timeouts --job-definition example-timeouts --timeout "$limit")
echo 'Three jobs that would take an hour. One ends when it is told to, with exit code 143:'
plain=$(submit plain "${on[@]}" --input '{"message": "Hello!", "items": ["a"], "knobs": {"sleep": "1h"}}')
echo 'one cleans up, and says so with an exit code of its own;'
tidy=$(submit tidy "${on[@]}" --input '{"message": "Hello!", "items": ["a"], "knobs": {"sleep": "1h", "termExitCode": 42}}')
echo 'and one does not listen, and is killed.'
deaf=$(submit deaf "${on[@]}" --input '{"message": "Hello!", "items": ["a"], "knobs": {"sleep": "1h", "ignoreSigterm": true}}')
ended "$plain" "$tidy" "$deaf"
echo
show "$plain" "$tidy" "$deaf"
