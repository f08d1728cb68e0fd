#!/usr/bin/env bash
# Builds batchbox and the test runner into bin/.
#
# Usage: scripts/build.sh
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
no_arguments "$@"

cd "$root"
go build -o "$bin/batchbox" ./cmd/batchbox
go build -o "$bin/test-runner" ./tests/batchtest
