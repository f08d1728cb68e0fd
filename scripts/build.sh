#!/usr/bin/env bash
# Builds batchbox and the test runner into bin/.
#
# Usage: scripts/build.sh
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
no_arguments "$@"

cd "$root"
# batchbox-init, which native containers start with, and batchbox-helper, which holds private networks under Docker, are
# embedded in batchbox.
go generate ./internal/runtime/native ./internal/runtime/docker/helperbin
# Static programs, and the flags that images are built with, so that the standard library is compiled once for both.
export CGO_ENABLED=0
go build -trimpath -o "$bin/batchbox" ./cmd/batchbox
go build -trimpath -o "$bin/test-runner" ./tests/batchtest
