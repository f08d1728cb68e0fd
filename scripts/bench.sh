#!/usr/bin/env bash
# Measures batchbox and prints the figures as ratios, medians of several runs, with the shape of this machine: an array of
# 10,000 children against xargs, SubmitJob's latency and rate, the time from a submission to the program's first
# instruction, start-up, what an idle engine costs, and what the scheduler does with a million queued.
#
# Usage: scripts/bench.sh [--runs N] [--children N] [--only NAME,...]
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case ${1-} in
  -h | --help) help; exit 0 ;;
esac
cd "$root"
"$root/scripts/build.sh"
exec go run ./tests/bench --batchbox "$bin/batchbox" "$@"
