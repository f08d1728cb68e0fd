#!/usr/bin/env bash
# Fargate Spot: a queue that tries Spot capacity first, a job whose capacity is taken away while it runs, and a retry
# strategy that runs it again for that reason, and for no other.
#
# Usage: examples/spot-interruption/run.sh
set -euo pipefail
# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
begin apps/batchworker

job=$(submit nightly --job-queue example-spot --job-definition example-spot --input '{"message": "Hello!", "items": ["a"], "knobs": {"sleep": "2s"}}')
await "$job" RUNNING
echo 'The job runs on Spot capacity, which AWS takes away now and then. Now, for example:'
"$batchbox" spot interrupt "$job" 2>&1 | sed 's/ of job .*//'
ended "$job"
echo
show "$job"
