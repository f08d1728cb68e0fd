#!/usr/bin/env bash
# A multi-node parallel job of four nodes: the main node starts first and listens; the others connect to the address that
# AWS Batch gives them, and get their work over that connection. The main node's end is the job's.
#
# Usage: examples/multi-node/run.sh
set -euo pipefail
# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
begin examples/multi-node/ring

job=$(submit ring --job-queue example-multi-node --job-definition example-multi-node)
ended "$job"
show "$job"
echo 'What the nodes have written:'
"$batchbox" logs "$job" | sort
