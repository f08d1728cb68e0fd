#!/usr/bin/env bash
# Retry strategies with exit-code rules: exit code 75 is tried again, up to five times; any other failure ends the job.
#
# Usage: examples/retries/run.sh
set -euo pipefail
# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
begin apps/batchworker

on=(--job-queue example-retries --job-definition example-retries)
echo 'A job that finds its upstream missing twice (exit code 75), and then succeeds:'
patient=$(submit patient "${on[@]}" --input '{"message": "Hello!", "items": ["a"], "knobs": {"exitCode": 75, "failAttempts": 2}}')
echo 'and one that has a bug (exit code 2).'
broken=$(submit broken "${on[@]}" --input '{"message": "Hello!", "items": ["a"], "knobs": {"exitCode": 2}}')
ended "$patient" "$broken"
echo
show "$patient" "$broken"
