#!/usr/bin/env bash
# Undoes apply.sh: ends the queue's jobs and removes job definition, job queue and compute environment. Safe to repeat.
#
# Usage: scripts/destroy.sh [--target local|aws|auto]
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

target=auto
while (($#)); do
  case $1 in
    -h | --help) help; exit 0 ;;
    --target) target=${2?--target needs a value}; shift 2 ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
done

choose_target "$target"
need_build
if [[ -f $env_file ]]; then
  load_env
fi
step destroy "$bin/batchbox" destroy -f "$stack"
rm -f "$env_file"
