#!/usr/bin/env bash
# Fair-share scheduling: blue fills the queue with 24 jobs, then green comes with 12. There is room for four at a time. In a
# first-in-first-out queue green would wait for all of blue; here both get their share at once.
#
# Usage: examples/fair-share/run.sh
set -euo pipefail
# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
begin apps/batchworker

on=(--job-queue example-fair-share --job-definition example-fair-share)
input() { printf '{"message": "Hello!", "range": {"from": 1, "to": %d}, "knobs": {"sleep": "200ms"}}' "$1"; }
blue=$(submit blue "${on[@]}" --share blue --array-size 24 --input "$(input 24)")
green=$(submit green "${on[@]}" --share green --array-size 12 --input "$(input 12)")
ended "$blue" "$green"

# starts prints "TIME NAME" for each child of an array, in the order in which they started.
starts() {
  "$batchbox" jobs --children --limit 0 --json "$1" | awk -v name="$2" -F '[ :,]+' '/"startedAt"/ { print $3, name }'
}
order=$({ starts "$blue" blue; starts "$green" green; } | sort -n | awk '{ print $2 }')
echo 'The first 24 that started:'
head -n 24 <<<"$order" | tr '\n' ' '
printf '\n\n%d of them are green.\n' "$(head -n 24 <<<"$order" | grep -c green)"
