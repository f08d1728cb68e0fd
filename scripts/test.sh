#!/usr/bin/env bash
# Runs the tests. Those that need what this machine has not are skipped, each with its reason.
#
# Usage: scripts/test.sh [FLAG...] [PACKAGE...]
#
#   scripts/test.sh                              all of them
#   scripts/test.sh -race ./internal/engine/...  flags and packages of go test
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packages=no
race=no
for a in "$@"; do
  case $a in
    -h | --help) help; exit 0 ;;
    ./* | ...) packages=yes ;;
    -race | -race=true) race=yes ;;
  esac
done
cd "$root"
if [[ $packages == no ]]; then
  set -- "$@" ./...
fi
# With the flags that build.sh, and tests that build programs, compile with, all share what they compile: half of a first run.
export GOFLAGS="${GOFLAGS-} -trimpath"
if [[ $race == no ]]; then # the race detector needs cgo
  export CGO_ENABLED=0
fi
# Vet is the linters' (make lint), and costs a tenth of a first run. More packages than processors at a time: tests wait.
# The time bounds hangs: a busy machine takes minutes for what takes seconds.
exec go test -vet=off -p 4 -timeout 30m "$@"
