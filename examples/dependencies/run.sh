#!/usr/bin/env bash
# Job dependencies: an array, a second array whose children wait for those of the first one by one (N_TO_N), a job that
# waits for all of it, and what happens when something that others wait for fails.
#
# Usage: examples/dependencies/run.sh
set -euo pipefail
# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
begin apps/batchworker

on=(--job-queue example-dependencies --job-definition example-dependencies)
three='{"message": "Hello!", "items": ["a", "b", "c"]}'
split=$(submit split "${on[@]}" --array-size 3 --input "$three")
work=$(submit work "${on[@]}" --array-size 3 --input "$three" --depends-on "$split=N_TO_N")
merge=$(submit merge "${on[@]}" --input '{"message": "Hello!", "items": ["all"]}' --depends-on "$work")

# Child 1 of this array fails; only its own partner is lost.
bad=$(submit bad-split "${on[@]}" --array-size 3 --input '{"message": "Hello!", "items": ["a", "b", "c"], "knobs": {"exitCode": 3, "failIndexes": [1]}}')
part=$(submit part-work "${on[@]}" --array-size 3 --input "$three" --depends-on "$bad=N_TO_N")
never=$(submit never-merge "${on[@]}" --input '{"message": "Hello!", "items": ["all"]}' --depends-on "$part")
ended "$split" "$work" "$merge" "$bad" "$part" "$never"

echo 'split -> work (N_TO_N) -> merge:'
show "$split" "$work" "$merge"
echo 'The same, when child 1 of the first array fails:'
show "$bad" "$part" "$part:0" "$part:1" "$never"
