#!/usr/bin/env bash
# Submits a job to what apply.sh has made, waits for it, and checks every child's result with the test runner.
#
# Usage: scripts/submit.sh [--array-size N] [--input JSON] [FLAG...]
#
#   --array-size N  children, 2 by default; 0 or 1 submits a single job
#   --input JSON    {"message": "...", "items": [...]}, or {"message": "...", "range": {"from": 0, "to": 9}}; a range
#                   with as many items as children without it
#   FLAG...         further flags of the test runner, such as --timeout 1h or --output json
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

size=2 input='' more=()
while (($#)); do
  case $1 in
    -h | --help) help; exit 0 ;;
    --array-size) size=${2?--array-size needs a value}; shift 2 ;;
    --array-size=*) size=${1#*=}; shift ;;
    --input) input=${2?--input needs a value}; shift 2 ;;
    --input=*) input=${1#*=}; shift ;;
    *) more+=("$1"); shift ;;
  esac
done
[[ $size =~ ^[0-9]{1,5}$ ]] || usage_error "--array-size is '$size', which is no number"
if [[ -z $input ]]; then
  if ((size == 2)); then
    input='{"message": "Hello!", "items": ["item-A", "item-B"]}'
  else
    input='{"message": "Hello!", "range": {"from": 0, "to": '$((size > 1 ? size - 1 : 0))'}}'
  fi
fi

need_build
load_env
exec "$bin/test-runner" --job-queue="$JOB_QUEUE_ARN" --job-definition="$JOB_DEFINITION_ARN" \
  --array-size="$size" --input="$input" ${more[@]+"${more[@]}"}
