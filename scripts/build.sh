#!/usr/bin/env bash
# Builds batchbox and the test runner into bin/.
#
# Usage: scripts/build.sh
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
no_arguments "$@"

cd "$root"
go build -o "$bin/" ./cmd/batchbox ./tests/batchtest
mv "$bin/batchtest" "$bin/test-runner"
