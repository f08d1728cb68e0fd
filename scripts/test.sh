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
for a in "$@"; do
  case $a in
    -h | --help) help; exit 0 ;;
    ./* | ...) packages=yes ;;
  esac
done
cd "$root"
if [[ $packages == no ]]; then
  set -- "$@" ./...
fi
exec go test "$@"
